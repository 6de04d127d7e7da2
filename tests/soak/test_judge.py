"""What the soak's judge says of lines whose answer is known."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bot.stack import RASA_PYTHON
from tests.soak import judge
from tests.soak.__main__ import draw

CHANCE = random.Random(7)


def line(per_second: float, seconds: float, start: float = 100.0, noise: float = 1.0) -> list[judge.Point]:
    """A sample every five seconds."""
    return [
        (float(at), start + per_second * at + CHANCE.uniform(-noise, noise))
        for at in range(0, int(seconds), 5)
    ]


def test_the_slope_is_not_moved_by_outliers() -> None:
    points = line(0.01, 900)
    for place in range(0, len(points), 7):
        points[place] = (points[place][0], 900.0)
    assert judge.slope(points) == pytest.approx(0.01, rel=0.3)


def test_flat_memory_is_flat_and_a_leak_is_not() -> None:
    """900 seconds of a half-hour run: half the run is 900 seconds."""
    flat = judge.trend("gateway0", 1, line(0.0, 900), 1800)
    leak = judge.trend("gateway0", 1, line(0.02, 900), 1800)
    assert flat is not None
    assert leak is not None
    assert flat.judged
    assert flat.is_flat
    assert abs(flat.megabytes_per_hour) < 5
    assert leak.megabytes_per_hour == pytest.approx(72, rel=0.1)
    assert leak.growth == pytest.approx(18 / 110, rel=0.15)
    assert not leak.is_flat


def test_a_small_process_may_gain_a_few_megabytes() -> None:
    """A tenth of six megabytes would be half of one."""
    small = judge.trend("actions", 1, [(x, 6 + 0.004 * x) for x in range(0, 900, 5)], 1800)
    leak = judge.trend("actions", 1, [(x, 6 + 0.008 * x) for x in range(0, 900, 5)], 1800)
    assert small is not None
    assert leak is not None
    assert small.growth > judge.MOST_GROWTH
    assert small.is_flat
    assert not leak.is_flat
    store = judge.trend("valkey", 1, [(x, 6 + 0.008 * x) for x in range(0, 900, 5)], 1800)
    assert store is not None
    assert not store.judged


def test_the_warm_up_is_not_growth() -> None:
    warming = [(at, 50 + at) if at < 100 else (at, 150.0) for at, _ in line(0.0, 900)]
    found = judge.trend("rasa", 1, warming, 1800)
    assert found is not None
    assert found.megabytes_per_hour == pytest.approx(0)


def test_a_short_life_is_not_judged() -> None:
    short = judge.trend("gateway0", 2, line(0.5, 120), 1800)
    assert short is not None
    assert not short.judged
    assert short.is_flat
    assert judge.trend("gateway0", 3, line(0.5, 10), 1800) is None


def test_the_last_third_is_held_against_the_first_outside_restarts() -> None:
    points = [(float(at), 0.1) for at in range(900)]
    points += [(float(at), 0.3) for at in range(600, 900, 5)]
    points += [(450.0, 60.0), (650.0, 60.0)]
    found = judge.steadiness(points, [(440, 460), (640, 660)], 900)
    assert found == {"p99_first_third_ms": 100.0, "p99_last_third_ms": 300.0, "p99_ratio": 3.0}
    assert judge.steadiness([], [], 900)["p99_ratio"] is None


def test_a_percentile_is_one_of_the_values() -> None:
    assert judge.percentile(range(1, 101), 0.99) == 99
    assert judge.percentile([5.0], 0.99) == 5.0
    assert judge.percentile([], 0.5) is None


def test_a_curve_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From tables as the soak writes them, with holes where nothing was measured."""
    if not RASA_PYTHON.exists():
        pytest.skip("the assistant's environment is missing: it holds matplotlib")
    (tmp_path / "processes.csv").write_text(
        "seconds,process,generation,rss_mb,pss_mb,files,threads,cpu_seconds\n"
        "0,gateway0,1,120,100,20,4,1\n5,gateway0,1,121,101,20,4,2\n60,gateway0,2,110,90,20,4,1\n"
    )
    (tmp_path / "state.csv").write_text(
        "seconds,database_mb,waiting,outbox,people,staff_busy,healthz0_ms,healthz1_ms,generator_late_ms\n"
        "0,1.5,0,2,9,1,3,,0\n5,1.6,,,9,1,,,0\n"
    )
    (tmp_path / "minutes.csv").write_text("minute,source,messages,p50_ms,p99_ms\n0,webchat,60,20,90\n")
    (tmp_path / "restarts.json").write_text('[{"process": "gateway0", "how": "kill", "at": 30, "ready": 33}]')
    (tmp_path / "summary.json").write_text(
        '{"minutes": 1, "offered_per_second": 7, "capacity_per_second": 10, "database": "sqlite",'
        '"restarts": 1, "inbound": 60, "lost": 0, "doubled": 0, "talked_over": 0, "reordered": 0}'
    )
    draw(tmp_path)
    assert "curve.png" in capsys.readouterr().out
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "curve.svg").read_text("utf-8")
