"""Every cookie attribute we ever set.

| cookie  | on https                       | lives                        | sent to        |
|---------|--------------------------------|------------------------------|----------------|
| access  | __Host-gateway                 | as long as the access token  | everything     |
| refresh | __Secure-gateway-refresh       | as long as the session idles | <base>/auth    |
| browser | __Host-gateway-browser         | as the refresh cookie        | everything     |
| attempt | __Host-gateway-attempt-<state> | 10 minutes                   | everything     |
| pending | __Host-gateway-pending         | 10 minutes                   | everything     |
| nonce   | __Host-gateway-nonce           | 10 minutes                   | everything     |

On loopback http the same names without prefix and without Secure. With `cookie_domain` the access cookie is shared
with sub-domains and so cannot be __Host-; it is __Secure- then.

A sibling sub-domain may set a __Secure- cookie for us, but no __Host- one: the browser cookie names the session whose
refresh cookie counts here, so that nobody is moved into a session of somebody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway import attempts, nonces, pending


@dataclass(frozen=True, slots=True)
class Cookies:
    """Names and attributes for one deployment. Ages are seconds."""

    secure: bool
    base: str  # path of public_url, without trailing slash
    domain: str | None
    access: str
    refresh: str
    browser: str
    attempt_prefix: str
    pending: str
    nonce: str

    @classmethod
    def of(cls, public_url: str, base: str, domain: str | None) -> Cookies:
        secure = public_url.startswith("https://")
        host, plain = ("__Host-", "__Secure-") if secure else ("", "")
        return cls(
            secure=secure,
            base=base,
            domain=domain,
            access=f"{plain if domain else host}gateway",
            refresh=f"{plain}gateway-refresh",
            browser=f"{host}gateway-browser",
            attempt_prefix=f"{host}gateway-attempt-",
            pending=f"{host}gateway-pending",
            nonce=f"{host}gateway-nonce",
        )

    def set_session(
        self, access: str, access_ttl: int, refresh: str, refresh_ttl: int, browser: str
    ) -> tuple[str, str, str]:
        """The `Set-Cookie` values that carry a browser session."""
        return (
            self._cookie(self.access, access, access_ttl, "/", domain=self.domain),
            self._cookie(self.refresh, refresh, refresh_ttl, f"{self.base}/auth", domain=self.domain),
            self._cookie(self.browser, browser, refresh_ttl, "/"),
        )

    def clear_session(self) -> tuple[str, str, str]:
        return self.set_session("", 0, "", 0, "")

    def set_attempt(self, state: str, packed: str, *, cross_site: bool) -> str:
        """`cross_site`: the provider answers with a form post from its own site, which Lax would not survive."""
        same_site = self._cross_site if cross_site else "Lax"
        return self._cookie(self.attempt_prefix + state, packed, attempts.LIFETIME, "/", same_site=same_site)

    def clear_attempt(self, state: str, *, cross_site: bool) -> str:
        same_site = self._cross_site if cross_site else "Lax"
        return self._cookie(self.attempt_prefix + state, "", 0, "/", same_site=same_site)

    def set_pending(self, token: str) -> str:
        """What was proven and waits for an answer."""
        return self._cookie(self.pending, token, pending.LIFETIME, "/")

    def clear_pending(self) -> str:
        return self._cookie(self.pending, "", 0, "/")

    def set_nonce(self, packed: str) -> str:
        """Which browser nonces were issued to. A provider's page posts from its own site, and Lax would stay behind."""
        return self._cookie(self.nonce, packed, nonces.LIFETIME, "/", same_site=self._cross_site)

    def clear_nonce(self) -> str:
        return self._cookie(self.nonce, "", 0, "/", same_site=self._cross_site)

    @property
    def _cross_site(self) -> str:
        return "None" if self.secure else "Lax"

    def attempts_in(self, cookies: Mapping[str, str]) -> Iterator[tuple[str, int]]:
        """The packed attempts that a browser carries, each with the bytes its cookie takes in a request."""
        return ((value, weight(name, value)) for name, value in cookies.items() if name.startswith(self.attempt_prefix))

    def session_weight(self, cookies: Mapping[str, str]) -> int:
        """Bytes that the session's cookies take in a request."""
        return sum(weight(name, cookies.get(name, "")) for name in (self.access, self.refresh, self.browser))

    def _cookie(
        self,
        name: str,
        value: str,
        max_age: int,
        path: str,
        *,
        same_site: str = "Lax",
        domain: str | None = None,
    ) -> str:
        secure = "; Secure" if self.secure else ""
        shared = f"; Domain={domain}" if domain else ""
        return f"{name}={value}; Max-Age={max_age}; Path={path}{shared}; HttpOnly{secure}; SameSite={same_site}"


def weight(name: str, value: str) -> int:
    return len(f"{name}={value}; ")


def parse(header: str) -> dict[str, str]:
    """A `Cookie` header as pairs. Of several cookies with one name the first counts (RFC 6265 section 5.4: the
    one with the longer path). Values are taken verbatim: ours never need quoting."""
    pairs: dict[str, str] = {}
    for part in header.split(";"):
        name, found, value = part.strip().partition("=")
        if found:
            pairs.setdefault(name, value)
    return pairs


def all_of(header: str, name: str) -> list[str]:
    """Every value that came under one name, in the browser's order."""
    parts = (part.strip().partition("=") for part in header.split(";"))
    return [value for found, equals, value in parts if equals and found == name]
