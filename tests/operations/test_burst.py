"""The benchmark of a burst: what it decides, and how its made-up people call the gateways."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from benchmarks.burst import judge
from benchmarks.burst.crowd import Crowd, Visit, mixed
from benchmarks.burst.system import System
from benchmarks.wire import Line
from bot.stack import RASA_PYTHON
from tests.platforms.graph import App, sign
from tests.platforms.graph.server import HEADER

BLOCK, DOWN = "In danger, call 999 now.", "does not answer"


def visit(due: float, answered: float | None, heard: float | None = None, **more: object) -> Visit:
    """What somebody saw."""
    found = Visit("75", bool(more.pop("danger", False)), due, answered, heard=heard)
    found.helped = more.pop("helped", None)  # type: ignore[assignment]
    return found


def tried(rate: float, p99_ms: float) -> judge.Probe:
    """A rate and what it came to."""
    return judge.Probe(rate, 100, 1.0, p99_ms, 0, 0.0)


def searched(best: float) -> tuple[float, int]:
    """What the search finds of a machine that bears so much, and after how many rates."""
    probes: list[judge.Probe] = []
    while (rate := judge.next_rate(probes, 50.0, 1000.0)) is not None:
        probes.append(tried(rate, 400.0 if rate <= best else 5000.0))
    return judge.highest(probes, 1000.0), len(probes)


@pytest.mark.parametrize("best", [7, 49, 50, 73, 200, 431, 1500])
def test_the_search_ends_near_the_highest_rate_and_never_above_it(best: float) -> None:
    found, rates = searched(best)

    assert best / judge.CLOSE / 1.03 <= found <= best
    assert rates <= 14


def test_a_machine_that_bears_nothing_ends_the_search() -> None:
    assert searched(0.0)[0] == 0.0


def test_a_webhook_without_an_answer_at_its_first_try_counts_as_never_answered() -> None:
    """Two in a hundred are more than the slowest hundredth."""
    good = [visit(float(n), n + 0.02) for n in range(98)]
    one = judge.probe(10, [*good, visit(1.0, 1.5), visit(1.0, None)])
    two = judge.probe(10, [*good, visit(1.0, None), visit(1.0, None)])

    assert (one.p99_ms, one.not_answered, one.is_good(1000.0)) == (500.0, 1, True)
    assert (two.p99_ms, two.not_answered, two.is_good(1000.0)) == (math.inf, 2, False)
    assert two.as_json()["p99_ms"] is None


def test_whoever_in_danger_never_got_the_words_is_not_left_out() -> None:
    found = judge.helped(
        [
            visit(1.0, 1.1, 1.2),
            visit(1.0, 1.1, 1.2, danger=True),
            visit(1.0, 1.1, 9.0, danger=True, helped=1.4),
        ]
    )

    assert found == [math.inf, pytest.approx(0.4)]
    assert judge.seconds(found, 1.0) is None
    assert judge.seconds(found, 0.5) == 0.4


def test_the_backlog_is_who_wrote_and_was_not_heard() -> None:
    rows = judge.by_second([visit(10.0, 10.1, 10.5), visit(10.2, 12.2, 12.5), visit(11.0, None, 12.9)], 10.0)

    assert [row["waiting"] for row in rows] == [1, 2, 0]
    assert [row.get("slowest") for row in rows] == [2.0, None, None]


def test_those_in_danger_are_spread_evenly() -> None:
    texts = mixed(itertools.repeat("plain"), itertools.repeat("danger"), 100, 0.05)

    assert [n for n, (text, danger) in enumerate(texts) if danger and text == "danger"] == [
        19,
        39,
        59,
        79,
        99,
    ]
    assert not any(danger for _, danger in mixed(iter(["a"] * 9), iter(()), 9, 0.0))


@pytest.fixture
async def called(tmp_path: Path) -> AsyncIterator[tuple[System, list[web.Request], list[bytes]]]:
    """Two gateways, of which the first refuses its first call, and a Messenger that lets everybody write."""
    requests: list[web.Request] = []
    bodies: list[bytes] = []

    async def webhook(request: web.Request) -> web.Response:
        requests.append(request)
        bodies.append(await request.read())
        return web.Response(status=503 if len(requests) == 1 else 200)

    async def state(_request: web.Request) -> web.Response:
        return web.json_response({})

    app = web.Application()
    app.add_routes([web.post("/messenger/webhook", webhook), web.post("/control/state", state)])
    log = tmp_path / "messenger.jsonl"
    log.touch()
    async with TestServer(app, host="127.0.0.1") as server:
        port = int(server.port or 0)
        yield System(App(), [port, port], f"http://127.0.0.1:{port}", log), requests, bodies


async def test_people_call_signed_and_again_until_they_are_taken(
    called: tuple[System, list[web.Request], list[bytes]],
) -> None:
    """What was refused at first is delivered, and still counts as not answered."""
    system, requests, bodies = called
    crowd = Crowd(system, BLOCK, DOWN)
    visits = await crowd.write([("where is the station", False), ("he has a knife", True)], 100.0)
    crowd.close()

    assert sorted(one.tries for one in visits) == [1, 2]
    assert [one.answered is None for one in visits if one.tries == 2] == [True]
    assert [one.headers[HEADER] for one in requests] == [sign(body, system.app.app_secret) for body in bodies]
    said = {json.loads(body)["entry"][0]["messaging"][0]["message"]["text"] for body in bodies}
    assert said == {"where is the station", "he has a knife"}


async def test_what_people_hear_is_read_from_the_platforms_log(
    called: tuple[System, list[web.Request], list[bytes]],
) -> None:
    """Half a line is read when it is whole; other words for somebody in danger are no help."""
    system, _, _ = called
    crowd = Crowd(system, BLOCK, DOWN)
    plain, danger = await crowd.write([("where is the station", False), ("he has a knife", True)], 100.0)
    lines = [
        json.dumps({"what": "send", "n": n, "at": at, "person": one.person, "text": text})
        for n, (one, at, text) in enumerate([
            (danger, 5.0, "I am a bot."), (plain, 6.0, "The assistant does not answer."),
            (danger, 7.0, f"{BLOCK} Stay safe."), (danger, 8.0, BLOCK),
        ])
    ]  # fmt: skip
    with system.log.open("a") as log:
        log.write("\n".join([json.dumps({"what": "delivery", "ids": []}), lines[0], lines[1][:20]]))
        log.flush()
        assert not await crowd.hear([plain, danger], 0.0)
        log.write("\n".join([lines[1][20:], *lines[2:], ""]))
        log.flush()
        assert await crowd.hear([plain, danger], 0.0)
    crowd.close()

    assert (danger.heard, danger.helped, danger.passed_on) == (5.0, 7.0, False)
    assert (plain.heard, plain.helped, plain.passed_on) == (6.0, None, True)


async def test_a_line_posts_bytes_as_they_are(
    called: tuple[System, list[web.Request], list[bytes]],
) -> None:
    """Or the signature would be of another body."""
    system, _, bodies = called
    line = Line(system.public[0])
    await line.post_bytes("/messenger/webhook", b'{"a":  "\\u00e9"}')
    line.close()

    assert bodies == [b'{"a":  "\\u00e9"}']


def test_the_curve_is_drawn_where_some_rates_never_ended(tmp_path: Path) -> None:
    """With a rate that was never answered, and seconds in which nobody wrote."""
    if not RASA_PYTHON.exists():
        pytest.skip("the assistant's environment is missing: it holds matplotlib")
    from benchmarks.burst.__main__ import draw_curve

    found = {
        "people": 2, "seconds": 1.0, "database": "sqlite", "processor_cores": 2, "highest_rate": 50,
        "probes": [tried(50, 20.0).as_json(), tried(75, math.inf).as_json()],
        "curve": judge.by_second([visit(0.0, 0.1, 0.5), visit(0.2, None, 3.5)], 0.0),
        "words": [[0.1, 0.2]],
    }  # fmt: skip
    (tmp_path / "burst.json").write_text(json.dumps(found))
    draw_curve(tmp_path)

    assert (tmp_path / "burst.png").read_bytes().startswith(b"\x89PNG")
