"""One provider: sends people there, and turns the code or ID token they come back with into an Identity.

begin ──► authorization URL
finish ─► code ─► token endpoint ─► verifier ─► userinfo, if wanted ─► who may come in ─► Identity
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.base_client.async_app import AsyncOAuth2Mixin
from authlib.integrations.base_client.sync_app import BaseApp
from authlib.integrations.httpx_client import AsyncOAuth2Client

from gateway.errors import (
    GatewayError,
    IssuerMismatch,
    ProviderError,
    ProviderFault,
    ProviderUnavailable,
    SubjectMismatch,
)
from gateway.identity import Identity, ProviderTokens
from gateway.settings import ProviderSettings

from .authorize import AuthorizationRequest
from .claims import NOTHING, to_identity
from .client_auth import ClientAuthentication
from .discovery import Metadata, read_metadata
from .id_token import Verified, Verifier, digest_of, read_nonce
from .jws import Opener
from .kept import Clock, Kept
from .keyset import KeySet
from .lookup import look_up
from .openid import same_issuer
from .quirks import load_rules
from .token_response import read_token_response, to_tokens
from .transport import TIMEOUT, Transport, describe, fetch, open_client, read_object
from .upkeep import Upkeep
from .userinfo import UserInfo
from .words import quotable, read_refusal

SIGN_IN_LIMIT = 4.4  # seconds for everything between the callback and the identity
USERINFO_LIMIT = 2.0  # seconds of those
RESERVE = 0.2  # seconds kept back from userinfo, so that a slow one does not cost the sign-in

USER_AGENT = "login-gateway"
AUTH_METHOD = "gateway"  # the name that our client authentication has towards Authlib

log = logging.getLogger("gateway.providers")


@dataclass(frozen=True, slots=True)
class Vouched:
    """Somebody a provider vouches for. `id_token` is worth keeping where it has an end-session page."""

    identity: Identity
    id_token: str | None = field(repr=False)
    end_session: bool
    tokens: ProviderTokens | None = None  # where `store_tokens` asks to keep them


@dataclass(frozen=True, slots=True)
class Posted:
    """Somebody a posted ID token is about. `digest` tells the token from every other until `expires_at`."""

    vouched: Vouched
    digest: str
    expires_at: int  # epoch seconds


class TokenRequests(AsyncOAuth2Client):  # type: ignore[misc]  # Authlib ships no types
    """Authlib's client, one for all sign-ins: it keeps nobody's token, and no cookie reaches it."""

    def parse_response_token(self, resp: httpx2.Response) -> dict[str, Any]:
        return read_token_response(resp)


class ProviderClient(AsyncOAuth2Mixin, BaseApp):  # type: ignore[misc]  # Authlib ships no types
    """Made by the registry, which closes it. Serves any number of sign-ins at once, in one event loop."""

    client_cls = TokenRequests

    def __init__(
        self,
        framework: object,
        name: str,
        *,
        settings: ProviderSettings,
        public_url: str,
        clock: Clock,
        transport: Transport,
        **options: Any,
    ) -> None:
        super().__init__(
            framework,
            name,
            client_id=settings.client_id,
            client_kwargs={
                "transport": transport,
                "timeout": TIMEOUT,
                "trust_env": False,
                "follow_redirects": False,
                "token_endpoint_auth_method": AUTH_METHOD,
            },
            client_auth_methods=[(AUTH_METHOD, self._authenticate)],
            user_agent=USER_AGENT,
            **options,
        )
        self.name = name
        self.settings = settings
        self.redirect_uri = f"{public_url}/auth/{name}/callback"
        self._rules = load_rules(settings)
        self._transport = transport
        self._http = open_client(transport, USER_AGENT)
        self._token_requests = self._get_oauth_client()
        self._metadata: Kept[Metadata] = Kept(self._load_metadata, what=f"{name}: discovery", clock=clock)
        self._keys = KeySet(self._load_keys, what=f"{name}: keys", clock=clock)
        opener = Opener(self._keys, settings.id_token_algs)
        self._verifier = Verifier(opener, self._rules, clock)
        self._userinfo = UserInfo(self._http, opener, settings.client_id)
        self._wanted = self._rules.wanted_claims()
        self._authentication = ClientAuthentication(settings, clock)
        self._upkeep = Upkeep(self._http, self._authentication, clock)
        self._clock = clock
        self._request = AuthorizationRequest(settings, self._rules.authorize_params(), self.redirect_uri)

    async def begin(
        self,
        *,
        state: str,
        nonce: str,
        code_verifier: str,
        prompt: str | None = None,
        login_hint: str | None = None,
    ) -> str:
        """The URL at the provider to send the browser to. No I/O once the metadata is there.

        Raises ProviderUnavailable, or IssuerMisconfigured where the discovery document names another issuer.
        """
        metadata = await self._metadata.get()
        self._keys.refresh_ahead()
        return self._request.url(
            metadata,
            state=state,
            nonce=nonce,
            code_verifier=code_verifier,
            prompt=self._rules.prompt(prompt),
            login_hint=login_hint,
            max_age=self._rules.max_age(prompt),
        )

    async def check_callback_issuer(self, iss: str | None) -> None:
        """`iss` of an authorization response is this provider's, and there if promised (RFC 9207 §2.4).

        Raises IssuerMismatch.
        """
        metadata = await self._metadata.get()
        if iss is None:
            if metadata.iss_parameter:
                raise IssuerMismatch("the provider promises an iss parameter, and there is none")
        elif not self._rules.goes_by(iss, metadata.issuer):
            raise IssuerMismatch(f"iss is {quotable(iss)}")

    def refusal(self, error: str) -> GatewayError:
        """What the `error` parameter of a callback comes to. Returned, not raised."""
        return read_refusal(error)

    async def finish(self, *, code: str, nonce: str, code_verifier: str) -> Vouched:
        """Spend the code, verify what comes back, and say who it is. Never tried twice.

        Raises a ProviderFault, or a Refusal for people whom the configuration keeps out.
        """
        deadline = asyncio.get_running_loop().time() + SIGN_IN_LIMIT
        try:
            async with asyncio.timeout_at(deadline):
                metadata = await self._metadata.get()
                answer = await self._exchange(code, code_verifier)
                token, access_token = answer["id_token"], answer["access_token"]
                verified = await self._verifier.verify(token, metadata, nonce=nonce, access_token=access_token)
                self._rules.check_claims(verified.claims)
                more = await self._ask_userinfo(metadata, access_token, verified, deadline)
        except TimeoutError as error:
            raise ProviderUnavailable(f"{self.name}: no answer within {SIGN_IN_LIMIT:g} s") from error
        vouched = self._vouch(metadata, token, verified, more)
        tokens = to_tokens(answer, int(self._clock())) if self.settings.store_tokens else None
        return replace(vouched, tokens=tokens)

    async def refresh(self, tokens: ProviderTokens) -> ProviderTokens:
        """Fresh tokens for old ones. Raises TokenRefused where the person has to sign in again; a ProviderFault."""
        return await self._upkeep.refresh(await self._metadata.get(), tokens)

    async def revoke(self, tokens: ProviderTokens) -> bool:
        """Have tokens revoked; False where the provider offers no way. Raises a ProviderFault."""
        return await self._upkeep.revoke(await self._metadata.get(), tokens)

    async def verify_posted(self, id_token: str, judge_nonce: Callable[[str | None], None]) -> Posted:
        """Whom an ID token is about that a browser or an app brought; `audiences` count besides `client_id`.

        `judge_nonce` is told the token's nonce, None without one, and raises NonceMismatch. The caller sees to it that
        a token is accepted once. Otherwise raises as `finish`.
        """
        try:
            async with asyncio.timeout(SIGN_IN_LIMIT):
                metadata = await self._metadata.get()
                verified = await self._verifier.verify_posted(id_token, metadata)
        except TimeoutError as error:
            raise ProviderUnavailable(f"{self.name}: no keys within {SIGN_IN_LIMIT:g} s") from error
        judge_nonce(read_nonce(verified.claims))
        self._rules.check_claims(verified.claims)
        vouched = self._vouch(metadata, id_token, verified, NOTHING)
        return Posted(vouched, digest_of(id_token), self._verifier.lapses(verified))

    def _vouch(self, metadata: Metadata, token: str, verified: Verified, more: Mapping[str, Any]) -> Vouched:
        identity = to_identity(verified, more, self._rules)
        return Vouched(identity, token, metadata.end_session_endpoint is not None)

    async def _exchange(self, code: str, code_verifier: str) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = await self.fetch_access_token(
                redirect_uri=self.redirect_uri, code=code, code_verifier=code_verifier
            )
        except httpx2.DecodingError as error:
            raise ProviderError(f"{self.name}: {error}") from error
        except httpx2.HTTPError as error:
            raise ProviderUnavailable(f"{self.name}: {describe(error)}") from error
        except (AuthlibBaseError, httpx2.InvalidURL, ValueError, TypeError, RuntimeError, KeyError) as error:
            raise ProviderError(f"{self.name}: {describe(error)}") from error
        return answer

    async def _ask_userinfo(
        self, metadata: Metadata, access_token: str, verified: Verified, deadline: float
    ) -> Mapping[str, Any]:
        """What the setting `userinfo` asks for. Where it is `missing` a failure leaves the claims out."""
        mode = self.settings.userinfo
        if mode == "never" or (mode == "missing" and not self._lacks(verified)):
            return NOTHING
        until = min(asyncio.get_running_loop().time() + USERINFO_LIMIT, deadline - RESERVE)
        try:
            async with asyncio.timeout_at(until):
                return await self._userinfo.fetch(metadata, access_token, verified)
        except SubjectMismatch:
            raise
        except (ProviderFault, TimeoutError) as error:
            fault = error if isinstance(error, ProviderFault) else ProviderUnavailable("no answer in time")
            if mode == "always":
                raise type(fault)(f"{self.name}: userinfo: {fault.cause}") from error
            log.info("userinfo_failed", extra={"fields": {"provider": self.name, "cause": fault.cause}})
            return NOTHING

    def _lacks(self, verified: Verified) -> bool:
        return any(look_up(verified.claims, path) is None for path in self._wanted)

    async def metadata(self) -> Mapping[str, Any]:
        """The discovery document, kept. Raises ProviderUnavailable or IssuerMisconfigured."""
        return (await self._metadata.get()).document

    def owns(self, issuer: str) -> bool:
        """Whether `issuer` names this provider; by configuration alone until the document is there."""
        known = self._metadata.value
        if known is None:
            return self._rules.owns(issuer)
        return self._rules.goes_by(issuer, known.issuer) or same_issuer(issuer, known.issuer)

    async def warm(self) -> None:
        """Have metadata and keys ready. Never raises: what fails is logged, and tried again when needed."""
        try:
            await self._metadata.get()
            await self._keys.warm()
        except ProviderFault as fault:
            log.info("provider_not_ready", extra={"fields": {"provider": self.name, "cause": fault.cause}})

    async def end_session_url(self, return_to: str, id_token: str | None) -> str | None:
        """Where a browser signs out at the provider (RP-Initiated Logout 1.0 §2); None where there is no such page."""
        endpoint = (await self._metadata.get()).end_session_endpoint
        if endpoint is None:
            return None
        query = {"post_logout_redirect_uri": return_to, "client_id": self.settings.client_id}
        query |= {"id_token_hint": id_token} if id_token else {}
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}"

    async def close(self) -> None:
        await self._metadata.stop()
        await self._keys.stop()
        await self._http.aclose()
        await self._token_requests.aclose()
        await self._transport.shut()

    async def _load_metadata(self) -> Metadata:
        document = await self._get_object(self.settings.discovery_url)
        return read_metadata(document, self.settings.discovery_url, self._rules.document_fits)

    async def _load_keys(self) -> Mapping[str, Any]:
        return await self._get_object((await self._metadata.get()).jwks_uri)

    async def _get_object(self, url: str) -> dict[str, Any]:
        """A document without which nobody signs in: any failure makes the provider unavailable."""
        try:
            return read_object((await fetch(self._http, url)).content)
        except ProviderError as error:
            raise ProviderUnavailable(error.cause) from error

    async def fetch_access_token(self, redirect_uri: str | None = None, **given: str) -> Mapping[str, Any]:
        """As Authlib's, which makes an HTTP client for each call: a tenth of what `finish` takes."""
        endpoint = (await self._metadata.get()).token_endpoint
        answer: Mapping[str, Any] = await self._token_requests.fetch_token(endpoint, redirect_uri=redirect_uri, **given)
        return answer

    def _authenticate(
        self, _client: object, _method: str, uri: str, headers: httpx2.Headers, body: bytes
    ) -> tuple[str, httpx2.Headers, bytes]:
        metadata = self._metadata.value
        if metadata is None:
            raise ProviderUnavailable(f"{self.name}: the metadata is gone")
        return uri, headers, self._authentication.sign(metadata, headers, body)
