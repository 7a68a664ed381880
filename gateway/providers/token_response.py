"""The token endpoint's answer (RFC 6749 §5, OpenID Core §3.1.3.3): what is taken, what errors come to."""

from __future__ import annotations

from typing import Any

import httpx2

from gateway.errors import InvalidIdToken, ProviderError, ProviderUnavailable

from .transport import BUSY, read_object
from .words import read_token_error


def read_token_response(response: httpx2.Response) -> httpx2.Response:
    """The answer cut down to the members that are used, for Authlib to read on. Raises a ProviderFault.

    A missing or odd `expires_in` is nothing to fail on, and members we do not know are none of our business.
    """
    if response.status_code == BUSY or response.is_server_error:
        raise ProviderUnavailable(f"the token endpoint answered {response.status_code}")
    answer = read_answer(response)
    if "error" in answer:
        raise read_token_error(answer["error"], answer.get("error_description"))
    if not response.is_success:
        raise ProviderError(f"the token endpoint answered {response.status_code}")
    return httpx2.Response(200, json=accept(answer), request=response.request)


def read_answer(response: httpx2.Response) -> dict[str, Any]:
    try:
        return read_object(response.content)
    except ProviderError as error:
        raise ProviderError(f"the token endpoint answered {response.status_code}, and {error.cause}") from error


def accept(answer: dict[str, Any]) -> dict[str, str]:
    kind = answer.get("token_type")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise ProviderError("the token type is not Bearer")
    access_token, id_token = answer.get("access_token"), answer.get("id_token")
    if not isinstance(access_token, str) or not access_token.isascii() or not access_token.isprintable():
        raise ProviderError("the token endpoint answered without a usable access token")
    if not access_token:
        raise ProviderError("the token endpoint answered with an empty access token")
    if not isinstance(id_token, str) or not id_token:
        raise InvalidIdToken("the token endpoint answered without an ID token; is openid among the scopes?")
    return {"token_type": "Bearer", "access_token": access_token, "id_token": id_token}
