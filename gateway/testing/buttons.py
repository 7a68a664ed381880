"""The buttons of a stand-in: its script in somebody's page, and how an ID token gets to that page or its server.

script ─► select: choose a person ─┬─ the page's window is told (popup)
                                   └─ login_uri is posted `credential` and `g_csrf_token` (redirect)
       └► issue: for whoever is signed in here, as JSON (One Tap)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.testing import pages
from gateway.testing.authorization import Asked, Grant
from gateway.testing.calls import Call, Refused
from gateway.testing.clients import Client
from gateway.testing.people import Person, find

if TYPE_CHECKING:
    from gateway.testing.provider import StandIn

SCOPE = "openid email profile"


def read(call: Call, clients: Iterable[Client], authority: str) -> Asked:
    """What a page's script asks for. Refused unless the page, or where the token is to go, is registered."""
    call.check_single()
    params = {"scope": SCOPE, **call.params}
    client = next((one for one in clients if one.id == params.get("client_id")), None)
    if client is None:
        raise Refused("invalid_client", "the client is unknown")
    target = params.get("login_uri") or params.get("origin") or call.headers.get("origin", "")
    known = client.redirect_uris if "login_uri" in params else client.javascript_origins
    if target not in known:
        raise Refused("origin_mismatch", "neither a registered login_uri nor a registered origin")
    return Asked(client, target, params, authority)


class Buttons:
    """The endpoints for one stand-in. `paths`: of `script`, `select` and `issue`; `script`: files in `static/`."""

    def __init__(self, standin: StandIn, paths: Mapping[str, str], script: tuple[str, ...]) -> None:
        self._standin = standin
        self._paths = paths
        parts = "".join((pages.HERE / "static" / name).read_text() for name in script)
        self._script = f"(() => {{\n{parts}}})();\n"  # one page may load several

    def routes(self) -> list[Route]:
        route, paths = self._standin.route, self._paths
        return [
            route("script", paths["script"], self._give_script, ["GET"]),
            route("select", paths["select"], self._select, ["GET"]),
            route("chosen", f"{paths['select']}/choose", self._choose, ["POST"]),
            route("issue", paths["issue"], self._issue, ["GET"]),
        ]

    async def _give_script(self, _: Request, __: Call) -> Response:
        return Response(self._script, media_type="text/javascript")

    async def _select(self, request: Request, call: Call) -> Response:
        asked, people, signed_in = self._read(request, call)
        if person := self._standin.at_once(asked, people, signed_in):
            return self._hand_out(asked, person)
        return pages.choose(self._standin.label, request.url.path, asked, people, signed_in)

    async def _choose(self, request: Request, call: Call) -> Response:
        asked, people, _ = self._read(request, pages.without_choice(call))
        if "cancel" in call.params:
            return self._cancelled(asked)
        person = find(people, call.params.get("person")) or self._standin.invented(call, asked.authority)
        if person is None:
            path = request.url.path.removesuffix("/choose")
            return pages.choose(self._standin.label, path, asked, people, None, call.params)
        return self._hand_out(asked, person)

    async def _issue(self, request: Request, call: Call) -> Response:
        """For the page itself, which reads it across origins: whoever is signed in here, and else nobody."""
        asked, people, signed_in = self._read(request, call)
        person = self._standin.at_once(asked, people, signed_in) or signed_in
        told = {"credential": self._token(asked, person), "name": person.name} if person else {}
        shared = {"Access-Control-Allow-Origin": asked.redirect_uri, "Access-Control-Allow-Credentials": "true"}
        return JSONResponse(told, headers={**shared, "Cache-Control": "no-store"})

    def _read(self, request: Request, call: Call) -> tuple[Asked, list[Person], Person | None]:
        asked = read(call, self._standin.clients, str(request.path_params.get("authority", "")))
        people = self._standin.people_at(asked.authority)
        return asked, people, find(people, request.cookies.get(self._standin.cookie))

    def _token(self, asked: Asked, person: Person) -> str:
        return self._standin.id_token(Grant(asked, person, self._standin.now(), ""))

    def _cancelled(self, asked: Asked) -> Response:
        """A page that waits is told; a `login_uri` never hears of it."""
        told = {"error": "cancelled", "error_description": "the person cancelled"}
        if "login_uri" in asked.params:
            return pages.refused(self._standin.label, told, 200)
        return pages.tell(self._standin.label, asked.redirect_uri, told)

    def _hand_out(self, asked: Asked, person: Person) -> Response:
        label, token = self._standin.label, self._token(asked, person)
        if "login_uri" in asked.params:
            csrf = asked.params.get("g_csrf_token", "")
            form = {"credential": token, "g_csrf_token": csrf, "client_id": asked.client.id, "select_by": "btn"}
            response = pages.form_post(label, asked.redirect_uri, form, names_origin=True)
        else:
            response = pages.tell(label, asked.redirect_uri, {"credential": token})
        response.set_cookie(self._standin.cookie, person.subject, httponly=True, samesite="lax")
        return response
