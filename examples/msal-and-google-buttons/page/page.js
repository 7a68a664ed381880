const config = await (await fetch("config.json")).json();
const find = (id) => document.getElementById(id);

/** The gateway, with the session's cookies: the page never sees them. */
const call = (path, options = {}) => fetch(`${config.gateway}/auth/${path}`, { credentials: "include", ...options });

const load = (src) =>
  new Promise((resolve, reject) => {
    document.head.append(Object.assign(document.createElement("script"), { src, onload: resolve, onerror: reject }));
  });

function show(heading, words = "") {
  document.querySelector("h1").textContent = heading;
  find("words").textContent = words;
}

function welcome(account, provider) {
  find("buttons").hidden = true;
  find("leave").hidden = false;
  show(`Hello ${account.name}`, `${account.email}, by ${provider}`);
}

/** An account with this address is there: the gateway's page asks, or one signs in as before. */
function offer({ error_description, join_url, providers }) {
  show("You may have an account already", error_description);
  const ways = [["Join them", join_url], ...providers.map(({ label, login_url }) => [`Sign in with ${label}`, login_url])];
  find("ways").replaceChildren(
    ...ways.map(([textContent, href]) => {
      const item = document.createElement("li");
      item.append(Object.assign(document.createElement("a"), { textContent, href }));
      return item;
    }),
  );
}

async function nonceFor(provider) {
  return (await (await call(`${provider}/nonce`)).json()).nonce;
}

async function signIn(provider, id_token) {
  const answer = await call(`${provider}/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ id_token, redirect_to: `${location.origin}/` }),
  });
  const told = await answer.json();
  if (answer.ok) welcome(told.account, provider);
  else if (told.error === "account_exists") offer(told);
  else show("That did not work", `${told.error}: ${told.error_description}`);
}

async function showGoogle() {
  await load(config.google.script);
  google.accounts.id.initialize({
    client_id: config.google.client_id,
    nonce: await nonceFor("google"),
    callback: ({ credential }) => signIn("google", credential),
    ux_mode: new URLSearchParams(location.search).get("ux_mode") ?? "popup",
    login_uri: `${config.gateway}/auth/google/login?redirect_to=${location.origin}/`,
  });
  google.accounts.id.renderButton(find("google"), {});
  google.accounts.id.prompt();
}

async function showMicrosoft() {
  await load(config.microsoft.script);
  const { client_id, authority } = config.microsoft;
  const app = new msal.PublicClientApplication({ auth: { clientId: client_id, authority } });
  await app.initialize();
  find("microsoft").addEventListener("click", async () => {
    const nonce = await nonceFor("microsoft");
    const { idToken } = await app.loginPopup({ scopes: ["openid", "profile", "email"], nonce });
    await signIn("microsoft", idToken);
  });
}

find("leave").addEventListener("click", async () => {
  await call("logout", { method: "POST" });
  location.assign(location.pathname);
});

const me = await call("me");
if (me.ok) {
  const account = await me.json();
  welcome(account, account.session.provider);
} else {
  await Promise.all([showGoogle(), showMicrosoft()]);
  find("buttons").hidden = false;
  show("Sign in");
}
