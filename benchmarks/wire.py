"""A client that costs little beside what it measures: one connection, one request at a time.

httpx spends more time on a request than the servers measured here; it would slow both alike and hide
the difference.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Line:
    """One kept connection to a server on this machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(self, path: str, content: object, headers: Mapping[str, str] | None = None) -> Answer:
        """Send JSON and read the whole answer.

        Raises:
            OSError: the server is not there or hung up.
        """
        return await self.post_bytes(path, json.dumps(content).encode(), headers)

    async def post_bytes(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """The same with JSON that is bytes already, such as those of a signed body."""
        extra = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
        reader = await self._send(f"POST {path} HTTP/1.1", extra, body)
        return await self._answer(reader)

    async def form(self, path: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """Send a form and read the whole answer (see `post`)."""
        body = urlencode(fields).encode()
        extra = {
            "Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body)), **headers
        }  # fmt: skip
        return await self._answer(await self._send(f"POST {path} HTTP/1.1", extra, body))

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask for a page and read the whole of it (see `post`)."""
        return await self._answer(await self._send(f"GET {path} HTTP/1.1", headers or {}, b""))

    async def events(self, path: str, headers: Mapping[str, str]) -> AsyncIterator[tuple[str, Any]]:
        """The events of a stream, for ever: name and data."""
        reader = await self._send(f"GET {path} HTTP/1.1", headers, b"")
        await _head(reader)
        kept = b""
        while size := int((await reader.readline()).split(b";")[0] or b"0", 16):
            kept += (await reader.readexactly(size + 2))[:-2]
            while b"\n\n" in kept:
                event, _, kept = kept.partition(b"\n\n")
                fields = dict(line.split(": ", 1) for line in event.decode().splitlines() if ": " in line)
                if "data" in fields:
                    yield fields.get("event", "message"), json.loads(fields["data"])

    def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def _send(self, request: str, headers: Mapping[str, str], body: bytes) -> asyncio.StreamReader:
        if self._reader is None or self._writer is None or self._reader.at_eof():
            # None yet, or the server has closed one that was idle for long.
            self.close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        lines = [request, f"Host: 127.0.0.1:{self._port}", *(f"{k}: {v}" for k, v in headers.items())]
        self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return self._reader

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        status, headers = await _head(reader)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, body)


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    try:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("the server hung up") from error
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return int(first.split()[1]), headers
