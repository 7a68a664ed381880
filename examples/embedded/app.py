"""A guest book with the gateway inside: one program, one address, and its own pages know who asks."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import RedirectResponse, Response
from fastapi.templating import Jinja2Templates

from gateway import create_app
from gateway.resource import Principal, Verifier
from gateway.resource.fastapi import Protection
from gateway.settings import Settings

templates = Jinja2Templates(Path(__file__).parent / "templates")


def make_app(settings: Settings) -> FastAPI:
    login = create_app(settings)
    site = settings.public_url.removesuffix(login.path)
    verifier = Verifier(settings.public_url, settings.audience, transport=login.transport, revocations=True)
    protection = Protection(verifier, cookie=login.session_cookie, origins=[site])
    anybody, host = protection.require(scope="openid"), protection.require(role="host")
    names: list[str] = []

    app = FastAPI(title="Guest book", lifespan=login.lifespan)
    app.mount(login.path, login)

    @app.get("/")
    async def book(request: Request, guest: Annotated[Principal, anybody]) -> Response:
        known: dict[str, Any] = {"guest": guest, "name": name_of(guest), "names": names, "login": login.path}
        return templates.TemplateResponse(request, "book.html", known)

    @app.post("/names")
    async def sign(guest: Annotated[Principal, anybody]) -> Response:
        names.append(name_of(guest))
        return RedirectResponse("/", 303)

    @app.post("/names/clear", dependencies=[host])
    async def clear() -> Response:
        names.clear()
        return RedirectResponse("/", 303)

    @app.exception_handler(HTTPException)
    async def lead(request: Request, refused: HTTPException) -> Response:
        """Who comes to a page without a session signs in and comes back. Whose access token has expired is renewed on
        the way and sees nothing of it; what they had posted, they post again."""
        if refused.status_code == 401 and "text/html" in request.headers.get("accept", ""):
            target = request.url.path if request.method == "GET" else "/"
            return RedirectResponse(f"{login.path}/auth/login?{urlencode({'redirect_to': target})}", 303)
        return await http_exception_handler(request, refused)

    return app


def name_of(guest: Principal) -> str:
    """Not every provider tells one."""
    name: str = guest.claims.get("name") or "Somebody"
    return name
