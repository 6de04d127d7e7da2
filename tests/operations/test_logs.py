"""What a gateway logs: JSON lines in which nothing stands that anybody wrote or is called."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from bot.errors import BadRequestError
from bot.logs import WITHHELD, set_up_logs
from bot.settings import ROOT
from bot.stack import RASA_PYTHON
from bot.store import Store
from tests.operations.running import PATIENCE_SECONDS, gateway, settled
from tests.support.rasa import LoopbackRasa

MARK = "zebrafish"
PHONE = "07700 900123"
TOKEN = "Tk9fcGVyc29uX3Nob3VsZF9zZWVfdGhpcw"
NAME = "Persephone Quillfeather"
SECRETS = (MARK, PHONE, PHONE.replace(" ", ""), TOKEN, NAME, "Quillfeather", "localhost:1/", "s3cr3t-of-sql")


def lines_of(text: str) -> list[dict[str, Any]]:
    """Every line of a log, each of which must be JSON."""
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def check(text: str) -> list[dict[str, Any]]:
    """No mark of ours stands in a log. Returns its lines."""
    found = lines_of(text)
    for mark in SECRETS:
        assert mark.casefold() not in text.casefold()
    assert all("event" in line and "timestamp" in line and "level" in line for line in found)
    return found


async def provoke(public: str, desk: str, answers: int | None = 200) -> None:
    """Everything that goes wrong at a door, with marks in it."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS) as http:
        for number in range(3):
            body = {
                "id": f"mark-{number}-{MARK}",
                "text": f"{MARK} {NAME} {PHONE} how long is the wait on 101",
            }
            answer = await http.post(f"{public}/chat/messages", json=body)
            assert answers is None or answer.status_code == answers
        for content in (b"{", MARK.encode(), b'{"id": 3}', b"\xff\xfe", json.dumps({"id": MARK}).encode()):
            await http.post(f"{public}/chat/messages", content=content)
        for path in (
            f"/chat/{MARK}?token={TOKEN}",
            f"/{TOKEN}",
            f"/desk/chats/{PHONE}",
            "/chat/stream?after=" + MARK,
        ):
            await http.get(public + path, headers={"Authorization": f"Bearer {TOKEN}"})
            await http.get(desk + path, headers={"Cookie": f"frontcounter_desk={TOKEN}"})
        form = {"username": NAME, "password": TOKEN, "text": MARK}
        await http.post(f"{desk}/desk/sign-in", data=form)
        await http.post(f"{public}/chat", data={"id": MARK, "text": f"{MARK} {PHONE}", "start": TOKEN})
        await http.request("BREW", f"{public}/chat/{MARK}")


@pytest.mark.e2e
async def test_no_line_holds_what_people_wrote_whatever_goes_wrong(
    database_url: str, rasa: LoopbackRasa, tmp_path: Path
) -> None:
    one = gateway("logs", tmp_path, database_url, "", rasa.url, FRONTCOUNTER_LOG_LEVEL="DEBUG")
    store = Store(database_url)
    await one.start()
    try:
        await provoke(one.public, one.desk)
        rasa.down = True
        # It rests after some failures in a row; messages that came close together failed in one.
        for _ in range(20):
            await provoke(one.public, one.desk)
            await settled(store)
            if "assistant.resting" in one.log.read_text("utf-8"):
                break
        rasa.down, rasa.garbage = False, {"intent": MARK, "messages": [{"answer": MARK}]}
        await provoke(one.public, one.desk)
        await settled(store)
    finally:
        await store.close()
        assert await one.stop() == 0
    found = check(one.log.read_text("utf-8"))
    events = {line["event"] for line in found}
    assert {"gateway.serving", "assistant.resting", "gateway.stopping", "gateway.stopped"} <= events
    assert not [line for line in found if WITHHELD in line.values()]


@pytest.mark.e2e
async def test_no_line_holds_what_people_wrote_while_the_database_is_away(
    rasa: LoopbackRasa, tmp_path: Path
) -> None:
    away = "postgresql+asyncpg://persephone:s3cr3t-of-sql@localhost:1/zebrafish"
    one = gateway("away", tmp_path, away, "redis://localhost:1/0", rasa.url)
    one.process.health = f"{one.public}/healthz"
    await one.start()
    try:
        await provoke(one.public, one.desk, answers=503)
    finally:
        assert await one.stop() == 0
    found = check(one.log.read_text("utf-8"))
    assert "gateway.waiting_for_store" in {line["event"] for line in found}


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What reaches standard error while a test logs."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    before = structlog.get_config()
    handlers = list(logging.getLogger().handlers)
    # Telegram, where a test has made one in this process, lets httpx say nothing below an error.
    httpx_logger = logging.getLogger("httpx")
    level = httpx_logger.level
    httpx_logger.setLevel(logging.NOTSET)
    set_up_logs("DEBUG")
    yield written.getvalue
    httpx_logger.setLevel(level)
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers
    logging.captureWarnings(False)
    logging.raiseExceptions = True


@pytest.mark.unit
def test_what_is_not_known_is_withheld(logged: Any) -> None:
    log = structlog.get_logger("anywhere")
    log.info("turn.done", conversation=7, text=MARK, message=MARK, reason=PHONE, kind=["edit", "text"])
    log.info(f"somebody wrote {MARK}", error=f"two\n{MARK}", count=MARK)
    log.info("turn.done", state={"words": MARK}, url="http://assistant-1:5005")
    first, second, third = check(logged())
    assert first["conversation"] == 7
    assert first["text"] == first["message"] == first["reason"] == WITHHELD
    assert first["kind"] == ["edit", "text"]
    assert second["event"] == second["error"] == second["count"] == WITHHELD
    assert third["state"] == WITHHELD
    assert third["url"] == "http://assistant-1:5005"


@pytest.mark.unit
def test_an_exception_shows_where_it_was_and_not_what_it_said(logged: Any) -> None:
    def fails() -> None:
        local = NAME
        try:
            raise KeyError(local)
        except KeyError as error:
            raise BadRequestError(f"{MARK} is not allowed") from error

    try:
        fails()
    except BadRequestError as error:
        structlog.get_logger().error("request.failed", route="chat/messages", exc_info=error)
        structlog.get_logger().exception("request.failed")
        logging.getLogger("sanic.error").exception("Exception occurred while handling uri: %s", MARK)
    found = check(logged())
    assert len(found) == 3
    for line in found:
        assert [one["type"] for one in line["exception"]] == ["BadRequestError", "KeyError"]
        assert line["exception"][0]["at"][-1].startswith("tests/operations/test_logs.py:")
        assert line["exception"][0]["at"][-1].endswith(" fails")


@pytest.mark.unit
def test_a_library_is_quoted_only_from_its_own_source(logged: Any) -> None:
    library = logging.getLogger("httpx")
    library.info("HTTP Request: GET https://api.telegram.org/bot%s/getMe", TOKEN)
    library.warning("A sentence that stands in the source, with %s", TOKEN)
    library.warning(f"A sentence made of {MARK} and {PHONE}")
    library.warning(ValueError(MARK))
    logging.getLogger("sqlalchemy.engine").warning("parameters: " + MARK)
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: " + MARK)
    found = check(logged())
    assert [line["logger"] for line in found] == ["httpx"] * 3 + ["sqlalchemy.engine", "asyncio"]
    assert [line.get("said") for line in found] == [
        "A sentence that stands in the source, with %s", None, None, None, None,
    ]  # fmt: skip
    assert all(line["at"].startswith("tests/operations/test_logs.py:") for line in found)


@pytest.mark.unit
def test_rasa_logs_the_same_way() -> None:
    if not RASA_PYTHON.exists():
        pytest.skip("the assistant's environment (.venv-assistant) is missing: run `make setup`")
    program = (
        "import logging, logging.config, yaml\n"
        "logging.config.dictConfig(yaml.safe_load(open('deploy/logging.yml')))\n"
        f"logging.getLogger('rasa.core').warning('a person said %s', {MARK!r})\n"
        f"logging.getLogger('rasa.core').info('quiet %s', {MARK!r})\n"
    )
    done = subprocess.run(
        [str(RASA_PYTHON), "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (line,) = check(done.stderr)
    assert line["logger"] == "rasa.core"
