"""Requests are read strictly, repeats run once, a conversation's turns run one by one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.nlu.turns import (
    TEXT_LIMIT,
    TEXTS_LIMIT,
    OneAtATime,
    RecentAnswers,
    RequestError,
    is_secret,
    read_conversation,
    read_texts,
    read_turn,
)

TURN = {"conversation": "web:1", "turn": "t1", "text": "hello", "button": None}


def test_a_turn_is_read() -> None:
    turn = read_turn(TURN)
    assert (turn.conversation, turn.turn, turn.text, turn.button) == ("web:1", "t1", "hello", None)


def test_a_turn_needs_no_button() -> None:
    assert read_turn({"conversation": "a", "turn": "b", "text": ""}).button is None


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "turn",
        {},
        TURN | {"conversation": ""},
        TURN | {"conversation": "x" * 256},
        TURN | {"turn": 7},
        TURN | {"text": None},
        TURN | {"button": {}},
    ],
)
def test_what_is_not_a_turn_is_a_bad_request(body: Any) -> None:
    with pytest.raises(RequestError) as caught:
        read_turn(body)
    assert caught.value.status == 400


def test_a_text_that_is_too_long_is_refused_without_quoting_it() -> None:
    with pytest.raises(RequestError) as caught:
        read_turn(TURN | {"text": "secret " * TEXT_LIMIT})
    assert caught.value.status == 413
    assert "secret" not in str(caught.value)


def test_texts_to_understand_are_a_list_of_strings_of_limited_length() -> None:
    assert read_texts({"texts": ["a", ""]}) == ["a", ""]
    for body in ({}, {"texts": "a"}, {"texts": [1]}):
        with pytest.raises(RequestError):
            read_texts(body)
    with pytest.raises(RequestError) as caught:
        read_texts({"texts": ["a"] * (TEXTS_LIMIT + 1)})
    assert caught.value.status == 413


def test_forget_names_a_conversation() -> None:
    assert read_conversation({"conversation": "c"}) == "c"
    with pytest.raises(RequestError):
        read_conversation({})


def test_only_the_secret_is_the_secret() -> None:
    assert is_secret("correct horse", "correct horse")
    for wrong in (None, "", "correct hors", "Correct horse", "ünïcode"):
        assert not is_secret(wrong, "correct horse")


def test_answers_are_kept_for_a_while_and_only_so_many() -> None:
    now = [0.0]
    answers = RecentAnswers(limit=2, life_seconds=10, clock=lambda: now[0])
    for key in ("a", "b", "c"):
        answers.keep(key, {"is": key})
    assert answers.get("a") is None
    assert answers.get("c") == {"is": "c"}
    now[0] = 11
    assert answers.get("c") is None


async def test_two_simultaneous_repeats_run_once() -> None:
    turns, runs = OneAtATime(), []

    async def work() -> dict[str, Any]:
        runs.append(1)
        await asyncio.sleep(0.01)
        return {"run": len(runs)}

    both = await asyncio.gather(turns.run("t", work), turns.run("t", work))
    assert both == [{"run": 1}, {"run": 1}]


async def test_a_failed_run_fails_for_all_and_can_be_repeated() -> None:
    turns = OneAtATime()

    async def broken() -> dict[str, Any]:
        await asyncio.sleep(0)
        raise RuntimeError

    both = await asyncio.gather(turns.run("t", broken), turns.run("t", broken), return_exceptions=True)
    assert [type(result) for result in both] == [RuntimeError, RuntimeError]

    async def fine() -> dict[str, Any]:
        return {"ok": True}

    assert await turns.run("t", fine) == {"ok": True}


async def test_a_caller_that_goes_away_does_not_stop_the_run() -> None:
    turns, done = OneAtATime(), []

    async def work() -> dict[str, Any]:
        await asyncio.sleep(0.02)
        done.append(1)
        return {}

    caller = asyncio.ensure_future(turns.run("t", work))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.sleep(0.05)
    assert done == [1]


async def test_turns_of_a_conversation_wait_for_each_other_and_of_others_do_not() -> None:
    turns = OneAtATime()
    running: dict[str, int] = {"a": 0, "b": 0}
    most = {"a": 0, "all": 0}

    async def turn(conversation: str) -> None:
        async with turns.alone(conversation):
            running[conversation] += 1
            most["a"] = max(most["a"], running["a"])
            most["all"] = max(most["all"], sum(running.values()))
            await asyncio.sleep(0.01)
            running[conversation] -= 1

    await asyncio.gather(*(turn(name) for name in "aaab"))
    assert most == {"a": 1, "all": 2}
    assert turns._waiting == {}
