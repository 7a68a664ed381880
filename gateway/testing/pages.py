"""The pages of a stand-in: choosing or inventing a person, refusals, the self-posting form, "signed out"."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from gateway.testing.authorization import Asked
from gateway.testing.calls import Call
from gateway.testing.people import Person, hinted

HERE = Path(__file__).parent
# No form-action: a choice ends in a redirect to whichever relying party asked.
CSP = "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
HEADERS = {"Content-Security-Policy": CSP, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
CHOICE = ("person", "name", "email", "verified", "cancel")  # the fields that are the page's own

_templates = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined)


def static() -> StaticFiles:
    return StaticFiles(directory=HERE / "static")


def page(template: str, status: int = 200, **values: object) -> HTMLResponse:
    return HTMLResponse(_templates.get_template(template).render(values), status, HEADERS)


def choose(
    label: str,
    path: str,
    asked: Asked,
    people: Sequence[Person],
    signed_in: Person | None,
    tried: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """The choice. `tried` is what was typed when it could not be taken (400); whoever is hinted at comes first."""
    first = hinted(list(people), asked.params.get("login_hint")) or signed_in
    return page(
        "choose.html",
        200 if tried is None else 400,
        label=label,
        action=f"{path}/choose",
        asked={name: value for name, value in asked.params.items() if name not in CHOICE},
        destination=urlsplit(asked.redirect_uri).netloc,
        first=first,
        people=sorted(people, key=lambda person: person != first),
        tried=tried or {},
        hint="" if first else asked.params.get("login_hint", ""),
    )


def without_choice(call: Call) -> Call:
    """The authorization request that the page carried along in hidden fields."""
    return replace(call, form=tuple(pair for pair in call.form if pair[0] not in CHOICE))


def refused(label: str, document: Mapping[str, object], status: int) -> HTMLResponse:
    return page("refused.html", status, label=label, **document)


def signed_out(label: str) -> HTMLResponse:
    return page("signed_out.html", label=label)


def form_post(label: str, action: str, params: Mapping[str, str], *, names_origin: bool = False) -> HTMLResponse:
    """OAuth 2.0 Form Post Response Mode: posts itself, or by a button where there is no JavaScript.

    `names_origin`: a page without a referrer posts with the Origin "null" (Fetch standard); this one says its own.
    """
    response = page("form_post.html", label=label, action=action, params=params)
    if names_origin:
        response.headers["Referrer-Policy"] = "strict-origin"
    return response


def tell(label: str, origin: str, message: Mapping[str, str]) -> HTMLResponse:
    """For a window that another page has opened: tells it, and closes."""
    return page("tell.html", label=label, origin=origin, message=json.dumps(message))


def with_query(url: str, params: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(params)}" if params else url


def plausible(email: str) -> bool:
    local, _, domain = email.rpartition("@")
    return bool(local and domain) and len(email) <= 254 and not any(c.isspace() for c in email)
