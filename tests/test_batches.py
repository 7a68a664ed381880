"""What is made of the answers that a batch shares."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from gateway.batches import Batches
from gateway.errors import InvalidScope
from gateway.logs import request_id


class Answers:
    """Doubles whatever is asked, and holds each answer back until it is let go."""

    def __init__(self) -> None:
        self.batches: Batches[int, int] = Batches("double", self._answer)
        self.asked: list[list[int]] = []
        self.begun, self.let_go = asyncio.Event(), asyncio.Event()

    async def _answer(self, asked: Sequence[int]) -> list[int]:
        self.asked.append(list(asked))
        self.begun.set()
        await self.let_go.wait()
        return [2 * one for one in asked]


@pytest.fixture
async def answers() -> Answers:
    return Answers()


async def test_what_is_made_of_an_answer_is_each_ones_own(answers: Answers) -> None:
    def make(answer: int) -> str:
        if answer == 4:
            raise InvalidScope("more than was granted")
        return f"made of {answer}"

    answers.let_go.set()
    waiting = (answers.batches.ask(one, make) for one in (1, 2, 3))
    first, second, third = await asyncio.gather(*waiting, return_exceptions=True)
    assert (first, third) == ("made of 2", "made of 6")
    assert isinstance(second, InvalidScope)
    assert answers.asked == [[1, 2, 3]]  # who fails is not asked again


async def test_all_is_made_before_anybody_goes_on(answers: Answers) -> None:
    steps: list[str] = []

    async def one(number: int) -> None:
        await answers.batches.ask(number, lambda answer: steps.append(f"made {answer}"))
        steps.append(f"goes on {number}")

    answers.let_go.set()
    await asyncio.gather(one(1), one(2))
    assert steps == ["made 2", "made 4", "goes on 1", "goes on 2"]


async def test_nothing_is_made_for_who_has_gone_away(answers: Answers) -> None:
    made: list[int] = []
    waiting = [asyncio.create_task(answers.batches.ask(one, made.append)) for one in (1, 2, 3)]
    await answers.begun.wait()
    waiting[1].cancel()
    answers.let_go.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes] == ["NoneType", "CancelledError", "NoneType"]
    assert made == [2, 6]


async def test_what_is_made_is_logged_with_the_id_of_its_own_request(answers: Answers) -> None:
    async def named(name: str, number: int) -> str:
        request_id.set(name)
        return await answers.batches.ask(number, lambda _answer: request_id.get())

    answers.let_go.set()
    assert await asyncio.gather(*map(named, "abc", (1, 2, 3))) == ["a", "b", "c"]
