// openid-client as it comes: prints where to send the browser, reads where that returned to, and prints what came of it.
import * as client from "openid-client";
import { createInterface } from "node:readline";

const { issuer, clientId, secret, redirectUri, byeUri } = JSON.parse(process.argv[1]);
const config = await client.discovery(new URL(issuer), clientId, secret, undefined, {
  execute: [client.allowInsecureRequests],
});
const pkceCodeVerifier = client.randomPKCECodeVerifier();
const expectedState = client.randomState();
const expectedNonce = client.randomNonce();
const start = client.buildAuthorizationUrl(config, {
  redirect_uri: redirectUri,
  scope: "openid profile email offline_access",
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: "S256",
  state: expectedState,
  nonce: expectedNonce,
});
console.log(start.href);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const returned = new URL((await lines.next()).value);
const tokens = await client.authorizationCodeGrant(config, returned, { pkceCodeVerifier, expectedState, expectedNonce });
const claims = tokens.claims();
const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
const renewed = await client.refreshTokenGrant(config, tokens.refresh_token);
const out = client.buildEndSessionUrl(config, { post_logout_redirect_uri: byeUri, id_token_hint: tokens.id_token });
const rotated = renewed.refresh_token !== tokens.refresh_token;
console.log(JSON.stringify({ claims, userinfo, rotated, out: out.href, refresh: renewed.refresh_token }));
process.exit(0);
