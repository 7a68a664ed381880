// A stand-in for Google Identity Services: as much of `google.accounts.id` as a sign-in needs.
let settings = {};

const query = (more) => {
  const { client_id, nonce } = settings;
  return new URLSearchParams({ client_id, ...(nonce && { nonce }), ...more });
};

const button = (text, press) => {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: text });
  made.addEventListener("click", press);
  return made;
};

function redirect() {
  const g_csrf_token = crypto.randomUUID();
  document.cookie = `g_csrf_token=${g_csrf_token}; path=/; max-age=600`;
  location.assign(`${standIn}/gsi/select?${query({ g_csrf_token, login_uri: settings.login_uri })}`);
}

async function popup() {
  const asked = askInWindow(`${standIn}/gsi/select?${query({ origin: location.origin })}`);
  const credential = await asked.catch(() => undefined);
  if (credential) settings.callback({ credential, select_by: "btn" });
}

async function prompt() {
  const answer = await fetch(`${standIn}/gsi/issue?${query({})}`, { credentials: "include" });
  const { credential, name } = await answer.json();
  if (!credential) return;
  const tap = document.createElement("section");
  tap.setAttribute("aria-label", "One Tap");
  tap.append(button(`Continue as ${name}`, () => {
    tap.remove();
    settings.callback({ credential, select_by: "user_1tap" });
  }));
  document.body.append(tap);
}

const id = {
  initialize: (given) => (settings = given),
  renderButton: (parent) =>
    parent.replaceChildren(button("Sign in with Google", () => (settings.ux_mode === "redirect" ? redirect() : popup()))),
  prompt,
  disableAutoSelect: () => {},
};
window.google = { accounts: { id } };
