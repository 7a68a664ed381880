"""A provider's words for what went wrong, as our errors and as something a log may hold."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.errors import (
    ConsentRequired,
    GatewayError,
    InteractionRequired,
    LoginRequired,
    ProviderDenied,
    ProviderError,
    ProviderUnavailable,
)

WORDS: Mapping[str, type[GatewayError]] = {
    "access_denied": ProviderDenied,
    "user_cancelled_login": ProviderDenied,
    "user_cancelled_authorize": ProviderDenied,
    "admin_policy_enforced": ProviderDenied,
    "org_internal": ProviderDenied,
    "login_required": LoginRequired,
    "interaction_required": InteractionRequired,
    "account_selection_required": InteractionRequired,
    "consent_required": ConsentRequired,
    "temporarily_unavailable": ProviderUnavailable,
    "server_error": ProviderUnavailable,
}
UNAVAILABLE = ("temporarily_unavailable", "server_error")

WORD = re.compile(r"[a-z_]{1,64}")  # what an authorization code in the wrong place is not
LONGEST_QUOTE = 100  # characters
NUMBER = re.compile(r"AADSTS(\d{4,8})")


def read_refusal(error: str) -> GatewayError:
    """The `error` parameter of a callback (RFC 6749 §4.1.2.1, OpenID Core §3.1.2.6)."""
    return WORDS.get(error, ProviderError)(f"the provider answered {word(error)}")


def read_token_error(error: object, description: object) -> GatewayError:
    """The `error` of a token response (RFC 6749 §5.2). Of the description only Microsoft's number is kept."""
    kind = ProviderUnavailable if error in UNAVAILABLE else ProviderError
    number = NUMBER.search(description) if isinstance(description, str) else None
    return kind(f"the token endpoint answered {word(error)}" + (f", AADSTS{number[1]}" if number else ""))


def word(value: object) -> str:
    """An error code as a log may hold it."""
    return value if isinstance(value, str) and WORD.fullmatch(value) else "an unreadable error"


def quotable(value: str) -> str:
    """A URL or name out of a provider's document, cut to what a log line should hold."""
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in value[:LONGEST_QUOTE])
