"""A provider's words for what went wrong."""

from __future__ import annotations

import pytest

from gateway.providers.words import quotable, read_refusal, read_token_error

CODES = {
    "access_denied": "provider_denied",
    "user_cancelled_login": "provider_denied",
    "user_cancelled_authorize": "provider_denied",
    "login_required": "login_required",
    "interaction_required": "interaction_required",
    "account_selection_required": "interaction_required",
    "consent_required": "consent_required",
    "temporarily_unavailable": "provider_unavailable",
    "server_error": "provider_unavailable",
    "invalid_scope": "provider_error",
    "invalid_request": "provider_error",
    "": "provider_error",
    "ACCESS_DENIED": "provider_error",
    "<script>": "provider_error",
}


@pytest.mark.parametrize(("error", "code"), CODES.items())
def test_error_of_a_callback(error: str, code: str) -> None:
    assert read_refusal(error).code == code


@pytest.mark.parametrize(
    "error", ["<script>alert(1)</script>", "a" * 65, "line\nbreak", "ada@example.com", "0ZnTfK4HCgyB", ""]
)
def test_log_repeats_only_words(error: str) -> None:
    assert read_refusal(error).cause == "the provider answered an unreadable error"


def test_number_of_microsoft_is_kept_from_the_description() -> None:
    error = read_token_error("invalid_grant", "AADSTS54005: code of ada@example.com was redeemed")
    assert error.cause == "the token endpoint answered invalid_grant, AADSTS54005"


def test_quotable_is_printable_ascii() -> None:
    assert quotable("https://öp\n" + "a" * 500) == "https://?p?" + "a" * 89
