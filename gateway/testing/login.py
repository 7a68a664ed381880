"""Signing a test client in, whichever framework it belongs to."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from gateway.testing.issuer import SUBJECT, Issuer, issuer


def login_as(
    client: Any,
    *,
    roles: Iterable[str] = (),
    scopes: Iterable[str] = (),
    groups: Iterable[str] = (),
    subject: str = SUBJECT,
    service: str | None = None,
    cookie: str | None = None,
    by: Issuer | None = None,
    **claims: Any,
) -> str:
    """Everything that `client` asks from now on carries an access token that says this; the token.

    `client`: a test client of Starlette, FastAPI, Flask or Django, a client of httpx or httpx2, a session of requests;
    sync or async.
    `service` and `claims`: as `Issuer.token` has them. `cookie`: send the token in a cookie of this name, for an
    API that takes the gateway's. `by`: who signs, `issuer()` unless given.

    TypeError for a client of another kind.
    """
    token = (by or issuer()).token(
        subject=subject, scopes=scopes, roles=roles, groups=groups, service=service, **claims
    )
    if cookie is None:
        set_header(client, f"Bearer {token}")
    else:
        set_cookie(client, cookie, token)
    return token


def set_header(client: Any, value: str) -> None:
    if hasattr(client, "environ_base"):  # Flask, werkzeug
        client.environ_base["HTTP_AUTHORIZATION"] = value
    elif hasattr(client, "defaults"):  # Django
        asynchronous = inspect.iscoroutinefunction(client.request)  # its defaults are headers, not of an environ
        client.defaults["AUTHORIZATION" if asynchronous else "HTTP_AUTHORIZATION"] = value
    elif hasattr(client, "headers"):
        client.headers["Authorization"] = value
    else:
        raise TypeError(f"a {type(client).__name__} keeps no headers to send")


def set_cookie(client: Any, name: str, value: str) -> None:
    if hasattr(client, "set_cookie"):  # Flask, werkzeug
        client.set_cookie(name, value)
    elif hasattr(client, "defaults"):  # Django
        client.cookies[name] = value
    elif hasattr(client, "cookies"):
        client.cookies.set(name, value)
    else:
        raise TypeError(f"a {type(client).__name__} keeps no cookies")
