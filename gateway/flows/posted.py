"""Posted: an ID token that a browser or an application brought by itself. Each is accepted once, like a code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway import attempts
from gateway.db import Database
from gateway.errors import AttemptUsed, NonceMismatch
from gateway.nonces import LIFETIME
from gateway.providers.id_token import MAX_AGE, digest_of

if TYPE_CHECKING:
    from gateway.providers.client import ProviderClient, Vouched

# Told the nonce in a verified token, None without one: what is spent together with the token. Raises NonceMismatch.
Judge = Callable[[str | None], str | None]

SLACK = 120  # seconds that what is spent is remembered beyond its life


def no_nonce(_claimed: str | None) -> None:
    """For tokens that come over a channel of their own, from a client that has said who it is."""


async def receive(
    database: Database, provider: ProviderClient, id_token: str, now: int, judge: Judge = no_nonce
) -> Vouched:
    """Whom a posted ID token is about. It is verified as at the callback, and spent.

    Raises what `ProviderClient.verify_posted` does; AttemptUsed for a token that was accepted before, NonceMismatch for
    another token with a nonce that was. Nothing is written for a token that does not hold.
    """
    spent_with: list[str] = []

    def judge_once(claimed: str | None) -> None:
        spent_with.extend(filter(None, [judge(claimed)]))

    posted = await provider.verify_posted(id_token, judge_once)
    async with database.write() as connection:
        if not await attempts.spend(connection, f"id-token:{posted.digest}", posted.expires_at + SLACK):
            raise AttemptUsed("this ID token was accepted before")
        for nonce in spent_with:
            if not await attempts.spend(connection, f"nonce:{nonce}", now + LIFETIME + SLACK):
                raise NonceMismatch("the nonce was used before")
    return posted.vouched


async def withhold(database: Database, provider: ProviderClient, id_token: str, now: int) -> None:
    """Spend the ID token of a redirect before it goes into an address: whoever reads that later may not bring it."""
    forget_at = now + MAX_AGE["posted"] + provider.settings.leeway + SLACK
    await attempts.spend_alone(database, f"id-token:{digest_of(id_token)}", forget_at)


def judge_nonce(claimed: str | None, given: str | None, ours: Callable[[str], bool], *, required: bool) -> str | None:
    """The nonce to spend, None where there is none of ours. Raises NonceMismatch. Pure.

    `claimed`: in the token. `given`: what the caller says it asked for. `ours`: whether we issued it to this browser.
    """
    if given is not None and given != claimed:
        raise NonceMismatch("the token has another nonce than the request says")
    if claimed is not None and ours(claimed):
        return claimed
    if required:
        raise NonceMismatch("no nonce" if claimed is None else "a nonce that this browser was not given, or too old")
    return None
