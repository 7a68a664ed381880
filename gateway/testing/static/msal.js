// A stand-in for MSAL.js: as much of PublicClientApplication as a sign-in needs.
window.msal = {
  PublicClientApplication: class {
    constructor({ auth }) {
      this.auth = auth;
    }

    async initialize() {}

    async loginPopup({ nonce } = {}) {
      const { clientId, authority } = this.auth;
      const asked = { client_id: clientId, origin: location.origin, nonce: nonce ?? crypto.randomUUID() };
      return { idToken: await askInWindow(`${authority}/spa/select?${new URLSearchParams(asked)}`) };
    }
  },
};
