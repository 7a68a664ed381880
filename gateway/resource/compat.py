"""The names of fastapi-microsoft-identity, so that a program of its README runs by changing the import.

What differs: a token is verified before anything is read of it, also by `validate_scope` and `get_token_claims`; a
person's scope and an application's role do not stand in for each other; answers are the RFC 6750 ones.
NOTE: configuration is global, as there. Use `Entra` and `Protection` in new programs.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import httpx2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from .asgi import asked
from .entra import B2C, PUBLIC_CLOUD, V1_PUBLIC_CLOUD, Entra
from .errors import InsufficientScope, Refused
from .guard import Guard
from .issuers import Issuer
from .principal import Principal, thawed
from .require import Requirement
from .verifier import Verifier

__all__ = [
    "AuthError",
    "get_token_claims",
    "initialize",
    "requires_auth",
    "requires_b2c_auth",
    "validate_scope",
]

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

VERIFIED = "gateway.resource.compat"  # where a request's scope holds who is calling
ANY_TOKEN = Requirement()

log = logging.getLogger("gateway.resource")


class AuthError(Exception):
    """`error_msg` may be shown to the caller."""

    def __init__(self, error_msg: str, status_code: int) -> None:
        super().__init__(error_msg)
        self.error_msg = error_msg
        self.status_code = status_code


@dataclass(frozen=True, slots=True)
class Configured:
    entra: Guard
    b2c: Guard | None


class Configuration:
    """What `initialize` was told."""

    configured: Configured | None = None

    @classmethod
    def guard(cls, *, b2c: bool) -> Guard:
        if cls.configured is None:
            raise RuntimeError("call initialize(tenant_id, client_id) first")
        if not b2c:
            return cls.configured.entra
        if cls.configured.b2c is None:
            raise RuntimeError("call initialize with b2c_policy_name and b2c_domain_name first")
        return cls.configured.b2c


def initialize(
    tenant_id_: str,
    client_id_: str,
    b2c_policy_name_: str | None = None,
    b2c_domain_name_: str | None = None,
    *,
    explain: bool = False,
    guests: bool = True,
    authority: str = PUBLIC_CLOUD,
    v1_authority: str = V1_PUBLIC_CLOUD,
    b2c_authority: str | None = None,
    transport: httpx2.BaseTransport | None = None,
) -> None:
    """As there; what comes by name alone is new. `explain`: answers say what is wrong, for development only.

    Raises ValueError for a tenant that is not named by its id.
    """

    def guard(issuer: Issuer) -> Guard:
        return Guard(Verifier(issuer, transport=transport), explain=explain)

    entra = Entra(tenant_id_, client_id_, guests=guests, authority=authority, v1_authority=v1_authority)
    b2c = None
    if b2c_policy_name_ and b2c_domain_name_:
        b2c = guard(B2C(b2c_domain_name_, tenant_id_, b2c_policy_name_, client_id_, authority=b2c_authority))
    Configuration.configured = Configured(guard(entra), b2c)


def requires_auth(f: Endpoint) -> Endpoint:
    """For an endpoint that has a parameter `request: Request`."""
    return protected(f, b2c=False)


def requires_b2c_auth(f: Endpoint) -> Endpoint:
    """As `requires_auth`, for tokens of the B2C user flow."""
    return protected(f, b2c=True)


def protected(f: Endpoint, *, b2c: bool) -> Endpoint:
    @functools.wraps(f)
    async def decorated(*args: Any, **kwargs: Any) -> Any:
        request, guard = request_among(args, kwargs), Configuration.guard(b2c=b2c)
        try:
            request.scope[VERIFIED] = await guard.admit(asked(request.scope), ANY_TOKEN)
        except Refused as refused:
            answer = guard.refuse(refused)
            return Response(answer.body, answer.status, answer.headers, "application/json")
        if inspect.iscoroutinefunction(f):
            return await cast("Callable[..., Awaitable[Any]]", f)(*args, **kwargs)
        return await run_in_threadpool(f, *args, **kwargs)

    return cast("Endpoint", decorated)


def validate_scope(required_scope: str, request: Request, is_app_permission: bool = False) -> None:
    """The person's scope, or with `is_app_permission` the application's role, in any case of letters. AuthError: 403,
    or what is wrong with the token where no decorator has looked at it before."""
    caller = verified(request)
    wanted = required_scope.lower()
    if is_app_permission:
        if not caller.is_app or wanted not in {role.lower() for role in caller.roles}:
            raise lacking("role", required_scope, caller)
    elif caller.is_app or wanted not in {scope.lower() for scope in caller.scopes}:
        raise lacking("scope", required_scope, caller)


def get_token_claims(request: Request) -> dict[str, Any]:
    """The verified claims. AuthError where there are none."""
    claims: dict[str, Any] = thawed(verified(request).claims)
    return claims


def verified(request: Request) -> Principal:
    """Who is calling: the decorator has found out, or it is found out now. That may wait for keys to be fetched."""
    found = request.scope.get(VERIFIED)
    if isinstance(found, Principal):
        return found
    guard = Configuration.guard(b2c=False)
    try:
        request.scope[VERIFIED] = principal = guard.admit_sync(asked(request.scope), ANY_TOKEN)
    except Refused as refused:
        answer = guard.refuse(refused)
        raise AuthError(answer.sentence, answer.status) from refused
    return principal


def lacking(what: str, required: str, caller: Principal) -> AuthError:
    kind = "an application's" if caller.is_app else "a person's"
    held = ", ".join(sorted(caller.roles if what == "role" else caller.scopes)) or "none"
    refused = InsufficientScope(f"{kind} token without {what} {required}; it has {held}", (required,))
    log.info("refused: %s", refused.explanation)
    return AuthError(f"The token is {kind} and does not contain the {what} {required}.", refused.status)


def request_among(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
    for value in (*kwargs.values(), *args):
        if isinstance(value, Request):
            return value
    raise TypeError("the endpoint needs a parameter `request: Request`")
