"""docker-compose.yml run as plain processes: its own commands, environments and health checks.

Where no container engine runs, everything that a service is started with is taken from the file and
from the ENV lines of its Dockerfile. Only what containers give is put in its place: names of hosts
become loopback ports, folders of the image and volumes become folders here, and `python` is the
environment's. Each service sees only the secrets that the file gives it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bot.settings import ROOT
from bot.stack import RASA_PYTHON
from tests.drills.processes import _with_parent, server_of_redis
from tests.support.ports import free_port

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
START_SECONDS = 240.0
_LISTENS = {
    "valkey": (6379,), "actions": (5055,), "assistant": (5005,), "gateway": (8080, 8081),
    "proxy": (8080, 8443, 8090),
}  # fmt: skip


def _ports_of(name: str) -> tuple[int, ...]:
    return _LISTENS.get(re.sub(r"-\d+$", "", name), ())


@dataclass(slots=True)
class Composed:
    """The services of the file, started one by one; `stop` ends all of them."""

    folder: Path
    ports: dict[tuple[str, int], int] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in SERVICES:
            for port in _ports_of(name):
                self.ports[(name, port)] = free_port()
        (self.folder / "secrets").mkdir(parents=True)
        (self.folder / "state").mkdir()

    # ---- from the file to this machine -----------------------------------------------------------

    def placed(self, name: str, text: str) -> str:
        """A word of the file as it is here."""
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text).replace("$$", "$")
        for (other, port), here in self.ports.items():
            text = re.sub(rf"\b{re.escape(other)}:{port}\b", f"127.0.0.1:{here}", text)
        for port in _ports_of(name):
            here = self.ports[(name, port)]
            text = re.sub(rf"(?<![\d.]){port}(?!\d)", str(here), text)
        for place, here_path in (
            ("/run/secrets", self.secrets(name)),
            ("/var/lib/frontcounter", self.folder / "state"),
            ("/models", ROOT / "models"),
            ("/app", ROOT),
        ):
            text = re.sub(rf"(?<![\w/.]){re.escape(place)}(?![\w])", str(here_path), text)
        return text.replace("0.0.0.0", "127.0.0.1")

    def secrets(self, name: str) -> Path:
        """The folder of secrets as this service sees it: only those that the file gives it."""
        seen = self.folder / "seen" / name
        seen.mkdir(parents=True, exist_ok=True)
        for secret in SERVICES[name].get("secrets") or []:
            source, target = self.folder / "secrets" / secret, seen / secret
            if source.exists() and not target.exists():
                text = source.read_text("utf-8")
                if "://" in text:
                    text = text.replace("@valkey:6379", f"@127.0.0.1:{self.ports[('valkey', 6379)]}")
                target.write_text(text, "utf-8")
        return seen

    def environment(self, name: str) -> dict[str, str]:
        """What the service's process is told, and nothing of this machine's own settings."""
        service = SERVICES[name]
        told = {"HOME": str(self.folder), "LANG": "C.UTF-8"}
        if "build" in service:
            text = (ROOT / service["build"]["dockerfile"]).read_text("utf-8").replace("\\\n", " ")
            for line in re.findall(r"^ENV (.+)$", text, re.MULTILINE):
                told |= dict(re.findall(r"(\w+)=(\S+)", line))
            told.pop("PYTHONDONTWRITEBYTECODE", None)
        told |= {key: str(value) for key, value in (service.get("environment") or {}).items()}
        told = {key: self.placed(name, value) for key, value in told.items()}
        path = [str(self.folder / "bin"), os.environ["PATH"]]
        told["PATH"] = os.pathsep.join(path)
        told["FRONTCOUNTER_SECRETS_DIR"] = str(self.secrets(name))
        return told

    def command(self, name: str, words: list[str]) -> list[str]:
        """A command of the file as it is here."""
        placed = [self.placed(name, word) for word in words]
        if placed[0] == "python":
            is_rasa = "assistant" in SERVICES[name]["build"]["dockerfile"]
            placed[0] = str(RASA_PYTHON) if is_rasa else sys.executable
        elif placed[0] == "valkey-server":
            placed[0] = server_of_redis()
        return placed

    # ---- running ---------------------------------------------------------------------------------

    def once(self, name: str) -> None:
        """Run a service that ends by itself.

        Raises:
            RuntimeError: it failed, with what it said.
        """
        self._start(name)
        if self.running.pop(name).wait(START_SECONDS) != 0:
            raise RuntimeError(f"{name} failed:\n{self.log(name)[-2000:]}")

    def start(self, name: str) -> None:
        """Start a service and wait until its own health check says yes.

        Raises:
            RuntimeError: it ended, or never became healthy; with what it said.
        """
        self._start(name)
        deadline = time.monotonic() + START_SECONDS
        while not self.is_healthy(name):
            if self.running[name].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} is not healthy:\n{self.log(name)[-2000:]}")
            time.sleep(0.3)

    def _start(self, name: str) -> None:
        service = SERVICES[name]
        words = [*(service.get("entrypoint") or []), *service["command"]]
        with (self.folder / f"{name}.log").open("ab") as output:
            self.running[name] = subprocess.Popen(
                self.command(name, words), cwd=ROOT, env=self.environment(name),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                preexec_fn=_with_parent,
            )  # fmt: skip

    def is_healthy(self, name: str) -> bool:
        """What the file's own health check says."""
        kind, *words = SERVICES[name]["healthcheck"]["test"]
        if kind == "CMD-SHELL":
            words = ["/bin/sh", "-c", self.placed(name, words[0])]
        else:
            words = self.command(name, words)
        try:
            done = subprocess.run(
                words, cwd=ROOT, env=self.environment(name), capture_output=True, check=False, timeout=30
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def stop(self, name: str, seconds: float = 60.0) -> int:
        """End one service as a container engine does. Returns its exit code."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()

    def stop_all(self) -> None:
        """End whatever still runs, the last started first."""
        for name in list(reversed(self.running)):
            self.stop(name)

    def log(self, name: str) -> str:
        """What a service said."""
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")

    def url(self, name: str, port: int) -> str:
        """Where a service listens here."""
        return f"http://127.0.0.1:{self.ports[(name, port)]}"

    def program(self, name: str, target: str) -> None:
        """Give a program of this machine the name that an image knows it by."""
        folder = self.folder / "bin"
        folder.mkdir(exist_ok=True)
        found = target if os.path.isabs(target) else shutil.which(target)
        if found and not (folder / name).exists():
            (folder / name).symlink_to(found)
