"""Authorization codes and access tokens a stand-in has given out, and the rules under which they are honoured."""

from __future__ import annotations

import hashlib
import secrets
import string
from dataclasses import dataclass, field

from gateway.testing.authorization import Asked, Grant
from gateway.testing.calls import Call, Refused
from gateway.testing.clients import Client
from gateway.testing.keys import base64url
from gateway.testing.people import Person

CODE_LIFE = 600  # seconds
ALPHANUMERIC = string.ascii_letters + string.digits


def random_text(length: int) -> str:
    return "".join(secrets.choice(ALPHANUMERIC) for _ in range(length))


@dataclass(slots=True)
class Codes:
    by_code: dict[str, Grant] = field(default_factory=dict)
    by_access_token: dict[str, Grant] = field(default_factory=dict)
    by_refresh_token: dict[str, Grant] = field(default_factory=dict)
    verifiers: set[str] = field(default_factory=set)

    def issue(self, asked: Asked, person: Person, access_token: str, now: int) -> str:
        code = random_text(32)
        self.by_code[code] = Grant(asked, person, now, access_token)
        return code

    def redeem(self, call: Call, client: Client, now: int) -> Grant:
        """Spends the code, whether or not the rest is right; Refused with `invalid_grant`."""
        grant = self.by_code.get(call.params.get("code", ""))
        if grant is None or grant.asked.client.id != client.id:
            raise Refused("invalid_grant", "the code is unknown")
        if grant.spent:
            self.by_access_token.pop(grant.access_token, None)  # RFC 6749 section 4.1.2
            raise Refused("invalid_grant", "the code has been used before")
        grant.spent = True
        if now >= grant.issued_at + CODE_LIFE:
            raise Refused("invalid_grant", "the code has expired")
        if call.params.get("redirect_uri") != grant.asked.redirect_uri:
            raise Refused("invalid_grant", "redirect_uri is not the one of the authorization request")
        self._check_verifier(grant, call.params.get("code_verifier"))
        self.by_access_token[grant.access_token] = grant
        return grant

    def keep_refreshing(self, grant: Grant) -> str:
        """A refresh token for the grant."""
        token = f"refresh-{random_text(40)}"
        self.by_refresh_token[token] = grant
        return token

    def refresh(self, call: Call, client: Client, access_token: str) -> Grant:
        """The grant behind a refresh token, with a new access token beside the old; Refused with `invalid_grant`."""
        grant = self.by_refresh_token.get(call.params.get("refresh_token", ""))
        if grant is None or grant.asked.client.id != client.id:
            raise Refused("invalid_grant", "the refresh token is unknown")
        grant.access_token = access_token
        self.by_access_token[access_token] = grant
        return grant

    def revoke(self, token: str) -> bool:
        """Both kinds, whatever the hint (RFC 7009); with a refresh token everything of its grant goes."""
        grant = self.by_refresh_token.get(token)
        if grant is None:
            return self.by_access_token.pop(token, None) is not None
        for tokens in (self.by_refresh_token, self.by_access_token):
            for each in [name for name, behind in tokens.items() if behind is grant]:
                del tokens[each]
        return True

    def _check_verifier(self, grant: Grant, verifier: str | None) -> None:
        """PKCE (RFC 7636): enforced as soon as a challenge was sent, whatever was advertised."""
        challenge = grant.asked.params.get("code_challenge")
        if challenge is None:
            return
        if verifier is None or not 43 <= len(verifier) <= 128:
            raise Refused("invalid_grant", "code_verifier is not 43 to 128 characters long")
        if base64url(hashlib.sha256(verifier.encode()).digest()) != challenge:
            raise Refused("invalid_grant", "code_verifier does not match the challenge")
        if verifier in self.verifiers:
            raise Refused("invalid_grant", "code_verifier has been used before")
        self.verifiers.add(verifier)

    def behind(self, call: Call) -> Grant | None:
        """Whose access token a call brings: in the header or in the form, never in the query or in both."""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        brought = [value for name, value in call.form if name == "access_token"]
        brought += [token] if scheme.lower() == "bearer" else []
        if len(brought) != 1 or any(name == "access_token" for name, _ in call.query):
            return None
        return self.by_access_token.get(brought[0])
