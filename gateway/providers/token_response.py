"""The token endpoint's answer (RFC 6749 §5, OpenID Core §3.1.3.3): what is taken, what errors come to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx2

from gateway.errors import InvalidIdToken, ProviderError, ProviderUnavailable, TokenRefused
from gateway.identity import ProviderTokens

from .transport import BUSY, read_object
from .words import read_token_error

LONGEST = 16_384  # characters of a token that is kept
DIGITS = re.compile(r"[0-9]{1,9}")
SPENT = ("invalid_grant", "interaction_required", "login_required", "consent_required")


def read_token_response(response: httpx2.Response) -> dict[str, Any]:
    """The answer cut down to the members that are used. Raises a ProviderFault.

    A missing or odd `expires_in` is nothing to fail on, and members we do not know are none of our business.
    """
    if response.status_code == BUSY or response.is_server_error:
        raise ProviderUnavailable(f"the token endpoint answered {response.status_code}")
    answer = read_answer(response)
    if "error" in answer:
        raise read_token_error(answer["error"], answer.get("error_description"))
    if not response.is_success:
        raise ProviderError(f"the token endpoint answered {response.status_code}")
    return accept(answer)


def read_answer(response: httpx2.Response) -> dict[str, Any]:
    try:
        return read_object(response.content)
    except ProviderError as error:
        raise ProviderError(f"the token endpoint answered {response.status_code}, and {error.cause}") from error


def read_refreshed(response: httpx2.Response, now: int) -> ProviderTokens:
    """The answer to a refresh (RFC 6749 §6). Raises TokenRefused, or another ProviderFault. `now`: epoch seconds."""
    if response.status_code == BUSY or response.is_server_error:
        raise ProviderUnavailable(f"the token endpoint answered {response.status_code}")
    answer = read_answer(response)
    if "error" in answer:
        fault = read_token_error(answer["error"], answer.get("error_description"))
        raise TokenRefused(fault.cause) if answer["error"] in SPENT else fault
    if not response.is_success:
        raise ProviderError(f"the token endpoint answered {response.status_code}")
    return to_tokens({"access_token": check_access_token(answer), **extras(answer)}, now)


def to_tokens(answer: Mapping[str, Any], now: int) -> ProviderTokens:
    """An accepted answer as tokens. `now`: epoch seconds."""
    life = answer.get("expires_in")
    expires_at = None if life is None else now + int(life)
    return ProviderTokens(answer["access_token"], expires_at, answer.get("refresh_token"), answer.get("scope"))


def accept(answer: dict[str, Any]) -> dict[str, Any]:
    access_token, id_token = check_access_token(answer), answer.get("id_token")
    if not isinstance(id_token, str) or not id_token:
        raise InvalidIdToken("the token endpoint answered without an ID token; is openid among the scopes?")
    return {"token_type": "Bearer", "access_token": access_token, "id_token": id_token, **extras(answer)}


def check_access_token(answer: dict[str, Any]) -> str:
    kind = answer.get("token_type")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise ProviderError("the token type is not Bearer")
    access_token = answer.get("access_token")
    if not isinstance(access_token, str) or not access_token.isascii() or not access_token.isprintable():
        raise ProviderError("the token endpoint answered without a usable access token")
    if not access_token:
        raise ProviderError("the token endpoint answered with an empty access token")
    return access_token


def extras(answer: dict[str, Any]) -> dict[str, Any]:
    """What else is worth keeping, each only where it is what it should be."""
    found = {name: value for name in ("refresh_token", "scope") if is_text(value := answer.get(name))}
    life = answer.get("expires_in")
    if not isinstance(life, bool) and isinstance(life, int | str) and DIGITS.fullmatch(str(life)):
        found["expires_in"] = int(life)
    return found


def is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST and value.isascii() and value.isprintable()
