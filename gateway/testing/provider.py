"""StandIn: an OpenID provider on this machine, as strict as the conformance suite's, as wrong as it is told to be.

authorize ─► a person (page, or at once) ─► redirect with a code ─► token ─► userinfo
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, Self, TypedDict

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from gateway.testing import generic, pages, serve, tokens
from gateway.testing.authorization import Asked, Grant, objections, oddities, read
from gateway.testing.behaviour import Behaviour, Document
from gateway.testing.calls import Call, Refused, received
from gateway.testing.clients import Authenticator, Client
from gateway.testing.codes import Codes, random_text
from gateway.testing.keys import Key, Keys
from gateway.testing.people import Person, digits, find, hinted

Handler = Callable[[Request, Call], Awaitable[Response]]
Clock = Callable[[], float]

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Options(TypedDict, total=False):
    """What every kind of stand-in can be made with."""

    people: Sequence[Person] | None
    clients: Sequence[Client]
    base_url: str
    issuer: str | None
    automatic: bool | None
    clock: Clock


class StandIn:
    """One provider: `app` is the ASGI application, `serve()` runs it on loopback. This one is nobody in particular.

    `automatic` answers every authorization request at once, with the person hinted at or else the first;
    without it, as is usual at Google's and Microsoft's, there is a page. `next_person` signs in
    at once and once, whatever else is set.
    `calls` is every request received; `complaints` every rule a relying party broke.
    """

    label: ClassVar[str] = "an OpenID provider"
    slug: ClassVar[str] = "provider"  # names the cookie that remembers who is signed in here
    page_first: ClassVar[bool] = False
    redirect_status: ClassVar[int] = 303
    jwt_typ: ClassVar[str | None] = None
    paths: ClassVar[Mapping[str, str]] = {
        "discovery": "/.well-known/openid-configuration",
        "jwks": "/jwks",
        "authorize": "/authorize",
        "token": "/token",
        "userinfo": "/userinfo",
    }

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        people: Sequence[Person] | None = None,
        clients: Sequence[Client] = (),
        base_url: str = "",
        issuer: str | None = None,
        automatic: bool | None = None,
        clock: Clock = time.time,
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self.people = list(self.default_people() if people is None else people)
        self.clients = list(clients)
        self.base_url = base_url  # scheme, host and port; may be set once the port is known
        self.automatic = not self.page_first if automatic is None else automatic
        self.next_person: Person | None = None
        self.calls: list[Call] = []
        self.complaints: list[str] = []
        self.codes = Codes()
        self._issuer = issuer
        self._clock = clock
        self._keys: Keys | None = None
        self._authenticator = Authenticator()
        self.app = Starlette(routes=self.routes())

    # What it says. The other kinds of provider differ in these.

    @property
    def issuer(self) -> str:
        return self._issuer or f"{self.base_url}/"

    @property
    def discovery_url(self) -> str:
        return self.url("discovery")

    @property
    def auth_methods(self) -> tuple[str, ...]:
        """Advertised at the token endpoint: here, only what the registered clients use."""
        return tuple({client.auth_method or "client_secret_basic": None for client in self.clients})

    def default_people(self) -> list[Person]:
        return generic.default_people()

    def people_at(self, authority: str) -> list[Person]:  # noqa: ARG002  Microsoft: the tenant in the path
        return self.people

    def invent(self, name: str, email: str, verified: bool, authority: str) -> Person:  # noqa: ARG002  as above
        subject = digits(f"{self.slug} {email} {name}", 21)
        return Person(subject=subject, name=name, email=email, email_verified=verified, note="Invented here")

    def newcomer(self, name: str, email: str, verified: bool = True, authority: str = "common") -> Person:
        """Somebody with a new account here; the same again for the same name and address."""
        person = self.invent(name, email, verified, authority)
        self.people = [*(one for one in self.people if one.subject != person.subject), person]
        return person

    def make_keys(self) -> Keys:
        return self.behaviour.keys()

    def signing_key(self, person: Person) -> Key:  # noqa: ARG002  Microsoft: personal accounts have another
        return self.keys.signer(self.behaviour.signing_alg)

    def discovery_document(self, authority: str) -> Document:
        register = {"registration_endpoint": f"{self.base_url}/register"}
        return generic.document(self.issuer, {**self.endpoint_urls(authority), **register}, self.auth_methods)

    def id_token_claims(self, grant: Grant) -> Document:
        now = self.now()
        sub, aud = grant.person.subject, grant.asked.client.id
        auth_time = {"auth_time": grant.issued_at} if "max_age" in grant.asked.params else {}
        at_hash = tokens.half_hash(self.behaviour.signing_alg, grant.access_token)
        claims = {"iss": self.issuer, "sub": sub, "aud": aud, "iat": now, "exp": now + 300, "at_hash": at_hash}
        return {**claims, **auth_time}

    def userinfo_claims(self, grant: Grant) -> Document:
        return generic.claims(grant.person, grant.asked.scopes)

    def access_token(self) -> str:
        return random_text(50)

    def token_extras(self, grant: Grant) -> Document:
        return {"scope": " ".join(grant.asked.scopes)}

    def code_extras(self, asked: Asked, person: Person) -> dict[str, str]:  # noqa: ARG002  Google: the person's hd
        """What travels beside `code` and `state`."""
        return {}

    def refusal(self, refused: Refused) -> Document:
        return {"error": refused.error, "error_description": refused.rule}

    def more_routes(self) -> list[Route]:
        return []

    # Running it.

    def now(self) -> int:
        return int(self._clock())

    def url(self, endpoint: str, authority: str = "") -> str:
        return self.base_url + self.paths[endpoint].replace("{authority}", authority)

    def endpoint_urls(self, authority: str = "") -> Document:
        urls = {f"{name}_endpoint": self.url(name, authority) for name in ("token", "userinfo")}
        authorize = {"authorization_endpoint": self.url("authorize", authority)}
        return {**authorize, **urls, "jwks_uri": self.url("jwks", authority) + self.behaviour.jwks_suffix}

    @property
    def keys(self) -> Keys:
        if self._keys is None:
            self._keys = self.make_keys()
        return self._keys

    def rotate_keys(self) -> None:
        """Replaces every key: what is signed from now on names keys nobody has seen."""
        self._keys = self.make_keys()

    @contextmanager
    def serve(self, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[Self]:
        """Runs on a loopback address in a thread of its own; sets `base_url`. Starts and stops within seconds."""
        with serve.bound(host, port) as (listener, base_url):
            self.base_url = base_url
            with serve.running(self.app, listener):
                yield self

    def called(self, *endpoints: str) -> list[Call]:
        return [call for call in self.calls if call.endpoint in endpoints]

    def mint(self, person: Person, client_id: str, scope: str = "openid email profile", **params: str) -> str:
        """An ID token as a browser or an app may get one without the code flow; `params` such as `nonce`."""
        client = next(client for client in self.clients if client.id == client_id)
        asked = Asked(client, "", {"scope": scope, **params}, person.tenant or "")
        return self.id_token(Grant(asked, person, self.now(), self.access_token()))

    # The endpoints.

    def routes(self) -> list[BaseRoute]:
        paths = {**self.paths, "jwks": self.paths["jwks"] + "{suffix:path}", "elsewhere": "/{path:path}"}
        paths["choose"] = self.paths["authorize"] + "/choose"
        handlers: dict[str, tuple[Handler, list[str]]] = {
            "discovery": (self._discovery, ["GET"]),
            "jwks": (self._jwks, ["GET"]),
            "authorize": (self._authorize, ["GET", "POST"]),
            "choose": (self._choose, ["POST"]),
            "token": (self._token, ["POST"]),
            "userinfo": (self._userinfo, ["GET", "POST"]),
        }
        routes = [self.route(name, paths[name], *how) for name, how in handlers.items()]
        elsewhere = self.route("elsewhere", paths["elsewhere"], _nothing_here, ["GET", "POST"])
        return [Mount("/stand-in", app=pages.static()), *routes, *self.more_routes(), elsewhere]

    def route(self, name: str, path: str, handler: Handler, methods: list[str]) -> Route:
        """Records the call, then answers as the behaviour says, or else as usual."""

        async def run(request: Request) -> Response:
            call = await received(name, request)
            self.calls.append(call)
            answer = self.behaviour.answers.get(name)
            response = await answer(request) if answer else None
            try:
                return response or await handler(request, call)
            except Refused as refused:
                self.complaints.append(refused.rule)
                return self.refuse(name, refused)

        return Route(path, run, methods=methods, name=name)

    def refuse(self, endpoint: str, refused: Refused) -> Response:
        document = self.refusal(refused)
        if endpoint in ("authorize", "choose", "select", "chosen"):
            return pages.refused(self.label, document, refused.status)
        challenge = {"WWW-Authenticate": "Bearer" if endpoint == "userinfo" else "Basic"}
        return JSONResponse(document, refused.status, {**NO_STORE, **(challenge if refused.status == 401 else {})})

    async def _discovery(self, request: Request, _: Call) -> Response:
        return JSONResponse(self.behaviour.discovery(self.discovery_document(authority(request))))

    async def _jwks(self, request: Request, call: Call) -> Response:
        if request.path_params["suffix"] != self.behaviour.jwks_suffix:
            return await _nothing_here(request, call)
        return JSONResponse(self.behaviour.jwks(self.keys.published()))

    async def _authorize(self, request: Request, call: Call) -> Response:
        asked = read(call, self.clients, authority(request))
        self.complaints.extend(oddities(asked))
        if objection := next(objections(asked), None):
            self.complaints.append(objection.rule)
            return self.answer(asked, self.refusal(objection))
        people = self.people_at(asked.authority)
        signed_in = find(people, request.cookies.get(self.cookie))
        if person := self.at_once(asked, people, signed_in):
            return self.sign_in(asked, person)
        if asked.prompt == "none":
            return self.answer(asked, self.refusal(Refused("login_required", "nobody is signed in here")))
        return pages.choose(self.label, request.url.path, asked, people, signed_in)

    def at_once(self, asked: Asked, people: list[Person], signed_in: Person | None) -> Person | None:
        """Who signs in without a page, if anybody."""
        person, self.next_person = self.next_person, None
        if person is None and asked.prompt == "none":
            return None if asked.params.get("max_age") == "0" else signed_in
        if person is None and self.automatic and people:
            return hinted(people, asked.params.get("login_hint")) or people[0]
        return person

    async def _choose(self, request: Request, call: Call) -> Response:
        """What the page posts: a person's button, an invented person, or Cancel."""
        asked = read(pages.without_choice(call), self.clients, authority(request))
        if "cancel" in call.params:
            return self.answer(asked, self.refusal(Refused("access_denied", "the person cancelled")))
        people = self.people_at(asked.authority)
        person = find(people, call.params.get("person")) or self.invented(call, asked.authority)
        if person is None:
            path = request.url.path.removesuffix("/choose")
            return pages.choose(self.label, path, asked, people, None, call.params)
        return self.sign_in(asked, person)

    def invented(self, call: Call, authority: str) -> Person | None:
        """Who was typed into the form; None where that is no address."""
        name, email = (call.params.get(field, "").strip() for field in ("name", "email"))
        if not pages.plausible(email):
            return None
        return self.newcomer(name or email.partition("@")[0], email, "verified" in call.params, authority)

    def sign_in(self, asked: Asked, person: Person) -> Response:
        code = self.codes.issue(asked, person, self.access_token(), self.now())
        response = self.answer(asked, {"code": code, **self.code_extras(asked, person)})
        response.set_cookie(self.cookie, person.subject, httponly=True, samesite="lax")
        return response

    def answer(self, asked: Asked, params: Mapping[str, str]) -> Response:
        """The authorization response, at the redirect URI."""
        state = {"state": asked.params["state"]} if "state" in asked.params else {}
        edited = self.behaviour.authorization_response({**params, **state})
        if asked.form_post:
            return pages.form_post(self.label, asked.redirect_uri, edited)
        return RedirectResponse(pages.with_query(asked.redirect_uri, edited), self.redirect_status)

    @property
    def cookie(self) -> str:
        return f"stand-in-{self.slug}"

    async def _token(self, _: Request, call: Call) -> Response:
        audiences = (self.issuer, self.base_url + call.path)
        client = self._authenticator.check(call, self.clients, self.auth_methods, audiences, self._clock())
        match call.params.get("grant_type"):
            case "authorization_code":
                grant = self.codes.redeem(call, client, self.now())
                offline = {"refresh_token": self.codes.keep_refreshing(grant)} if self.offline(grant.asked) else {}
            case "refresh_token":
                grant, offline = self.codes.refresh(call, client, self.access_token()), {}
            case _:
                raise Refused("unsupported_grant_type", "grant_type is neither authorization_code nor refresh_token")
        issued = {"access_token": grant.access_token, "token_type": "Bearer", "id_token": self.id_token(grant)}
        said = {**issued, **self.token_extras(grant), **offline}
        return JSONResponse(self.behaviour.token_response(said), headers=NO_STORE)

    def offline(self, asked: Asked) -> bool:
        """Whether a refresh token was asked for (OpenID Connect Core section 11)."""
        return "offline_access" in asked.scopes

    def id_token(self, grant: Grant) -> str:
        if self.behaviour.rotate_before_signing:
            self.rotate_keys()
        nonce = {"nonce": grant.asked.params["nonce"]} if "nonce" in grant.asked.params else {}
        return tokens.sign_id_token(
            {**self.id_token_claims(grant), **nonce, **grant.person.claims},
            key=None if self.behaviour.signing_alg.startswith("HS") else self.signing_key(grant.person),
            behaviour=self.behaviour,
            secret=grant.asked.client.secret,
            typ=self.jwt_typ,
        )

    async def _userinfo(self, _: Request, call: Call) -> Response:
        grant = self.codes.behind(call)
        if grant is None:
            raise Refused("invalid_token", "userinfo without one live access token in the right place", 401)
        claims = self.behaviour.userinfo({**self.userinfo_claims(grant), **grant.person.claims})
        if not self.behaviour.userinfo_signed:
            return JSONResponse(claims, headers=NO_STORE)
        key = self.keys.signer("RS256")
        about = {"iss": self.issuer, "aud": grant.asked.client.id}
        signed = tokens.sign({"alg": "RS256", "kid": key.kid}, {**about, **claims}, key.private)
        return Response(signed, media_type="application/jwt;charset=UTF-8")


def authority(request: Request) -> str:
    """Microsoft's tenant in the path; empty at the others."""
    return str(request.path_params.get("authority", ""))


async def _nothing_here(_: Request, __: Call) -> Response:
    return JSONResponse({"error": "not_found"}, 404)
