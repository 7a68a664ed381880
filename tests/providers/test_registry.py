"""The providers of a configuration, by name and by issuer."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from gateway.errors import ProviderUnavailable, UnknownProvider
from gateway.providers import Providers

from .op import Op, answering, begin, failing

TEMPLATE = "https://login.microsoftonline.com/{tenantid}/v2.0"
CONTOSO = "https://login.microsoftonline.com/11111111-aaaa-4bbb-8ccc-222222222222/v2.0"


def providers(op: Op, /, **entries: dict[str, object]) -> Providers:
    settings = {name: op.settings(name=name, **given) for name, given in entries.items()}
    transport = httpx2.MockTransport(op.handle)
    return Providers(settings, public_url="https://login.example", clock=op.clock, transport=transport)


def test_providers_keep_the_order_of_the_file() -> None:
    found = providers(Op(), zeta={}, cache={}, alpha={})
    assert ([client.name for client in found], len(found)) == (["zeta", "cache", "alpha"], 3)


def test_names_that_authlib_uses_itself_are_names_like_others() -> None:
    found = providers(Op(), cache={}, config={}, register={})
    assert found.get("cache").redirect_uri == "https://login.example/auth/cache/callback"


def test_unknown_provider() -> None:
    with pytest.raises(UnknownProvider):
        providers(Op(), op={}).get("other")


@pytest.mark.parametrize(
    ("issuer", "name"),
    [
        ("https://op.example", "op"),
        ("https://op.example/", "op"),
        ("https://OP.example", None),
        ("https://accounts.google.com", "google"),
        ("accounts.google.com", "google"),
        (CONTOSO, "contoso"),
        (CONTOSO.replace("1", "3"), "microsoft"),
        (TEMPLATE, "microsoft"),
        ("", None),
    ],
)
def test_by_issuer(issuer: str, name: str | None) -> None:
    found = providers(
        Op(),
        op={},
        google={"quirk": "google", "issuer": "https://accounts.google.com"},
        microsoft={"quirk": "microsoft", "issuer": TEMPLATE, "tenant": "common"},
        contoso={"quirk": "microsoft", "issuer": CONTOSO},
    ).by_issuer(issuer)
    assert (found.name if found else None) == name


async def test_by_issuer_follows_the_document_of_a_tenant_named_by_domain() -> None:
    op = Op(issuer=CONTOSO)
    found = providers(op, microsoft={"quirk": "microsoft", "issuer": TEMPLATE, "tenant": "contoso.example"})
    await found.warm()
    assert found.by_issuer(CONTOSO) is not None
    assert found.by_issuer(CONTOSO.replace("1", "3")) is None


async def test_warm_fetches_documents_and_keys() -> None:
    op = Op()
    await providers(op, op={}).warm()
    assert [call.url.path for call in op.calls] == ["/.well-known/openid-configuration", "/jwks"]


async def test_warm_never_raises() -> None:
    op = Op(answers={"/.well-known/openid-configuration": failing(httpx2.ConnectError)})
    found = providers(op, op={})
    await found.warm()
    with pytest.raises(ProviderUnavailable):
        await begin(found.get("op"))


async def test_one_that_is_down_leaves_the_others_alone() -> None:
    op = Op(answers={"/down": answering(500)})
    found = providers(op, op={}, down={"discovery_url": "https://op.example/down"})
    await found.warm()
    with pytest.raises(ProviderUnavailable):
        await begin(found.get("down"))
    assert await begin(found.get("op"))


async def test_close_ends_what_is_under_way() -> None:
    async def hang(_request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(60)
        raise AssertionError

    found = Providers({"op": Op().settings()}, public_url="https://login.example", transport=httpx2.MockTransport(hang))
    flight = found.get("op")._metadata.start()
    await asyncio.sleep(0.01)
    await found.close()
    assert flight.cancelled()
