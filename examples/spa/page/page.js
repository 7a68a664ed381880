// All of the page's code. A page of one's own would write the gateway's address into the import instead.
const { issuer } = await (await fetch("/config.json")).json();
const { createGateway } = await import(`${issuer}/auth/gateway.js`);

const gateway = createGateway({ clientId: "notes", signedOutUri: `${location.origin}/` });
const tabs = new BroadcastChannel("notes");
const at = (id) => document.getElementById(id);

const words = {
  login_required: "Nobody is signed in.",
  access_denied: "You did not sign in.",
};

gateway.onChange(async (user, error) => {
  at("who").textContent = user ? `Signed in as ${user.name ?? user.email}.` : words[error ?? "login_required"] ?? `Sign-in failed: ${error}.`;
  at("in").hidden = Boolean(user);
  at("own").hidden = !user;
  at("notes").replaceChildren();
  if (user) await read();
});

async function read() {
  const answer = await gateway.fetch("/api/notes");
  if (!answer.ok) return;
  const items = (await answer.json()).map((text) => Object.assign(document.createElement("li"), { textContent: text }));
  at("notes").replaceChildren(...items);
}

at("add").onsubmit = async (event) => {
  event.preventDefault();
  const text = new FormData(event.target).get("text");
  const headers = { "Content-Type": "application/json" };
  const answer = await gateway.fetch("/api/notes", { method: "POST", headers, body: JSON.stringify({ text }) });
  if (!answer.ok) return;
  event.target.reset();
  tabs.postMessage("changed");
  await read();
};
tabs.onmessage = read;
at("in").onclick = () => gateway.signIn();
at("out").onclick = () => gateway.signOut();

// Tokens do not survive a reload. Who is signed in at the gateway comes back with new ones, without being asked.
if (!(await gateway.getToken())) await gateway.signIn({ prompt: "none" });
