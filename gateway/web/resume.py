"""The address at which an application's kept request goes on: a sign-in for it returns there. And the window in which
that may happen: one that the application's page has opened, and waits for."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from starlette.responses import Response

from gateway.settings import AppSettings

from .parts import Parts

RESUME = "resume"
PATH = re.compile(r"/auth/authorize\?resume=[A-Za-z0-9_-]{43}")


def resume_path(parts: Parts, token: str) -> str:
    return f"{parts.base}/auth/authorize?{urlencode({RESUME: token})}"


def leads_to_app(parts: Parts, target: str) -> bool:
    return PATH.fullmatch(target.removeprefix(parts.base)) is not None


def cancelled(parts: Parts, target: str) -> str | None:
    """Where a sign-in with this target goes when the person does not want it: back to the application, if it was for
    one."""
    return f"{target}&cancel=1" if leads_to_app(parts, target) else None


def on_the_way(parts: Parts, target: str, response: Response) -> Response:
    """A step of a sign-in with this target, which may happen in a page's window."""
    return in_window(response) if leads_to_app(parts, target) else response


def for_app(app: AppSettings, response: Response) -> Response:
    """An answer to this application's browser. Only what runs in a page opens windows."""
    return in_window(response) if app.type == "spa" else response


def in_window(response: Response) -> Response:
    """Every other policy parts a window from the page that opened it, for good, be it on a redirect alone."""
    response.headers["Cross-Origin-Opener-Policy"] = "unsafe-none"
    return response
