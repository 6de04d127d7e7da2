"""Starts the real demonstration, and speaks to it as a member of the public and as a moderator."""

from __future__ import annotations

import asyncio
import contextlib
import html
import json
import os
import re
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bot.settings import ROOT
from tests.support.ports import free_port

START_SECONDS = 300.0
REPLY_SECONDS = 60.0
STOP_SECONDS = 120.0


@dataclass
class Demo:
    """A running `frontcounter demo` on ports and in a folder of its own."""

    public: str
    desk: str
    passwords: dict[str, str]
    process: asyncio.subprocess.Process
    folder: Path
    output: list[str] = field(default_factory=list)

    async def stop(self) -> int:
        """Press Ctrl-C and wait. Returns the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        return self.process.returncode or 0


@contextlib.asynccontextmanager
async def running_demo(**environment: str) -> AsyncIterator[Demo]:
    """The demonstration, ready for people; stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="frontcounter-demo-") as folder:
        public, desk = free_port(), free_port()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot.cli", "demo",
            cwd=ROOT,
            env={
                **os.environ,
                "FRONTCOUNTER_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/record.db",
                "FRONTCOUNTER_REDIS_URL": "",
                "FRONTCOUNTER_PUBLIC_PORT": str(public),
                "FRONTCOUNTER_DESK_PORT": str(desk),
                **environment,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        demo = Demo(f"http://127.0.0.1:{public}", f"http://127.0.0.1:{desk}", {}, process, Path(folder))
        reader = asyncio.create_task(_read(demo))
        try:
            await _until_ready(demo)
            yield demo
        finally:
            await demo.stop()
            # To the end of what it said: only then does the loop close what it holds of the process.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader, STOP_SECONDS)


async def _read(demo: Demo) -> None:
    stream = demo.process.stdout
    while stream is not None and (line := await stream.readline()):
        text = line.decode("utf-8", "replace").rstrip()
        demo.output.append(text)
        found = re.match(r"^  (\S+)\s+(\S+)\s+(moderator|supervisor|comms|admin)$", text)
        if found:
            demo.passwords[found[1]] = found[2]


async def _until_ready(demo: Demo) -> None:
    deadline = time.monotonic() + START_SECONDS
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
        while time.monotonic() < deadline:
            if demo.process.returncode is not None:
                break
            with contextlib.suppress(httpx.HTTPError):
                if demo.passwords and (await http.get(f"{demo.public}/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.1)
    raise RuntimeError("The demonstration did not start:\n" + "\n".join(demo.output[-20:]))


class PublicPerson:
    """A member of the public at the web chat, with the page's own requests."""

    def __init__(self, base: str) -> None:
        self.http = httpx.AsyncClient(
            base_url=base, timeout=REPLY_SECONDS, trust_env=False, headers={"Origin": base}
        )
        self.seen: list[dict[str, Any]] = []
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> PublicPerson:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        await self.http.aclose()

    async def say(self, text: str, message_id: str | None = None) -> httpx.Response:
        """Send one message; the first one starts the session and the stream."""
        answer = await self.http.post(
            "/chat/messages", json={"id": message_id or str(uuid.uuid4()), "text": text}
        )
        if answer.status_code == 200 and self._reader is None:
            self._reader = asyncio.create_task(self._listen())
        return answer

    async def _listen(self) -> None:
        last = ""
        while True:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
            with contextlib.suppress(httpx.HTTPError):
                async with self.http.stream(
                    "GET", "/chat/stream", headers=headers, timeout=REPLY_SECONDS
                ) as stream:
                    kind = ""
                    async for line in stream.aiter_lines():
                        if line.startswith("id:"):
                            last = line[3:].strip()
                        elif line.startswith("event:"):
                            kind = line[6:].strip()
                        elif line.startswith("data:") and kind in ("", "message"):
                            self._note(json.loads(line[5:]))
                        elif not line:
                            kind = ""
            await asyncio.sleep(0.2)

    def _note(self, message: dict[str, Any]) -> None:
        if "text" in message and message.get("id") not in {m.get("id") for m in self.seen}:
            self.seen.append(message)

    async def until(self, wanted: Callable[[dict[str, Any]], bool], *, after: int = 0) -> dict[str, Any]:
        """The first message from the force, from place `after` on, that is wanted."""
        deadline = time.monotonic() + REPLY_SECONDS
        while time.monotonic() < deadline:
            for message in self.seen[after:]:
                if wanted(message):
                    return message
            await asyncio.sleep(0.05)
        raise AssertionError(f"No such reply among {[m['text'][:80] for m in self.seen[after:]]}")


def plain(page: str) -> str:
    """The words of a page, without its tags."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


class Moderator:
    """A member of staff at the desk, with the forms that the pages hold."""

    def __init__(self, base: str) -> None:
        self.http = httpx.AsyncClient(
            base_url=base, timeout=REPLY_SECONDS, trust_env=False, follow_redirects=True
        )
        self._csrf = ""

    async def __aenter__(self) -> Moderator:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def get(self, path: str) -> str:
        """Open a page; its token serves the next form."""
        answer = await self.http.get(path)
        answer.raise_for_status()
        found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
        if found:
            self._csrf = found[1]
        return answer.text

    async def post(self, path: str, **fields: object) -> httpx.Response:
        """Send a form."""
        data = {"csrf": self._csrf, **{key: str(value) for key, value in fields.items()}}
        return await self.http.post(path, data=data)

    async def sign_in(self, username: str, password: str) -> str:
        """Sign in; the page that follows."""
        await self.get("/desk/sign-in")
        answer = await self.post("/desk/sign-in", username=username, password=password)
        answer.raise_for_status()
        return await self.get("/desk")

    async def first_waiting(self) -> tuple[int, str]:
        """The conversation on top of the queue: its id and its page."""
        deadline = time.monotonic() + REPLY_SECONDS
        while time.monotonic() < deadline:
            found = re.search(r"/desk/c/(\d+)", await self.get("/desk/queue"))
            if found:
                return int(found[1]), await self.get(f"/desk/c/{found[1]}")
            await asyncio.sleep(0.1)
        raise AssertionError("Nothing waits in the queue.")

    async def claim(self, conversation_id: int, page: str) -> httpx.Response:
        """Take a conversation with the epoch that its page shows; once more with the next if that is old by then."""
        for _ in range(2):
            epoch = re.search(r'name="epoch" value="(\d+)"', page)
            if epoch is None:
                raise AssertionError("The page offers no claim.")
            answer = await self.post(f"/desk/c/{conversation_id}/claim", epoch=epoch[1])
            if answer.status_code == 200:
                break
            page = await self.get(f"/desk/c/{conversation_id}")
        return answer
