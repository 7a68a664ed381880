/**
 * A client of the login gateway for pages: sign-in by code and PKCE, tokens in memory alone, one renewal for all tabs.
 *
 *     import { createGateway } from "https://login.example.com/auth/gateway.js";
 *     const gateway = createGateway({ clientId: "my-page" });
 *
 * Needs a secure context (https, or a loopback host). Make one client for each page, at once when it loads: it also
 * takes the answer from the address that the gateway sends people back to.
 */
export declare function createGateway(options: Options): Gateway;

export interface Options {
  /** The application, as in `[apps.<client_id>]`; its type is `spa`. */
  clientId: string;
  /** Where people return to: a page of this origin that makes the client, exactly as registered. Default: `/`. */
  redirectUri?: string;
  /** Where people return to once they are signed out, exactly as registered. Default: a page of the gateway. */
  signedOutUri?: string;
  /** Holds `openid`. Default: `openid profile email offline_access`. Without `offline_access` nothing is renewed. */
  scope?: string;
  /** Further origins that `fetch` may give the token to, besides the page's own. Default: none. */
  apis?: readonly string[];
  /** The gateway's `public_url`. Default: where this module came from. */
  issuer?: string;
}

/** The claims of the ID token; which there are depends on the scope. */
export interface User {
  /** The account's id: the only claim that always means the same person. */
  readonly sub: string;
  readonly name?: string;
  readonly picture?: string;
  readonly email?: string;
  readonly email_verified?: boolean;
  readonly groups?: readonly string[];
  /** When the person signed in, in seconds since 1970. */
  readonly auth_time?: number;
  readonly [claim: string]: unknown;
}

export interface Gateway {
  /**
   * Goes to the gateway and comes back signed in. Nobody is asked for anything who is signed in there already, unless
   * `prompt` says so. The promise never matters: the page is left.
   *
   * With `prompt: "none"` nobody is ever asked: who is not signed in comes back with the error `login_required`. It
   * does nothing when somebody is signed in here already, or when this page has just come back with an error, so it may
   * stand where a page begins.
   */
  signIn(request?: SignIn): Promise<void>;

  /**
   * An access token that is good for a while yet, renewed when three quarters of its life are over; of several tabs
   * only one renews. `undefined` when nobody is signed in, or not any more.
   *
   * Rejects when the token is over and the gateway cannot be reached: nobody is signed out by that.
   */
  getToken(): Promise<string | undefined>;

  /**
   * As the global `fetch`, with the token in `Authorization`. An answer 401 is taken as the end of the token: it is
   * renewed and the request sent once more.
   *
   * Rejects with a TypeError, and sends nothing, when the URL's origin is neither the page's own nor one of `apis`.
   */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;

  /** Signs out of every tab, of the gateway, and of every application that was reached through it. The page is left. */
  signOut(): Promise<void>;

  /**
   * Calls the listener once it is known who is signed in, and whenever that becomes somebody else, in whichever tab.
   * Returns what stops it.
   *
   * `error` is why the last sign-in of this page came to nothing: `access_denied`, `login_required` (for
   * `prompt: "none"`) or another code of the gateway; `issuer_mismatch` if the answer was another server's;
   * `unavailable` if the gateway could not be reached.
   */
  onChange(listener: (user: User | undefined, error?: string | null) => void): () => void;
}

/** Parameters of the authorization request, named as there. */
export interface SignIn {
  /** Where this page goes on once it has come back: an address of its own origin. Default: the present one. */
  url?: string;
  /** The provider to sign in with; without one the person chooses. */
  provider?: string;
  prompt?: "none" | "login" | "select_account" | "consent";
  login_hint?: string;
  /** How long ago the person may have signed in, in seconds. */
  max_age?: number;
}
