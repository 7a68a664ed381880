// The gateway's client for pages, as gateway.d.ts explains it. Tokens live in memory alone, and tabs hand them on.
// What is served is gateway.min.js, made from this file by scripts/minify.

export const createGateway = ({
  clientId: client_id,
  redirectUri: redirect_uri = location.origin + "/",
  signedOutUri: post_logout_redirect_uri,
  scope = "openid profile email offline_access",
  apis = [],
  issuer = new URL("..", import.meta.url).href.slice(0, -1),
}) => {
  const name = issuer + " " + client_id;
  const { locks } = navigator;
  const now = () => Date.now();
  const begun = sessionStorage; // what was asked for under which state, and where this page goes on
  const channel = new BroadcastChannel(name);
  const listeners = new Set();
  let held = { since: 0 }; // what the token endpoint said, whose it is, to be renewed when, over when; the newest counts
  let error;
  let heard = () => {};

  const take = (next) => {
    const changed = held.user?.sub !== next.user?.sub;
    held = next;
    if (changed) listeners.forEach((listener) => listener(held.user, error));
  };

  // Between tabs goes a question, 0, or what a tab holds: as an answer, and whenever it has changed.
  const tell = (next) => {
    take(next);
    channel.postMessage(held);
  };
  channel.onmessage = ({ data }) => {
    if (data.since > held.since) take(data);
    data ? heard() : channel.postMessage(held);
  };
  const ask = async () => {
    let tabs = (await locks.query()).held.filter((lock) => lock.name === name + 1).length;
    if (tabs > 1)
      await new Promise((done) => {
        heard = () => --tabs > 1 || done();
        setTimeout(done, 500); // a frozen tab does not answer
        channel.postMessage(0);
      });
  };
  locks.request(name + 1, { mode: "shared" }, () => new Promise(() => {})); // counts the living tabs
  const alone = (work) => locks.request(name, work);

  const form = (fields) => new URLSearchParams(JSON.parse(JSON.stringify({ client_id, ...fields }))); // nothing undefined
  const go = (path, fields) => (location.href = issuer + "/auth/" + path + "?" + form(fields));
  const post = (path, fields) => fetch(issuer + "/auth/" + path, { method: "POST", body: form(fields), keepalive: true });

  const redeem = async (fields, kept) => {
    const since = now();
    const body = await (await post("token", fields)).json();
    if (!body.access_token) throw body;
    const life = body.expires_in * 1000;
    const claims = body.id_token?.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const user = claims
      ? await new Response(Uint8Array.from(atob(claims), (one) => one.charCodeAt(0))).json()
      : kept.user;
    tell({ ...kept, ...body, user, since, due: since + life * 0.75, over: since + life });
  };
  const leave = () => tell({ since: now() });
  const fresh = () => now() < held.due;
  const renew = async () => {
    await ask();
    const { refresh_token, over, user } = held;
    if (!user || fresh()) return;
    if (!refresh_token) return leave();
    await redeem({ grant_type: "refresh_token", refresh_token }, held).catch((fault) => {
      if (fault.error === "invalid_grant") leave();
      else if (now() >= over) throw fault;
    });
  };

  const arrive = async () => {
    const answer = new URLSearchParams(location.search);
    const key = name + answer.get("state");
    const request = begun.getItem(key);
    if (!request) return ask();
    begun.removeItem(key);
    const [code_verifier, url] = JSON.parse(request);
    history.replaceState(null, "", url);
    error = answer.get("iss") === issuer ? answer.get("error") : "issuer_mismatch";
    if (!error) await redeem({ grant_type: "authorization_code", code: answer.get("code"), code_verifier, redirect_uri });
  };
  const ready = alone(arrive).catch((fault) => (error = fault.error ?? "unavailable"));

  const getToken = async () => {
    await ready;
    if (!fresh()) await alone(renew);
    return held.access_token;
  };

  return {
    getToken,
    onChange: (listener) => {
      ready.then(() => listeners.add(listener) && listener(held.user, error));
      return () => ready.then(() => listeners.delete(listener));
    },
    signIn: async ({ url = location.href, ...more } = {}) => {
      await ready;
      if (more.prompt === "none" && (held.user || error)) return;
      const code_verifier = crypto.randomUUID() + crypto.randomUUID();
      const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(code_verifier));
      const base64 = btoa(String.fromCharCode(...new Uint8Array(digest)));
      const state = base64.replace(/\+/g, "-").replace(/\//g, "_").replace("=", "");
      begun.setItem(name + state, JSON.stringify([code_verifier, url]));
      const proof = { state, code_challenge: state, code_challenge_method: "S256" };
      go("authorize", { response_type: "code", redirect_uri, scope, ...proof, ...more });
    },
    signOut: () =>
      alone(() => {
        const { id_token: id_token_hint, refresh_token: token } = held;
        leave();
        if (token) post("revoke", { token }).catch(() => {});
        go("end-session", { id_token_hint, post_logout_redirect_uri });
      }),
    fetch: async (input, init) => {
      const request = new Request(input, init);
      const { origin } = new URL(request.url);
      if (![location.origin, ...apis].includes(origin)) throw TypeError(origin + " is not in apis");
      const send = (token) => {
        const copy = request.clone();
        if (token) copy.headers.set("Authorization", "Bearer " + token);
        return fetch(copy);
      };
      const token = await getToken();
      const response = await send(token);
      if (response.status !== 401 || !token) return response; // else perhaps it was ended: another one, or none
      if (held.access_token === token) held.due = 0;
      return send(await getToken());
    },
  };
};
