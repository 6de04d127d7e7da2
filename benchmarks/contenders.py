"""The two that are compared: how each is trained and started, and which processes it is made of."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import stock
from benchmarks.people import Person, Sender, Visitor
from benchmarks.sample import Sample
from benchmarks.wire import Line
from bot.errors import FrontCounterError, UnavailableError
from bot.services import rasa_environment
from bot.settings import ROOT, load_settings
from bot.stack import RASA_PYTHON, Stack, free_port

TRAIN_SECONDS = 1800.0
START_SECONDS = 180.0
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Running:
    """A started assistant."""

    name: str
    start_seconds: float
    """From the start of its first process to its first answer."""
    pids: dict[str, int]
    newcomer: Callable[[], Person]


async def train_ours(sample: Sample, model: Path) -> float:
    """Train our model from the sample with nothing cached; returns the seconds it took."""
    with tempfile.TemporaryDirectory(prefix="frontcounter-bench-") as kept:
        folder = Path(kept)
        data = folder / "data"
        shutil.copytree(ROOT / "data" / "rules", data)
        for name, content in sample.files.items():
            (data / name).write_text(content, "utf-8")
        return await _train(folder, data, ROOT / "config.yml", ROOT / "domain.yml", model)


async def train_stock(sample: Sample, model: Path) -> float:
    """Train stock Rasa's model from the sample; returns the seconds it took."""
    with tempfile.TemporaryDirectory(prefix="frontcounter-bench-") as kept:
        folder = Path(kept) / "project"
        stock.write_project(folder, sample)
        return await _train(Path(kept), folder / "data", folder / "config.yml", folder / "domain.yml", model)


async def _train(folder: Path, data: Path, config: Path, domain: Path, model: Path) -> float:
    built = folder / "built"
    environment = _environment(
        RASA_CACHE_DIRECTORY=str(folder / "cache"), FRONTCOUNTER_ASSISTANT_SECRET="x" * 16
    )
    async with Stack(load_settings(), built) as stack:
        started = time.perf_counter()
        process = await stack.spawn(
            "training",
            [
                str(RASA_PYTHON), "-m", "rasa", "train", "--fixed-model-name", model.name,
                "--data", str(data), "--config", str(config), "--domain", str(domain),
                "--out", str(built),
            ],
            env=environment,
        )  # fmt: skip
        async with asyncio.timeout(TRAIN_SECONDS):
            code = await process.child.wait()
        seconds = time.perf_counter() - started
        if code != 0:
            raise FrontCounterError(f"The training failed. Its last words were:\n{process.tail(20)}")
    model.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(built / model.name, model)
    return seconds


@contextlib.asynccontextmanager
async def ours(model: Path) -> AsyncIterator[Running]:
    """The whole of Front Counter, as the demonstration starts it, with an empty SQLite database."""
    settings = load_settings(redis_url="")
    public = free_port()
    async with Stack(settings, model.parent) as stack:
        started = time.perf_counter()
        await stack.start_redis()
        await stack.start_actions()
        await stack.start_rasa(model)
        await stack.spawn(
            "gateway",
            [sys.executable, "-m", "bot.cli", "serve"],
            env={
                **os.environ,
                "FRONTCOUNTER_DATABASE_URL": f"sqlite+aiosqlite:///{stack.folder / 'record.db'}",
                "FRONTCOUNTER_REDIS_URL": stack.redis_url,
                "FRONTCOUNTER_ASSISTANT_URLS": stack.assistant_url,
                "FRONTCOUNTER_ASSISTANT_SECRET": stack.secret,
                "FRONTCOUNTER_SECRET_KEY": secrets.token_urlsafe(32),
                "FRONTCOUNTER_PUBLIC_PORT": str(public),
                "FRONTCOUNTER_DESK_PORT": str(free_port()),
            },
        )

        async def is_ready() -> bool:
            line = Line(public)
            try:
                answer = await line.get("/readyz")
                return answer.status == 200 and bool(json.loads(answer.body)["assistant"])
            finally:
                line.close()

        await _until(stack, is_ready)
        yield await _first_answer("ours", stack, started, lambda: Visitor(public))


@contextlib.asynccontextmanager
async def stock_rasa(model: Path) -> AsyncIterator[Running]:
    """Stock Rasa as `rasa run` starts it, trackers in memory."""
    port = free_port()
    async with Stack(load_settings(redis_url=""), model.parent) as stack:
        credentials, endpoints = stack.folder / "credentials.yml", stack.folder / "endpoints.yml"
        credentials.write_text("rest:\n", "utf-8")
        endpoints.write_text("{}\n", "utf-8")
        started = time.perf_counter()
        await stack.spawn(
            "rasa",
            [
                str(RASA_PYTHON), "-m", "rasa", "run", "--model", str(model),
                "--credentials", str(credentials), "--endpoints", str(endpoints),
                "--interface", "127.0.0.1", "--port", str(port),
            ],
            env=_environment(),
        )  # fmt: skip

        async def is_ready() -> bool:
            line = Line(port)
            try:
                return (await line.get("/")).status == 200
            finally:
                line.close()

        await _until(stack, is_ready)
        yield await _first_answer("stock", stack, started, lambda: Sender(port))


def _environment(**extra: str) -> dict[str, str]:
    """What both get: no telemetry, compiled byte-code. The rest is as this shell has it."""
    quiet = ("RASA_TELEMETRY_ENABLED", "TF_CPP_MIN_LOG_LEVEL", "PYTHONDONTWRITEBYTECODE")
    return {**os.environ, **{name: rasa_environment()[name] for name in quiet}, **extra}


async def _until(stack: Stack, is_ready: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            ended = [process for process in stack.processes if process.child.returncode is not None]
            if ended:
                raise UnavailableError(f"{ended[0].name} ended. Its last words were:\n{ended[0].tail(20)}")
            with contextlib.suppress(OSError, ValueError):
                if await is_ready():
                    return
            await asyncio.sleep(_LOOK_SECONDS)


async def _first_answer(name: str, stack: Stack, started: float, newcomer: Callable[[], Person]) -> Running:
    first = newcomer()
    await first.say("how do i report a stolen bike")
    seconds = time.perf_counter() - started
    await first.leave()
    pids = {process.name: process.child.pid for process in stack.processes}
    return Running(name, seconds, pids, newcomer)
