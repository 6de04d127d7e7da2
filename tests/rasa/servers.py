"""Start and stop the assistant's two servers on free ports, and talk to them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests

ROOT = Path(__file__).resolve().parents[2]
SECRET = "only-for-tests-0123456789"
START_SECONDS = 120


def free_port() -> int:
    """A port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: list[str], log: Path, ready: str, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; `ready` is an address that answers once it is up."""
    clean = {
        "RASA_TELEMETRY_ENABLED": "false",
        "SANIC_WORKERS": "1",
        "SANIC_HOST": "127.0.0.1",
        "FRONTCOUNTER_ASSISTANT_SECRET": SECRET,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=output,
            stderr=output,
            env=os.environ | clean | environment,
            start_new_session=True,
        )
    try:
        _wait_until(ready, process, log)
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a server, and its children."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def _wait_until(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            if requests.get(address, headers={"X-Front-Counter-Secret": SECRET}, timeout=2).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"the server did not start:\n{log.read_text('utf-8', 'replace')[-3000:]}")


@contextmanager
def action_server(port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The action server, as in production."""
    command = [sys.executable, "-m", "rasa_sdk", "--actions", "actions", "--port", str(port)]
    with running(command, folder / f"actions-{port}.log", f"http://127.0.0.1:{port}/health") as process:
        yield process


@contextmanager
def rasa_server(model: Path, endpoints: Path, folder: Path, **environment: str) -> Iterator[Assistant]:
    """The Rasa server, as in production."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "rasa", "run", "-i", "127.0.0.1", "-p", str(port), "-m", str(model)),
        *("--credentials", "credentials.yml", "--endpoints", str(endpoints)),
    ]
    assistant = Assistant(port)
    log = folder / f"rasa-{port}.log"
    with running(command, log, assistant.address("status"), **environment):
        assistant.log = log
        yield assistant


@dataclass
class Assistant:
    """A running Rasa server, called as the gateway calls it."""

    port: int
    log: Path = field(default_factory=Path)

    def address(self, path: str) -> str:
        """Address of one of the four routes."""
        return f"http://127.0.0.1:{self.port}/webhooks/gateway/{path}"

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> requests.Response:
        """Post a body with the right secret, or with other headers."""
        given = {"X-Front-Counter-Secret": SECRET} if headers is None else dict(headers)
        return requests.post(self.address(path), json=body, headers=given, timeout=30)

    def turn(
        self, conversation: str, text: str = "", button: str | None = None, turn: str | None = None
    ) -> requests.Response:
        """Run a turn."""
        body = {"conversation": conversation, "turn": turn or uuid4().hex, "text": text, "button": button}
        return self.post("turn", body)

    def say(self, conversation: str, text: str = "", button: str | None = None) -> dict[str, Any]:
        """Run a turn that must work out, and return its answer."""
        response = self.turn(conversation, text, button)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer
