"""The two that are compared: one gateway of ours, and one stock Rasa with its own connectors."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.connectors.platforms import Messenger, Platform, Telegram
from bot.errors import FrontCounterError
from bot.services import rasa_environment
from bot.settings import ROOT
from bot.stack import RASA_PYTHON, free_port
from tests.drills.meta import environment_of, graph_process
from tests.drills.processes import SECRET, Process, python
from tests.drills.questions import Questions
from tests.drills.telegram import TOKEN
from tests.platforms.graph import App
from tests.platforms.telegram.updates import BOT

START_SECONDS = 180.0
OLD_VERSION = "v2.12"
"""Of the Graph API, which the library under Rasa's connector asks for."""
PUBLIC_URL = "https://chat.force.example"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two. Its assistant knows the same questions as the other's."""

    name: str
    server: Process
    platforms: Sequence[Platform]
    is_answer: Callable[[str, str], bool]
    """Whether a text is the answer to the question of that slug."""

    async def restart(self) -> None:
        """End the process with -9, and start it again as a supervisor would."""
        await asyncio.to_thread(self.server.kill)
        self.server.start()
        await self.server.ready(START_SECONDS)


@asynccontextmanager
async def ours(folder: Path, questions: Questions) -> AsyncIterator[Side]:
    """One gateway on SQLite, as `frontcounter serve` starts it; a stand-in for Rasa knows the questions."""
    await asyncio.to_thread(folder.mkdir)
    server_port, desk_port, rasa_port = (free_port() for _ in range(3))
    url = f"http://127.0.0.1:{server_port}"
    phrases = folder / "phrases.json"
    phrases.write_text(json.dumps(questions.phrases), "utf-8")
    rasa = Process(
        "rasa",
        python("tests.loopback_rasa", "--port", str(rasa_port), "--secret", SECRET, "--phrases", str(phrases)),
        folder, health=f"http://127.0.0.1:{rasa_port}/webhooks/gateway/status",
        headers={"X-Front-Counter-Secret": SECRET},
    )  # fmt: skip
    app = App()
    graph, graph_url = _graph(app, folder, url)
    telegram, telegram_url = _telegram(folder, url)
    server = Process(
        "gateway", python("bot.cli", "serve"), folder,
        {
            "FRONTCOUNTER_DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'record.db'}",
            "FRONTCOUNTER_REDIS_URL": "",
            "FRONTCOUNTER_ASSISTANT_URLS": f"http://127.0.0.1:{rasa_port}",
            "FRONTCOUNTER_ASSISTANT_SECRET": SECRET,
            "FRONTCOUNTER_SECRET_KEY": "made up for this comparison, and for nothing else",
            "FRONTCOUNTER_PUBLIC_PORT": str(server_port),
            "FRONTCOUNTER_DESK_PORT": str(desk_port),
            "FRONTCOUNTER_VAR": str(folder),
            "FRONTCOUNTER_LOG_LEVEL": "WARNING",
            "FRONTCOUNTER_TELEGRAM_TOKEN": TOKEN,
            "FRONTCOUNTER_TELEGRAM_MODE": "webhook",
            "FRONTCOUNTER_TELEGRAM_SECRET": SECRET,
            "FRONTCOUNTER_TELEGRAM_API_URL": telegram_url,
            "FRONTCOUNTER_PUBLIC_URL": PUBLIC_URL,
            **environment_of(app, graph_url),
        },
        health=f"{url}/readyz", cwd=ROOT,
    )  # fmt: skip
    answers = {slug: " ".join(text.split()) for slug, text in questions.answers.items()}
    platforms = (
        Messenger(graph, graph_url, url, app),
        Telegram(telegram, telegram_url, url, "/telegram/webhook"),
    )
    side = Side("ours", server, platforms, lambda slug, text: answers[slug] in " ".join(text.split()))
    async with _started([graph, telegram, rasa, server], side):
        yield side


@asynccontextmanager
async def stock(folder: Path, questions: Questions, *, mended: bool = True) -> AsyncIterator[Side]:
    """`rasa run` with its connectors `facebook` and `telegram`, sent to the loopback platforms.

    `mended`: its Telegram connector can call Telegram at all (see `redirect/sitecustomize.py`).
    """
    await asyncio.to_thread(folder.mkdir)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    app = App(webhook_path="/webhooks/facebook/webhook", requires_proof=False)
    graph, graph_url = _graph(
        app, folder, url, "--version", OLD_VERSION, "--no-proof", "--webhook-path", app.path
    )
    telegram, telegram_url = _telegram(folder, url)
    project = folder / "project"
    write_project(project, questions, app)
    environment = rasa_environment(
        PYTHONPATH=str(Path(__file__).parent / "redirect"), LOOPBACK_GRAPH=graph_url,
        LOOPBACK_TELEGRAM=telegram_url, LOOPBACK_MENDED="1" if mended else "", NO_PROXY="127.0.0.1", no_proxy="127.0.0.1", HOME=str(folder),
    )  # fmt: skip
    await _train(project, environment)
    server = Process(
        "rasa",
        [
            str(RASA_PYTHON), "-m", "rasa", "run", "--model", "models", "--credentials", "credentials.yml",
            "--endpoints", "endpoints.yml", "--interface", "127.0.0.1", "--port", str(port),
        ],
        folder, environment, health=f"{url}/webhooks/facebook/", cwd=project,
    )  # fmt: skip
    platforms = (
        Messenger(graph, graph_url, url, app),
        Telegram(telegram, telegram_url, url, "/webhooks/telegram/webhook"),
    )
    side = Side("stock", server, platforms, lambda slug, text: text == stock_answer(slug))
    async with _started([graph, telegram, server], side):
        yield side


@asynccontextmanager
async def _started(processes: Sequence[Process], side: Side) -> AsyncIterator[None]:
    try:
        for process in processes:
            process.start()
            await process.ready(START_SECONDS)
        yield
    finally:
        for process in reversed(processes):
            await asyncio.to_thread(process.stop)
        for platform in side.platforms:
            await platform.close()


def _graph(app: App, folder: Path, server: str, *words: str) -> tuple[Process, str]:
    port = free_port()
    log = folder / "messenger.jsonl"
    return graph_process(app, port, folder, log, [server], 0, *words), f"http://127.0.0.1:{port}"


def _telegram(folder: Path, server: str) -> tuple[Process, str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    words = ("--port", str(port), "--token", TOKEN, "--log", str(folder / "telegram.jsonl"))
    command = python("tests.platforms.telegram.server", *words, "--gateway", server)
    return Process("telegram", command, folder, health=f"{url}/control/pending"), url


# ---- the stock project ---------------------------------------------------------------------------


def stock_answer(slug: str) -> str:
    """What stock Rasa says to the question of that slug: one paragraph, since it cuts at blank lines."""
    return f"This is the answer about {slug.replace('-', ' ')}."


def write_project(folder: Path, questions: Questions, app: App) -> None:
    """A Rasa project of stock parts alone that knows the questions by their words, and so trains in seconds."""
    (folder / "data").mkdir(parents=True)
    phrases = questions.phrases
    intents = {slug: f"ask_{slug.replace('-', '_')}" for slug in phrases.values()}
    nlu = [{"intent": intents[slug], "examples": f"- {phrase}\n"} for phrase, slug in phrases.items()]
    rules = [
        {"rule": slug, "steps": [{"intent": intent}, {"action": f"utter_{intent}"}]}
        for slug, intent in intents.items()
    ]
    said = {f"utter_{intent}": [{"text": stock_answer(slug)}] for slug, intent in intents.items()}
    _write(folder / "data" / "nlu.yml", {"version": "3.1", "nlu": nlu})
    _write(folder / "data" / "rules.yml", {"version": "3.1", "rules": rules})
    _write(folder / "domain.yml", {"version": "3.1", "intents": list(intents.values()), "responses": said})
    pipeline = [{"name": "WhitespaceTokenizer"}, {"name": "KeywordIntentClassifier", "case_sensitive": False}]
    config = {
        "recipe": "default.v1",
        "language": "en",
        "pipeline": pipeline,
        "policies": [{"name": "RulePolicy"}],
    }
    _write(folder / "config.yml", config)
    _write(folder / "endpoints.yml", {})
    credentials = {
        "facebook": {"verify": app.verify_token, "secret": app.app_secret, "page-access-token": app.token},
        "telegram": {
            "access_token": TOKEN, "verify": BOT["username"],
            "webhook_url": f"{PUBLIC_URL}/webhooks/telegram/webhook",
        },
    }  # fmt: skip
    _write(folder / "credentials.yml", credentials)


async def _train(project: Path, environment: Mapping[str, str]) -> None:
    log = project / "train.log"
    with log.open("wb") as output:
        child = await asyncio.create_subprocess_exec(
            str(RASA_PYTHON), "-m", "rasa", "train", "--out", "models", cwd=project, env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
        try:
            code = await asyncio.wait_for(child.wait(), START_SECONDS)
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
    if code or not list((project / "models").glob("*.tar.gz")):
        raise FrontCounterError(f"Stock Rasa could not be trained:\n{log.read_text('utf-8')[-1500:]}")


def _write(path: Path, content: Any) -> None:
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), "utf-8")


def missing() -> str:
    """Why the comparison cannot be made here; empty when it can."""
    if not RASA_PYTHON.exists():
        return "The assistant's environment is missing. Run `make setup` first."
    return "" if os.name == "posix" else "Processes are ended with -9 here, which only POSIX systems know."
