"""The URL that people are sent to."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from .op import CLIENT_ID, CODE_VERIFIER, NONCE, STATE, Op


async def sent(
    op: Op, *, prompt: str | None = None, login_hint: str | None = None, **given: Any
) -> dict[str, list[str]]:
    client = op.client(**given)
    url = await client.begin(
        state=STATE, nonce=NONCE, code_verifier=CODE_VERIFIER, prompt=prompt, login_hint=login_hint
    )
    return parse_qs(urlsplit(url).query, keep_blank_values=True)


async def test_request_is_complete_and_nothing_else() -> None:  # PKCE-1, BCP-2
    assert await sent(Op()) == {
        "response_type": ["code"],
        "client_id": [CLIENT_ID],
        "redirect_uri": ["https://login.example/auth/op/callback"],
        "scope": ["openid email profile"],
        "state": [STATE],
        "nonce": [NONCE],
        "code_challenge": ["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"],
        "code_challenge_method": ["S256"],
    }


async def test_form_post_is_asked_for() -> None:
    assert (await sent(Op(), response_mode="form_post"))["response_mode"] == ["form_post"]


async def test_prompt_and_login_hint_are_passed_on() -> None:
    fields = await sent(Op(), prompt="none", login_hint="ada+x@example.com&state=evil")
    assert (fields["prompt"], fields["login_hint"]) == (["none"], ["ada+x@example.com&state=evil"])
    assert fields["state"] == [STATE]


async def test_fixed_parameters_are_sent() -> None:
    fields = await sent(Op(), authorize_params={"access_type": "offline", "x": "a b&c"})
    assert (fields["access_type"], fields["x"]) == (["offline"], ["a b&c"])


async def test_fixed_prompt_cannot_be_talked_away() -> None:
    fields = await sent(Op(), prompt="none", authorize_params={"prompt": "login"})
    assert fields["prompt"] == ["login"]


@pytest.mark.parametrize("name", ["state", "nonce", "client_id", "redirect_uri", "code_challenge_method", "scope"])
async def test_fixed_parameters_do_not_replace_ours(name: str) -> None:
    assert await sent(Op(), authorize_params={name: "evil"}) == await sent(Op())


async def test_query_of_the_endpoint_stays_without_what_is_ours() -> None:
    op = Op(document={"authorization_endpoint": "https://op.example/authorize?p=b2c_1&client_id=evil&state="})
    fields = await sent(op)
    assert (fields["p"], fields["client_id"], fields["state"]) == (["b2c_1"], [CLIENT_ID], [STATE])


async def test_endpoint_is_followed_when_the_document_changes() -> None:
    op = Op()
    client = op.client()
    await client.begin(state=STATE, nonce=NONCE, code_verifier=CODE_VERIFIER)
    op.document["authorization_endpoint"] = "https://op.example/moved"
    await client._metadata.renew()
    url = await client.begin(state=STATE, nonce=NONCE, code_verifier=CODE_VERIFIER)
    assert url.startswith("https://op.example/moved?")
