"""The loopback Cloud API: takes calls, delivers webhooks, misbehaves as it is told.

    python -m tests.platforms.whatsapp.server --port 6300 --log file [--gateway URL …]

Its log is that of the loopback Graph API (`tests/platforms/graph/server.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.platforms.graph.server import DAY, App, GraphServer, Json, _Refusal, build
from tests.platforms.whatsapp.events import Writer

NUMBERS = ("106540352242922", "106540352242923")
LIMITS = {
    "text": 4096,
    "body": 1024,
    "buttons": 3,
    "title": 20,
    "rows": 10,
    "row": 24,
    "beside": 72,
    "mark": 512,
}


@dataclass(frozen=True, slots=True)
class WhatsAppApp(App):
    """One app at Meta with the WhatsApp Business Account that it serves."""

    name: str = "whatsapp"
    account_id: str = "102290129340398"
    numbers: tuple[str, ...] = NUMBERS

    @property
    def us(self) -> str:
        """What its webhooks call us."""
        return self.account_id


class WhatsAppServer(GraphServer):
    """The state of one business account."""

    def __init__(
        self, app: WhatsAppApp, gateways: list[str], log_path: Path | None = None, seed: int = 0
    ) -> None:
        super().__init__(app, gateways, log_path, seed)
        self.account = app
        self.templates: list[Json] = []
        """As Meta has approved them: name, language, status, components."""
        self.writers: dict[str, Writer] = {}
        """By each of a person's ids, beside the number that they wrote to."""
        self.by_mid: dict[str, str] = {}

    # ---- webhooks ------------------------------------------------------------------------------

    def _note_written(self, event: Json) -> None:
        value = event["value"]
        number = (value.get("metadata") or {}).get("phone_number_id")
        for message in value.get("messages") or []:
            phone, user = message.get("from", ""), message.get("from_user_id", "")
            writer = Writer(str(number), self.app.app_id, phone, user)
            ids = [f"{number}:{one}" for one in (phone, user) if one]
            known = next((self.writers[one] for one in ids if one in self.writers), writer)
            for one in ids:
                self.writers[one] = known
            self.by_mid[str(message.get("id"))] = known.id
            if message.get("type") not in ("system", "reaction", "revoke"):
                at = float(message["timestamp"])
                self.wrote[known.id] = max(self.wrote.get(known.id, 0.0), at)

    def _body(self, events: list[Json], *, standby: bool) -> bytes:
        return body_of(self.account, events, standby=standby)

    # ---- calls -----------------------------------------------------------------------------------

    async def answer(
        self, method: str, path: str, query: Json, token: str, body: Json, mark: str = ""
    ) -> tuple[int, Any, dict[str, str]]:
        """One call, put into the words of the Graph API's server."""
        number, _, rest = path.partition("/")
        if rest == "messages" and number in self.account.numbers:
            path, body = "me/messages", self._read_call(number, body)
        return await super().answer(method, path, query, token, body, mark)

    def _read_call(self, number: str, body: Json) -> Json:
        if body.get("status") == "read":
            typing = (body.get("typing_indicator") or {}).get("type") == "text"
            person = self.by_mid.get(str(body.get("message_id")), "")
            sign = "typing_on" if typing else "mark_seen"
            return {"recipient": {"id": person}, "sender_action": sign, "raw": body}
        person = f"{number}:{body.get('to') or body.get('recipient')}"
        person = self.writers[person].id if person in self.writers else person
        return {"recipient": {"id": person}, "message": {"text": words_of(body, self.templates)}, "raw": body}

    async def _do(self, method: str, path: str, body: Json, mark: str) -> Json:
        account = self.app.account_id
        if method == "GET" and path == f"{account}/phone_numbers":
            return {"data": [{"id": one} for one in self.account.numbers]}
        if method == "GET" and path == f"{account}/message_templates":
            return {"data": self.templates}
        if method == "GET" and path == f"{account}/subscribed_apps":
            ours = {"id": self.app.app_id, "name": "Front Counter"}
            told = [{"whatsapp_business_api_data": ours}] if "subscribed" in self.told else []
            return {"data": told}
        if method == "POST" and path == f"{account}/subscribed_apps":
            return self._tell("subscribed", body, {"success": True})
        if method == "POST" and path == "me/messages":
            return await self._send(body, mark)
        raise _Refusal(400, 100)

    async def _send(self, body: Json, mark: str) -> Json:
        person, raw = str(body["recipient"]["id"]), body["raw"]
        if raw.get("messaging_product") != "whatsapp":
            raise _Refusal(400, 100)
        if "sender_action" in body:
            if not person:
                raise _Refusal(400, 100)
            return {"success": True}
        if person in self.blocked:
            raise _Refusal(400, 131026)
        kind = check(raw, self.templates)
        if kind != "template" and time.time() - self.wrote.get(person, 0.0) > DAY:
            raise _Refusal(400, 131047)
        self._roll_dice()
        writer = self.writers.get(person) or Writer(*person.split(":", 1))
        mid = f"wamid.ours{len(self.messages) + 1}{writer.mid()[6:]}"
        sent = {
            "person": person, "mid": mid, "text": body["message"]["text"], "type": kind, "tag": None,
            "metadata": raw.get("biz_opaque_callback_data"), "quick_replies": choices_of(raw),
            "at": time.time(), "raw": raw, "mark": mark,
        }  # fmt: skip
        self.messages.append(sent)
        self.note(what="send", n=len(self.messages), **sent)
        await self._tell_back(person, sent)
        return {
            "messaging_product": "whatsapp",
            "contacts": [{"input": writer.phone}],
            "messages": [{"id": mid}],
        }

    async def _tell_back(self, person: str, sent: Json) -> None:
        """What becomes of the message, one status after the other."""
        writer = self.writers.get(person)
        if writer is None:
            return
        mark = None if self.mode.bare_echoes else sent["metadata"]
        if self.mode.fails:
            self.inject([writer.status("failed", sent["mid"], mark, self.mode.fails)])
            return
        if self.mode.echoes:
            self.inject([writer.status("sent", sent["mid"], mark)])
            if self.mode.echo_first:
                await asyncio.sleep(0.5)
        if self.mode.receipts:
            self.inject([writer.status("read", sent["mid"], mark)])
            self.inject([writer.status("delivered", sent["mid"], mark)])


def body_of(app: WhatsAppApp, events: list[Json], *, standby: bool = False) -> bytes:
    """One webhook. What was said to one number in one breath stands in one change."""
    changes: list[Json] = []
    for event in json.loads(json.dumps(events)):
        if standby and event.get("field") == "messages":
            event["field"] = "standby"
        last = changes[-1]["value"] if changes else {}
        value = event.get("value") or {}
        same = changes and changes[-1].get("field") == event.get("field")
        if same and value.get("messages") and last.get("messages") and last["metadata"] == value["metadata"]:
            last["messages"] += value["messages"]
            last.setdefault("contacts", []).extend(value.get("contacts", []))
        else:
            changes.append(event)
    entry = {"id": app.account_id, "time": int(time.time()), "changes": changes}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def words_of(raw: Json, templates: list[Json]) -> str:
    """What a person reads."""
    if raw.get("type") == "template":
        given = raw["template"]
        found = next((one for one in templates if one["name"] == given.get("name")), None)
        text = "" if found is None else str(found["components"][0]["text"])
        for place, parameter in enumerate(parameters_of(given), 1):
            where = "{{" + str(parameter.get("parameter_name", place)) + "}}"
            text = text.replace(where, parameter["text"])
        return text
    if raw.get("type") == "interactive":
        return str(raw["interactive"]["body"]["text"])
    return str((raw.get("text") or {}).get("body", ""))


def parameters_of(template: Mapping[str, Any]) -> list[Json]:
    """What fills the places of an approved text."""
    return [one for part in template.get("components", []) for one in part["parameters"]]


def choices_of(raw: Json) -> list[Json]:
    """What stands under a message: the whole words of each choice, and what it gives back."""
    action = (raw.get("interactive") or {}).get("action") or {}
    rows = [row for section in action.get("sections", []) for row in section["rows"]]
    found = [{"title": row.get("description") or row["title"], "payload": row["id"]} for row in rows]
    return found + [
        {"title": one["reply"]["title"], "payload": one["reply"]["id"]} for one in action.get("buttons", [])
    ]


def check(raw: Json, templates: list[Json]) -> str:
    """Refuse what Meta refuses. Returns the kind of message."""
    kind = str(raw.get("type"))
    if len(raw.get("biz_opaque_callback_data", "")) > LIMITS["mark"] or bool(raw.get("to")) == bool(
        raw.get("recipient")
    ):
        raise _Refusal(400, 131009)
    if kind == "text":
        _within(raw["text"]["body"], LIMITS["text"])
        if raw["text"].get("preview_url"):
            raise _Refusal(400, 131009)
    elif kind == "interactive":
        _check_interactive(raw["interactive"])
    elif kind == "template":
        _check_template(raw["template"], templates)
    else:
        raise _Refusal(400, 131051)
    return kind


def _within(text: Any, most: int) -> None:
    if not isinstance(text, str) or not text.strip() or len(text) > most:
        raise _Refusal(400, 131009)


def _check_interactive(content: Json) -> None:
    _within(content["body"]["text"], LIMITS["body"])
    action = content["action"]
    if content["type"] == "button":
        replies = [one["reply"] for one in action["buttons"]]
        _count(replies, LIMITS["buttons"])
        for reply in replies:
            _within(reply["title"], LIMITS["title"])
    elif content["type"] == "list":
        replies = [row for section in action["sections"] for row in section["rows"]]
        _count(replies, LIMITS["rows"])
        _within(action["button"], LIMITS["title"])
        for reply in replies:
            _within(reply["title"], LIMITS["row"])
            if "description" in reply:
                _within(reply["description"], LIMITS["beside"])
    else:
        raise _Refusal(400, 131009)
    for reply in replies:
        _within(reply["id"], 200)


def _count(replies: list[Json], most: int) -> None:
    if not 1 <= len(replies) <= most or len({one["id"] for one in replies}) != len(replies):
        raise _Refusal(400, 131009)


def _check_template(given: Json, templates: list[Json]) -> None:
    language = (given.get("language") or {}).get("code")
    found = [one for one in templates if (one["name"], one["language"]) == (given.get("name"), language)]
    if not found or found[0]["status"] != "APPROVED":
        raise _Refusal(404, 132001)
    text = str(found[0]["components"][0]["text"])
    parameters = parameters_of(given)
    places = {part.split("}}")[0] for part in text.split("{{")[1:]}
    filled = {str(one.get("parameter_name", place)) for place, one in enumerate(parameters, 1)}
    if places != filled:
        raise _Refusal(400, 132000)
    if any("\n" in one["text"] or "\t" in one["text"] or "    " in one["text"] for one in parameters):
        raise _Refusal(400, 132012)


def main() -> None:
    """Run until stopped."""
    parser = argparse.ArgumentParser(description="The loopback Cloud API.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--gateway", action="append", default=[])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    server = WhatsAppServer(WhatsAppApp(), given.gateway, given.log, given.seed)
    build(server).run(host="127.0.0.1", port=given.port, single_process=True, access_log=False, motd=False)


if __name__ == "__main__":
    main()
