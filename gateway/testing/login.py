"""Signing a test client in, whichever framework it belongs to."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, MutableMapping
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
    if cookie is not None:
        set_cookie(client, cookie, token)
    headers, name = kept_headers(client)
    headers.pop(name, None)  # or it would go before a cookie
    if cookie is None:
        headers[name] = f"Bearer {token}"
    return token


def kept_headers(client: Any) -> tuple[MutableMapping[str, Any], str]:
    """What the client sends with every request, and its name there for Authorization."""
    if hasattr(client, "environ_base"):  # Flask, werkzeug
        return client.environ_base, "HTTP_AUTHORIZATION"
    if hasattr(client, "defaults"):  # Django; an async client's are headers, not of an environ
        return client.defaults, "AUTHORIZATION" if inspect.iscoroutinefunction(client.request) else "HTTP_AUTHORIZATION"
    if hasattr(client, "headers"):
        return client.headers, "Authorization"
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
