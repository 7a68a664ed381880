"""Plain WSGI: a middleware in front of any application; and what the WSGI frameworks share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

from .errors import Refused
from .guard import Asked, Guard
from .require import requirement
from .verifier import Verifier

Environ = MutableMapping[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

PRINCIPAL = "gateway.principal"  # where the environment holds who is calling


class Protect:
    """`Protect(app, verifier, scope="orders:read")`: nothing reaches the application without. It finds the caller in
    `environ["gateway.principal"]`. `public`: paths that anybody may ask for; below the mount point, matched exactly."""

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

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO", "") not in self._public:
            try:
                environ[PRINCIPAL] = self._guard.admit_sync(asked(environ), self._wanted)
            except Refused as refused:
                answer = self._guard.refuse(refused)
                status = f"{answer.status} {HTTPStatus(answer.status).phrase}"
                length = str(len(answer.body))
                headers = {**answer.headers, "Content-Type": "application/json", "Content-Length": length}
                start_response(status, list(headers.items()))
                return [answer.body]
        return self._app(environ, start_response)


def asked(environ: Environ) -> Asked:
    """What counts of a request. Servers join a header that came twice with a comma, which no token holds."""
    header = environ.get("HTTP_AUTHORIZATION")
    return Asked(
        () if header is None else (header,),
        environ.get("HTTP_COOKIE", ""),
        environ.get("REQUEST_METHOD", "GET"),
        environ.get("HTTP_ORIGIN"),
    )
