"""The same requirements and the same answers in every framework, over HTTP and WebSockets."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import django
import fastapi
import flask
import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.resource import Principal, Verifier, asgi, wsgi
from gateway.resource import django as for_django
from gateway.resource import fastapi as for_fastapi
from gateway.resource import flask as for_flask
from gateway.resource import starlette as for_starlette

from .issuing import API, ISSUER, KEY, Clock, Published, ours, token

WORLD = Published()
WORLD.publish(ISSUER, ("k1", KEY))
VERIFIER = Verifier(ISSUER, API, clock=Clock(), transport=WORLD.transport)
NEEDS: Mapping[str, Mapping[str, Any]] = {
    "any": {},
    "scope": {"scope": "orders:read"},
    "write": {"scope": "orders:read orders:write"},
    "role": {"role": "staff"},
    "boss": {"role": "boss"},
    "group": {"group": "crew"},
    "service": {"app_role": "orders:read"},
    "both": {"any_of": [{"scope": "orders:read"}, {"app_role": "orders:read"}]},
    "fresh": {"max_age": 0},
}
PERSON = token()
SERVICE = token(ours(sub="app:reports", client_id="reports", sid=None, auth_time=None, roles=None, groups=None))

Answered = tuple[int, Mapping[str, str], str]  # status, headers, body
Get = Callable[[str, str | None], Answered]


def by_asgi(app: Any, path: str, authorization: str | None) -> Answered:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = TestClient(app).get(path, headers=headers)
    return answer.status_code, answer.headers, answer.text


def by_wsgi(app: Any, path: str, authorization: str | None) -> Answered:
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "SERVER_NAME": "localhost", "SERVER_PORT": "80"}
    environ |= {"wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO(), "wsgi.url_scheme": "http"}  # type: ignore[dict-item]  # PEP 3333
    environ |= {} if authorization is None else {"HTTP_AUTHORIZATION": authorization}
    told: list[Any] = []
    body = b"".join(app(environ, lambda *args: told.extend(args)))
    return int(told[0].split(" ")[0]), {name.lower(): value for name, value in told[1]}, body.decode()


def on_asgi(path: str, authorization: str | None) -> Answered:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse(scope["principal"].subject)(scope, receive, send)

    protected = asgi.Protect(app, VERIFIER, **NEEDS[path[1:]])
    return by_asgi(protected, path, authorization)


def on_wsgi(path: str, authorization: str | None) -> Answered:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["gateway.principal"].subject.encode()]

    return by_wsgi(wsgi.Protect(app, VERIFIER, **NEEDS[path[1:]]), path, authorization)


def starlette_app() -> Starlette:
    protection = for_starlette.Protection(VERIFIER)

    def route(name: str, needs: Mapping[str, Any]) -> Route:
        async def endpoint(request: Any) -> PlainTextResponse:
            return PlainTextResponse(for_starlette.principal(request).subject)

        return Route(f"/{name}", protection.require(**needs)(endpoint))

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(for_starlette.principal(websocket).subject)
        await websocket.close()

    routes = [route(name, needs) for name, needs in NEEDS.items()]
    return Starlette(routes=[*routes, WebSocketRoute("/socket", protection.require(scope="orders:read")(socket))])


def fastapi_app() -> fastapi.FastAPI:
    protection = for_fastapi.Protection(VERIFIER)
    app = fastapi.FastAPI()

    def add(name: str, needs: Mapping[str, Any]) -> None:
        async def endpoint(caller: Any) -> str:
            return str(caller.subject)

        endpoint.__annotations__ = {"caller": Annotated[Principal, protection.require(**needs)], "return": str}
        app.get(f"/{name}")(endpoint)

    for name, needs in NEEDS.items():
        add(name, needs)

    async def socket(websocket: Any, caller: Any) -> None:
        await websocket.accept()
        await websocket.send_text(caller.subject)
        await websocket.close()

    caller = Annotated[Principal, protection.require(scope="orders:read")]
    socket.__annotations__ = {"websocket": WebSocket, "caller": caller, "return": None}
    app.websocket("/socket")(socket)
    return app


def flask_app() -> flask.Flask:
    protection = for_flask.Protection(VERIFIER)
    app = flask.Flask(__name__)
    for name, needs in NEEDS.items():
        view = protection.require(**needs)(lambda: for_flask.principal().subject)
        app.add_url_rule(f"/{name}", name, view)
    return app


def django_view(needs: Mapping[str, Any]) -> Any:
    @for_django.Protection(VERIFIER).require(**needs)
    def view(request: Any) -> HttpResponse:
        return HttpResponse(for_django.principal(request).subject)

    return view


def async_django_view(needs: Mapping[str, Any]) -> Any:
    @for_django.Protection(VERIFIER).require(**needs)
    async def view(request: Any) -> HttpResponse:
        return HttpResponse(for_django.principal(request).subject)

    return view


STAFF = for_django.Protection(VERIFIER).require(role="staff")


class Orders(View):
    async def post(self, request: Any) -> HttpResponse:
        return HttpResponse(for_django.principal(request).subject)


@method_decorator(STAFF, name="dispatch")
class Sales(Orders):
    pass


class Urls:
    urlpatterns = tuple(path(name, django_view(needs)) for name, needs in NEEDS.items())


class AsyncUrls:
    urlpatterns = (
        *(path(name, async_django_view(needs)) for name, needs in NEEDS.items()),
        path("class", STAFF(Orders.as_view())),
        path("dispatch", Sales.as_view()),
    )


def django_app(handler: type[Any] = WSGIHandler, **more: Any) -> Any:
    given = {"ROOT_URLCONF": Urls, "ALLOWED_HOSTS": ["*"], "SECRET_KEY": "fake", "MIDDLEWARE": []} | more
    if not settings.configured:
        settings.configure(**given)
        django.setup()
    for name, value in given.items():
        setattr(settings, name, value)
    return handler()


def on_async_django(path: str, authorization: str | None) -> Answered:
    return by_asgi(django_app(ASGIHandler, ROOT_URLCONF=AsyncUrls), path, authorization)


STARLETTE, FASTAPI, FLASK = starlette_app(), fastapi_app(), flask_app()
FRAMEWORKS: dict[str, Get] = {
    "asgi": on_asgi,
    "wsgi": on_wsgi,
    "starlette": lambda path, authorization: by_asgi(STARLETTE, path, authorization),
    "fastapi": lambda path, authorization: by_asgi(FASTAPI, path, authorization),
    "flask": lambda path, authorization: by_wsgi(FLASK, path, authorization),
    "django": lambda path, authorization: by_wsgi(django_app(), path, authorization),
    "django, async": on_async_django,
}


@pytest.fixture(params=FRAMEWORKS)
def get(request: pytest.FixtureRequest) -> Get:
    return FRAMEWORKS[request.param]


@pytest.mark.parametrize("what", ["any", "scope", "role", "group", "both"])
def test_who_may_comes_through(get: Get, what: str) -> None:
    status, _, body = get(f"/{what}", f"Bearer {PERSON}")
    assert (status, body.strip('"')) == (200, ours()["sub"])


@pytest.mark.parametrize("what", ["any", "service", "both"])
def test_a_service_comes_through_where_it_may(get: Get, what: str) -> None:
    status, _, body = get(f"/{what}", f"bearer {SERVICE}")
    assert (status, body.strip('"')) == (200, "app:reports")


@pytest.mark.parametrize(
    ("what", "authorization", "status", "challenge"),
    [
        ("scope", None, 401, 'Bearer realm="api"'),
        ("scope", "Basic YTpi", 401, 'Bearer realm="api"'),
        ("scope", "Bearer", 400, "invalid_request"),
        ("scope", "Bearer a b", 400, "invalid_request"),
        ("scope", f"Bearer {PERSON}, Bearer {PERSON}", 400, "invalid_request"),
        ("scope", "Bearer x", 401, "invalid_token"),
        ("scope", f"Bearer {PERSON[:-5]}", 401, "invalid_token"),
        ("write", f"Bearer {PERSON}", 403, 'scope="orders:read orders:write"'),
        ("boss", f"Bearer {PERSON}", 403, "insufficient_scope"),
        ("service", f"Bearer {PERSON}", 403, "insufficient_scope"),
        ("scope", f"Bearer {SERVICE}", 403, "insufficient_scope"),
        ("role", f"Bearer {SERVICE}", 403, "insufficient_scope"),
        ("fresh", f"Bearer {SERVICE}", 403, "insufficient_scope"),
    ],
)
def test_challenges(get: Get, what: str, authorization: str | None, status: int, challenge: str) -> None:
    answered, headers, body = get(f"/{what}", authorization)
    told = headers["www-authenticate"]
    assert answered == status
    assert challenge in told
    assert told.startswith('Bearer realm="api"')
    if challenge.startswith("Bearer"):
        assert told == challenge  # nothing was sent, so nothing is wrong
    assert "audience" not in told + body


def test_without_keys_the_answer_is_503() -> None:
    nobody = Verifier(ISSUER, API, clock=Clock(), transport=Published().transport)
    status, headers, _ = by_asgi(asgi.Protect(STARLETTE, nobody), "/any", f"Bearer {PERSON}")
    assert (status, headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize("app", [STARLETTE, FASTAPI, asgi.Protect(STARLETTE, VERIFIER, scope="orders:read")])
def test_websockets(app: Any) -> None:
    client = TestClient(app)
    with client.websocket_connect("/socket", headers={"Authorization": f"Bearer {PERSON}"}) as socket:
        assert socket.receive_text() == ours()["sub"]
    for sent in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {SERVICE}"}):
        with pytest.raises(Exception) as caught, client.websocket_connect("/socket", headers=sent):  # noqa: PT011  two kinds of refusal
            pass
        code = getattr(caught.value, "status_code", None) or getattr(caught.value, "code", None)
        assert code in (401, 403, 1008)
        assert isinstance(caught.value, WebSocketDisconnect) or code in (401, 403)


def test_the_description_names_scopes_and_where_to_sign_in() -> None:
    described = FASTAPI.openapi()
    assert described["paths"]["/write"]["get"]["security"] == [{"gateway": ["orders:read", "orders:write"]}]
    flow = described["components"]["securitySchemes"]["gateway"]["flows"]["authorizationCode"]
    assert flow["authorizationUrl"] == f"{ISSUER}/auth/authorize"
    assert flow["tokenUrl"] == f"{ISSUER}/auth/token"
    assert flow["scopes"] == {"orders:read": "", "orders:write": ""}


@pytest.mark.parametrize(("handler", "ask"), [(WSGIHandler, by_wsgi), (ASGIHandler, by_asgi)])
@pytest.mark.parametrize("urls", [Urls, AsyncUrls])
def test_the_middleware_of_django(handler: type[Any], ask: Callable[..., Answered], urls: type[Any]) -> None:
    protection = for_django.Protection(VERIFIER)
    given = {"protection": protection, "needs": {"group": "crew"}, "public": ["/any"]}
    app = django_app(
        handler, ROOT_URLCONF=urls, MIDDLEWARE=["gateway.resource.django.middleware"], GATEWAY_RESOURCE=given
    )
    stranger = token(ours(groups=[]))
    assert ask(app, "/scope", f"Bearer {stranger}")[0] == 403
    assert ask(app, "/scope", None)[0] == 401
    assert ask(app, "/scope", f"Bearer {PERSON}")[0] == 200
    assert ask(app, "/any", f"Bearer {stranger}")[0] == 200


@pytest.mark.parametrize("where", ["/class", "/dispatch"])
def test_a_class_of_django_with_async_methods(where: str) -> None:
    csrf = ["django.middleware.csrf.CsrfViewMiddleware"]
    client = TestClient(django_app(ASGIHandler, ROOT_URLCONF=AsyncUrls, MIDDLEWARE=csrf))
    assert client.post(where).status_code == 401
    assert client.post(where, headers={"Authorization": f"Bearer {SERVICE}"}).status_code == 403
    assert client.post(where, headers={"Authorization": f"Bearer {PERSON}"}).text == ours()["sub"]


def test_flask_in_front_of_everything() -> None:
    app = flask.Flask(__name__)
    app.add_url_rule("/open", "open", lambda: "yes")
    app.before_request(for_flask.Protection(VERIFIER).before(role="staff"))
    assert by_wsgi(app, "/open", None)[0] == 401
    assert by_wsgi(app, "/open", f"Bearer {PERSON}")[0] == 200


def test_development_says_what_to_change_and_production_does_not() -> None:
    other = f"Bearer {token(ours(aud='https://other.example.com'))}"
    _, headers, body = by_asgi(asgi.Protect(STARLETTE, VERIFIER, explain=True), "/any", other)
    for said in (headers["www-authenticate"], body):
        assert "other.example.com" in said
        assert API in said
    _, headers, body = by_asgi(asgi.Protect(STARLETTE, VERIFIER), "/any", other)
    assert "other.example.com" not in headers["www-authenticate"] + body


def test_production_tells_the_log(caplog: pytest.LogCaptureFixture) -> None:
    by_asgi(asgi.Protect(STARLETTE, VERIFIER), "/any", f"Bearer {token(ours(aud='https://other.example.com'))}")
    assert "other.example.com" in caplog.text
    assert token()[:40] not in caplog.text


COOKIE = {"cookie": "gateway", "origins": ["https://app.example.com"]}


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 200),
        ("POST", {}, 403),
        ("POST", {"Origin": "https://evil.example"}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {"Origin": "https://app.example.com"}, 200),
        ("GET", {"Authorization": "Bearer x"}, 401),
        ("GET", {"Cookie": f"gateway={PERSON}; gateway={PERSON}"}, 401),
    ],
)
def test_the_session_cookie_where_it_is_asked_for(method: str, headers: dict[str, str], status: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("ok")(scope, receive, send)

    sent = {"Cookie": f"gateway={PERSON}"} | headers
    answer = TestClient(asgi.Protect(app, VERIFIER, **COOKIE)).request(method, "/", headers=sent)
    assert answer.status_code == status
    assert TestClient(asgi.Protect(app, VERIFIER)).get("/", headers=sent).status_code == 401


def test_a_sign_in_that_is_too_old() -> None:
    status, headers, _ = by_asgi(STARLETTE, "/fresh", f"Bearer {token(ours(auth_time=1_000_000_000))}")
    assert status == 401
    assert 'error="insufficient_user_authentication"' in headers["www-authenticate"]
    assert 'max_age="0"' in headers["www-authenticate"]
