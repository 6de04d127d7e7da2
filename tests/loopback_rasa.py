"""A stand-in for Rasa: speaks the JSON of our channel in it, knows a few words, and can misbehave.

    python -m tests.loopback_rasa --port 6310 --secret … [--redis redis://…] [--release one]

It finds FAQ slugs by the words of `--phrases` (a JSON file: phrase to slug; the longest phrase wins),
one answer for each that the text holds, in order: so a turn of several messages answers each of them.
"report a crime form" starts a form of two questions, kept in Redis where one is named, as Rasa keeps
its trackers. `POST /control/mode {"delay", "hang", "rubbish", "fail"}` changes how it answers;
`GET /control/seen` shows every text and button that arrived.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from sanic import HTTPResponse, Request, Sanic
from sanic import json as json_response
from sanic.response import raw

FORM = "triage_form"
KEPT = 5000


@dataclass(slots=True)
class Mode:
    """How it answers: after `delay` seconds; never (`hang`); not JSON (`rubbish`); 500 (`fail`)."""

    delay: float = 0.0
    hang: bool = False
    rubbish: str = ""
    fail: bool = False


class Memory:
    """Trackers by conversation: in Redis where there is one, as Rasa's are, else in this process."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=1.0) if url else None
        self._here: dict[str, dict[str, Any]] = {}

    async def load(self, key: str) -> dict[str, Any] | None:
        """The memory of one conversation, or None."""
        if self._redis is None:
            return self._here.get(key)
        kept = await self._redis.get(f"standin:{key}")
        return None if kept is None else json.loads(kept)

    async def save(self, key: str, tracker: dict[str, Any] | None) -> None:
        """Keep it for half an hour, or forget it."""
        if self._redis is None:
            if tracker is None:
                self._here.pop(key, None)
            else:
                self._here[key] = tracker
        elif tracker is None:
            await self._redis.delete(f"standin:{key}")
        else:
            await self._redis.set(f"standin:{key}", json.dumps(tracker), ex=1800)


class StandIn:
    """Understands by keyword, and remembers the answers of turns."""

    def __init__(self, phrases: dict[str, str], release: str, memory: Memory) -> None:
        self.release = release
        self.mode = Mode()
        self.memory = memory
        self.seen: list[dict[str, Any]] = []
        self._slugs = phrases
        ordered = sorted(phrases, key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(p.casefold()) for p in ordered)) if ordered else None
        self._by_phrase = {phrase.casefold(): slug for phrase, slug in phrases.items()}

    def slugs(self, text: str) -> list[str]:
        """The answers that a text asks for, in order, each once."""
        if self._pattern is None:
            return []
        found = self._pattern.findall(text.casefold())
        return list(dict.fromkeys(self._by_phrase[phrase] for phrase in found))

    def reading(self, text: str) -> dict[str, Any]:
        """What a text means."""
        slugs = self.slugs(text)
        intent = f"faq/{slugs[0]}" if slugs else "nlu_fallback"
        return {
            "intent": intent,
            "confidence": 0.95 if slugs else 0.1,
            "certain": bool(slugs),
            "ranking": [{"name": f"faq/{slug}", "confidence": 0.9} for slug in slugs[:10]],
            "risks": [],
        }

    async def turn(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer one turn, once: a repeat of its id gets the stored answer."""
        key, turn_id = str(body["conversation"]), str(body["turn"])
        tracker = await self.memory.load(key)
        fresh = tracker is None
        tracker = tracker or {"form": None, "asked": 0, "turns": {}}
        if turn_id in tracker["turns"]:
            stored: dict[str, Any] = tracker["turns"][turn_id]
            return stored
        text, button = str(body["text"]), body.get("button")
        messages = self._messages(tracker, text, button)
        answer = {
            "turn": turn_id,
            "release": self.release,
            **self.reading(text),
            "messages": messages,
            "form": tracker["form"],
            "fresh": fresh,
        }
        tracker["turns"] = dict([*tracker["turns"].items(), (turn_id, answer)][-10:])
        await self.memory.save(key, tracker)
        return answer

    def _messages(self, tracker: dict[str, Any], text: str, button: str | None) -> list[dict[str, Any]]:
        if button == "/triage" or "report a crime form" in text.casefold():
            tracker["form"], tracker["asked"] = FORM, 1
            return [{"line": "triage_start"}, {"line": "triage_ask_now"}]
        if tracker["form"] and text.strip().casefold() in ("yes", "no"):
            if tracker["asked"] == 1:
                tracker["asked"] = 2
                return [{"line": "triage_ask_hurt"}]
            tracker["form"], tracker["asked"] = None, 0
            return [{"line": "triage_report_online"}]
        if button is not None and button.startswith("/faq/"):
            return [{"answer": button.removeprefix("/faq/")}]
        answers: list[dict[str, Any]] = [{"answer": slug} for slug in self.slugs(text)]
        return answers or [{"not_understood": True}]


def build(stand_in: StandIn, secret: str) -> Sanic[Any, Any]:
    """The stand-in's HTTP side."""
    app: Sanic[Any, Any] = Sanic("loopback-rasa", configure_logging=False)
    app.config.KEEP_ALIVE_TIMEOUT = 900
    app.config.ACCESS_LOG = False
    app.config.MOTD = False
    app.config.AUTO_EXTEND = False

    def allowed(request: Request) -> bool:
        return hmac.compare_digest(request.headers.get("X-Front-Counter-Secret", ""), secret)

    async def misbehave() -> HTTPResponse | None:
        mode = stand_in.mode
        if mode.hang:
            await asyncio.sleep(3600)
        if mode.delay:
            await asyncio.sleep(mode.delay)
        if mode.fail:
            return json_response({"error": "the assistant failed"}, status=500)
        if mode.rubbish:
            return raw(mode.rubbish.encode(), content_type="application/json")
        return None

    @app.post("/webhooks/gateway/<verb:str>")
    async def _post(request: Request, verb: str) -> HTTPResponse:
        if not allowed(request):
            return json_response({"error": "wrong or missing secret"}, status=401)
        body = request.json
        stand_in.seen.append({"verb": verb, **body})
        del stand_in.seen[:-KEPT]
        odd = await misbehave()
        if odd is not None:
            return odd
        if verb == "turn":
            return json_response(await stand_in.turn(body))
        if verb == "understand":
            results = [stand_in.reading(text) for text in body["texts"]]
            return json_response({"release": stand_in.release, "results": results})
        if verb == "forget":
            await stand_in.memory.save(str(body["conversation"]), None)
            return json_response({"forgotten": True})
        return json_response({"error": "no such thing"}, status=404)

    @app.get("/webhooks/gateway/status")
    async def _status(request: Request) -> HTTPResponse:
        if not allowed(request):
            return json_response({"error": "wrong or missing secret"}, status=401)
        odd = await misbehave()
        return odd or json_response({"release": stand_in.release, "ready": True})

    @app.post("/control/mode")
    async def _mode(request: Request) -> HTTPResponse:
        stand_in.mode = Mode(**request.json)
        return json_response({"ok": True})

    @app.get("/control/seen")
    async def _seen(_request: Request) -> HTTPResponse:
        return json_response(stand_in.seen)

    return app


def main() -> None:
    """Run the stand-in until it is stopped."""
    parser = argparse.ArgumentParser(description="A stand-in for Rasa.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--phrases", type=Path)
    parser.add_argument("--redis", default="")
    parser.add_argument("--release", default="stand-in")
    given = parser.parse_args()
    phrases = json.loads(given.phrases.read_text("utf-8")) if given.phrases else {}
    stand_in = StandIn(phrases, given.release, Memory(given.redis))
    app = build(stand_in, given.secret)
    app.run(host="127.0.0.1", port=given.port, single_process=True, access_log=False, motd=False)


if __name__ == "__main__":
    main()
