"""The demonstration as two people use it, and the evaluation beside the live chat."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import pytest_asyncio

from bot.evaluate import evaluate, outcome_of_turn
from bot.settings import ROOT, Settings
from bot.stack import Stack
from tests import smoke
from tests.drills.processes import Process
from tests.e2e.demo import Demo, PublicPerson, running_demo
from tests.support.ports import free_port
from tests.support.serving import PATIENT_GATEWAY

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]
END_SECONDS = 60.0


async def test_smoke_two_people_hold_the_whole_conversation(demo: Demo) -> None:
    said = await smoke.hold(demo)
    assert any(line.startswith("safety") for line in said)
    assert any(line.startswith("staff") for line in said)


async def test_the_desk_is_not_on_the_public_listener(demo: Demo) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{demo.public}/desk/sign-in")).status_code == 404
        assert (await http.get(f"{demo.desk}/chat")).status_code == 404


async def test_ctrl_c_stops_every_process() -> None:
    async with running_demo() as demo:
        children = psutil.Process(demo.process.pid).children(recursive=True)
        assert {"rasa", "rasa_sdk"} <= {word for child in children for word in child.cmdline()}
        assert await demo.stop() == 0
    _, alive = psutil.wait_procs(children, timeout=END_SECONDS)
    assert not alive


async def test_a_killed_demonstration_leaves_no_process() -> None:
    async with running_demo() as demo:
        children = psutil.Process(demo.process.pid).children(recursive=True)
        os.kill(demo.process.pid, signal.SIGKILL)
        await demo.process.wait()
        _, alive = psutil.wait_procs(children, timeout=END_SECONDS)
    assert not alive


async def _command(*arguments: str, **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.cli", *arguments, cwd=ROOT, env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_a_taken_port_ends_in_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = await _command("demo", FRONTCOUNTER_PUBLIC_PORT=str(port))
    assert code == 1
    assert said.strip() == (
        f"Port {port} is taken or not allowed. Stop what uses it, or set FRONTCOUNTER_PUBLIC_PORT."
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FRONTCOUNTER_PUBLIC_PORT", "many"),
        ("FRONTCOUNTER_DATABASE_URL", "mysql://x"),
        ("FRONTCOUNTER_FORCE", "/nowhere/at/all"),
    ],
)
async def test_a_bad_setting_ends_in_one_sentence_that_names_it(name: str, value: str) -> None:
    own = {"FRONTCOUNTER_ASSISTANT_SECRET": "x" * 12, "FRONTCOUNTER_SECRET_KEY": "k" * 32, name: value}
    code, said = await _command("serve", **own)
    assert code == 1
    assert name in said
    assert len(said.strip().splitlines()) == 1


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack() -> AsyncIterator[Stack]:
    """Rasa, its action server and Valkey."""
    settings = Settings(redis_url="")
    async with Stack(settings, settings.models) as running:
        await running.start()
        yield running


def _hundred() -> list[str]:
    """A hundred messages of many kinds."""
    import yaml

    examples = []
    for path in sorted((ROOT / "data" / "faq").glob("*.yml")):
        item = yaml.safe_load(path.read_text("utf-8"))["nlu"][0]
        examples.append(item["examples"].splitlines()[3][2:])
    for path in sorted((ROOT / "data" / "risk").glob("R*.yml")):
        loaded = yaml.safe_load(path.read_text("utf-8"))
        examples += [e if isinstance(e, str) else e["text"] for e in loaded["examples"][:1]]
        examples += loaded["near_misses"][:1]
    examples += ["hello", "thanks", "asdf qwerty", "what is the weather", "let me talk to a person"]
    return (examples * 2)[:100]


async def test_the_evaluation_says_what_the_live_chat_does(stack: Stack, tmp_path: Path) -> None:
    texts = _hundred()
    assert len(texts) == 100
    port = free_port()
    settings = Settings(
        assistant_urls=(stack.assistant_url,),
        assistant_secret=stack.secret,
        database_url=f"sqlite+aiosqlite:///{tmp_path}/live.db",
        redis_url="",
    )
    expected = await evaluate(settings, [[text] for text in texts], desk_open=False)
    process = Process(
        "live", PATIENT_GATEWAY, tmp_path,
        {
            "FRONTCOUNTER_DATABASE_URL": settings.database_url,
            "FRONTCOUNTER_REDIS_URL": "",
            "FRONTCOUNTER_ASSISTANT_URLS": stack.assistant_url,
            "FRONTCOUNTER_ASSISTANT_SECRET": stack.secret,
            "FRONTCOUNTER_SECRET_KEY": "a key of 32 letters, for this test",
            "FRONTCOUNTER_PUBLIC_PORT": str(port),
            "FRONTCOUNTER_DESK_PORT": str(free_port()),
        },
        health=f"http://127.0.0.1:{port}/readyz",
    )  # fmt: skip
    process.start()
    try:
        base = f"http://127.0.0.1:{port}"
        await process.ready()
        live = []
        for text in texts:
            async with PublicPerson(base) as person:
                assert (await person.say(text)).status_code == 200
                live.append(person)
        seen = await _outcomes(settings, len(texts))
    finally:
        code = await asyncio.to_thread(process.stop, 2 * END_SECONDS)
    assert code == 0, process.tail()
    pairs = [
        (text, mine["turns"][0], theirs) for text, mine, theirs in zip(texts, expected, seen, strict=True)
    ]
    wrong = [pair for pair in pairs if not _same(*pair[1:])]
    assert not wrong, json.dumps(wrong[:2], indent=1)
    raced = [pair[0] for pair in pairs if pair[1]["replies"] != pair[2]["replies"]]
    assert len(raced) <= 3, raced


def _same(mine: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether two outcomes say the same.

    When the screen raises a message to P3 and the model, a moment later, to P2, the sentence that
    the door wrote for the P3 is sent only if it leaves before the rise: the send rule refuses it
    after. That moment is the machine's, so there only the safety words and the rest must agree.
    """
    if mine["replies"] == theirs["replies"]:
        return mine == theirs
    both_nets = {"screen", "understanding"} <= set(mine["nets"])
    said = [{key: value for key, value in turn.items() if key != "replies"} for turn in (mine, theirs)]
    return (
        both_nets
        and said[0] == said[1]
        and mine["replies"][0] == theirs["replies"][0]
        and any("in the queue" in reply for reply in mine["replies"])
        and any("in the queue" in reply for reply in theirs["replies"])
    )


async def _outcomes(settings: Settings, count: int) -> list[dict[str, Any]]:
    """What the live gateway's record says of each conversation, in the order of writing."""
    from sqlalchemy import select

    from bot.core import build_core
    from bot.store.tables import Message, Outbox

    unread = select(Message.id).where(Message.handled.is_(False)).limit(1)
    unsent = select(Outbox.id).where(Outbox.state.in_(("queued", "sending"))).limit(1)
    core = build_core(settings, {})
    try:
        async with asyncio.timeout(3 * END_SECONDS):
            while True:
                async with core.store.read() as connection:
                    left = [(await connection.execute(query)).first() for query in (unread, unsent)]
                if left == [None, None]:
                    break
                await asyncio.sleep(0.1)
        async with core.store.read() as connection:
            rows = (
                await connection.execute(select(Message.id, Message.conversation_id).order_by(Message.id))
            ).all()
        assert len(rows) == count
        return [(await outcome_of_turn(core, row.conversation_id, row.id, 0))[0] for row in rows]
    finally:
        await core.stop()


async def test_a_bad_line_of_the_evaluation_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "in.jsonl"
    wrong.write_text('{"text": "hello"}\n{"texts": 3}\n', "utf-8")
    code, said = await _command("evaluate", "--file", str(wrong), "--out", str(tmp_path / "out.jsonl"))
    assert code == 1
    assert "in.jsonl, line 2" in said
    assert not (tmp_path / "out.jsonl").exists()
