"""Rasa as the gateway sees it: a real HTTP server on loopback that says what it was taught.

It speaks the JSON of our input channel. A repeated turn id gets the stored answer, as in Rasa.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

SECRET = "only-for-tests-and-nothing-else"
FAQ = "contact-101-wait"
"""A FAQ of mode A that exists in the content."""

Json = dict[str, Any]


def understanding(
    intent: str = "out_of_scope",
    *,
    certain: bool = False,
    risks: Mapping[str, float] | None = None,
    confidence: float = 0.9,
) -> Json:
    """What the model makes of a text."""
    return {
        "intent": intent,
        "confidence": confidence,
        "certain": certain,
        "ranking": [{"name": intent, "confidence": confidence}],
        "risks": [{"category": key, "confidence": value} for key, value in (risks or {}).items()],
    }


class LoopbackRasa:
    """Answers by what the text holds; whatever it was not taught, it does not understand."""

    def __init__(self) -> None:
        self.taught: list[tuple[str, Json, list[Json]]] = []
        self.turns: list[Json] = []
        self.understood: list[str] = []
        self.forgotten: list[str] = []
        self.trackers: dict[str, list[str]] = {}
        self.form: str | None = None
        self.down = False
        self.garbage: Any = None
        self.delay: asyncio.Event | None = None
        self.at_work = 0
        self.most_at_work = 0
        self._answers: dict[str, Json] = {}
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.faq("101", FAQ)

    def teach(self, marker: str, reading: Json, messages: Sequence[Json] = ()) -> None:
        """A text that holds `marker` is read and answered so; the newest lesson wins."""
        self.taught.insert(0, (marker, reading, list(messages)))

    def faq(self, marker: str, slug: str, **risks: float) -> None:
        """A text that holds `marker` is certainly that FAQ."""
        self.teach(marker, understanding(f"faq/{slug}", certain=True, risks=risks), [{"answer": slug}])

    def risk(self, marker: str, **risks: float) -> None:
        """The model sees these risks in a text that holds `marker`, and no answer."""
        self.teach(marker, understanding(risks=risks), [{"not_understood": True}])

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Close every connection."""
        if self._server is None:
            return
        self._server.close()
        for writer in list(self._open):
            writer.close()
        await self._server.wait_closed()
        for _ in range(10):
            if not self._open:
                break
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                request, *lines = head.split("\r\n")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                verb = request.split(" ")[1].rpartition("/")[2]
                self.at_work += 1
                self.most_at_work = max(self.most_at_work, self.at_work)
                try:
                    status, answer = await self._answer(verb, headers, json.loads(body or b"{}"))
                finally:
                    self.at_work -= 1
                data = json.dumps(answer).encode()
                writer.write(
                    f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(data)}\r\n\r\n".encode()
                    + data
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, verb: str, headers: Mapping[str, str], body: Json) -> tuple[int, Any]:
        if headers.get("x-front-counter-secret") != SECRET:
            return 401, {"error": "wrong or missing secret"}
        if self.delay is not None:
            await self.delay.wait()
        if self.down:
            return 503, {"error": "no model is loaded"}
        if self.garbage is not None:
            return 200, self.garbage
        if verb == "turn":
            return 200, self._turn(body)
        if verb == "understand":
            if len(body["texts"]) > 64 or any(len(text) > 4000 for text in body["texts"]):
                return 413, {"error": "too much text"}
            self.understood += body["texts"]
            return 200, {"release": "r1", "results": [self._read(text)[0] for text in body["texts"]]}
        if verb == "forget":
            self.forgotten.append(body["conversation"])
            self.trackers.pop(body["conversation"], None)
            return 200, {"forgotten": True}
        return 200, {"release": "r1", "ready": True}

    def _read(self, text: str) -> tuple[Json, list[Json]]:
        for marker, reading, messages in self.taught:
            if marker.casefold() in text.casefold():
                return reading, messages
        return understanding(), [{"not_understood": True}]

    def _turn(self, body: Json) -> Json:
        key = f"{body['conversation']}\n{body['turn']}"
        if key in self._answers:
            return self._answers[key]
        fresh = body["conversation"] not in self.trackers
        self.trackers.setdefault(body["conversation"], []).append(body["button"] or body["text"])
        self.turns.append(body)
        reading, messages = self._read(body["button"] or body["text"])
        answer = {
            "turn": body["turn"],
            "release": "r1",
            **reading,
            "messages": messages,
            "form": self.form,
            "fresh": fresh,
        }
        self._answers[key] = answer
        return answer
