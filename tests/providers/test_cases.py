"""Case files: a provider's claims in, the Identity or the refusal out, through a whole sign-in.

A case takes `settings`, `document` and `key` of its file's head and adds to them; `expect` names what must come out
of the Identity, `refused` the error code, `cause` a part of what the log says.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.errors import GatewayError
from gateway.identity import Identity
from gateway.providers import Providers
from gateway.settings import ProviderSettings

from .op import PRESETS, Op, finish, public, rsa

FILES = sorted((Path(__file__).parent / "cases").glob("*.toml"))
OF_THE_PRESET = ("quirk", "client_auth", "subject_claim", "email_trust")


def read_cases(*, refused: bool) -> list[Any]:
    found = []
    for file in FILES:
        head = tomllib.loads(file.read_text())
        cases = [case for case in head.pop("case") if ("refused" in case) is refused]
        found += [pytest.param(head, case, id=f"{file.stem}: {case['name']}") for case in cases]
    return found


def settings_of(op: Op, head: dict[str, Any], case: dict[str, Any]) -> ProviderSettings:
    preset = PRESETS.get(head.get("preset", ""), {})
    given = {name: preset[name] for name in OF_THE_PRESET if name in preset}
    given |= head.get("settings", {}) | case.get("settings", {})
    listed = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return op.settings(preset=head.get("preset"), **{"userinfo": "missing", **listed})


def op_of(head: dict[str, Any], case: dict[str, Any]) -> Op:
    document = head.get("document", {}) | case.get("document", {})
    op = Op(issuer=document["issuer"], document=document)
    op.keys = [public(rsa(), kid="one", **head.get("key", {}), **case.get("key", {}))]
    op.claims |= head.get("claims", {}) | case.get("claims", {})
    for name in case.get("without", []):
        op.claims.pop(name, None)
    op.userinfo = case.get("userinfo", {})
    return op


async def identify(head: dict[str, Any], case: dict[str, Any]) -> Identity:
    op = op_of(head, case)
    providers = Providers(
        {"op": settings_of(op, head, case)},
        public_url="https://login.example",
        clock=op.clock,
        transport=httpx2.MockTransport(op.handle),
    )
    return (await finish(providers.get("op"))).identity


@pytest.mark.parametrize(("head", "case"), read_cases(refused=False))
async def test_identity(head: dict[str, Any], case: dict[str, Any]) -> None:
    identity = await identify(head, case)
    assert {name: as_toml(getattr(identity, name)) for name in case["expect"]} == absent_as_none(case["expect"])


@pytest.mark.parametrize(("head", "case"), read_cases(refused=True))
async def test_refusal(head: dict[str, Any], case: dict[str, Any]) -> None:
    with pytest.raises(GatewayError) as caught:
        await identify(head, case)
    assert caught.value.code == case["refused"]
    assert case.get("cause", "") in caught.value.cause


def as_toml(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def absent_as_none(expected: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null: "none" stands for it."""
    return {name: None if value == "none" else value for name, value in expected.items()}
