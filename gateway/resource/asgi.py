"""Plain ASGI: a middleware in front of any application, for HTTP and WebSockets; and what the other ASGI frameworks
share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from .errors import Refused
from .guard import Answer, Asked, Guard
from .require import Requirement, requirement
from .verifier import Verifier

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PRINCIPAL = "principal"  # where a request's scope holds who is calling
POLICY_VIOLATION = 1008  # RFC 6455 section 7.4.1
DENIAL = "websocket.http.response"  # the ASGI extension for a WebSocket that is refused with an HTTP answer


class Protect:
    """`Protect(app, verifier, scope="orders:read")`: nothing reaches the application without. It finds the caller in
    `scope["principal"]`. `public`: paths that anybody may ask for; below the mount point, matched exactly."""

    def __init__(
        self,
        app: Application,
        verifier: Verifier,
        *,
        public: Collection[str] = (),
        explain: bool = False,
        realm: str = "api",
        cookie: str | None = None,
        origins: Collection[str] = (),
        **needs: Any,
    ) -> None:
        """`needs`: as `requirement` has them. The others are `Guard`'s."""
        self._app = app
        self._guard = Guard(verifier, explain=explain, realm=realm, cookie=cookie, origins=origins)
        self._wanted = requirement(**needs)
        self._public = frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and path_of(scope) not in self._public:
            refused = await admitted(self._guard, scope, self._wanted)
            if refused is not None:
                await deny(refused, scope, receive, send)
                return
        await self._app(scope, receive, send)


async def admitted(guard: Guard, scope: Scope, wanted: Requirement) -> Answer | None:
    """None: the caller may, and stands in the scope. Otherwise the answer to give."""
    try:
        scope[PRINCIPAL] = await guard.admit(asked(scope), wanted)
    except Refused as refused:
        return guard.refuse(refused)
    return None


def asked(scope: Scope) -> Asked:
    """What counts of a request. HTTP/2 may split the cookies (RFC 9113 section 8.2.3)."""
    authorization: list[str] = []
    cookies: list[str] = []
    origin = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization.append(value.decode("latin-1"))
        elif name == b"cookie":
            cookies.append(value.decode("latin-1"))
        elif name == b"origin":
            origin = value.decode("latin-1")
    return Asked(authorization, "; ".join(cookies), scope.get("method"), origin)


def path_of(scope: Scope) -> str:
    """Without the mount point."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


async def deny(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """The refusal; a WebSocket's as an HTTP answer where the server can, else it is closed before it was open."""
    kind = "http.response"
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        if DENIAL not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": answer.error or ""})
            return
        kind = DENIAL
    headers = {**answer.headers, "Content-Type": "application/json", "Content-Length": str(len(answer.body))}
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": f"{kind}.start", "status": answer.status, "headers": raw})
    await send({"type": f"{kind}.body", "body": answer.body})
