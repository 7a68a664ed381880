"""What the debugger, a log line or a stack shows of a value: never the secret in it."""

from __future__ import annotations

import uuid

import pytest

from gateway.flows.admit import Newcomer
from gateway.flows.renew import Pair
from gateway.identity import Identity
from gateway.providers.client import Vouched
from gateway.web.fields import Fields

SOMEBODY = Identity(provider="google", issuer="https://op.example", subject="1")


@pytest.mark.parametrize(
    "value",
    [
        Pair("SECRET", 300, "SECRET", 600, "openid", uuid.UUID(int=1)),
        Newcomer(SOMEBODY, id_token="SECRET"),
        Vouched(SOMEBODY, "SECRET", end_session=True),
        Fields({"refresh_token": "SECRET"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_secret_is_shown(value: object) -> None:
    assert "SECRET" not in repr(value)
