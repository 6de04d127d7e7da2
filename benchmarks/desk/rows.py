"""The rows of a made-up record, in the order in which they would have been written.

Every conversation has what a real one leaves behind: messages, replies, events, audit rows; some have
notes, labels and a person of the staff. Open ones are as a backlog is: half with the assistant, three in
ten waiting, two in ten with a moderator.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table

from benchmarks.desk.texts import Texts
from bot.store.record import table
from bot.store.tables import (
    Audit,
    Base,
    Conversation,
    Event,
    Label,
    Message,
    Note,
    Outbox,
    Person,
    Staff,
    StaffSession,
    StaffTeam,
)

Rows = dict[type[Base], list[dict[str, Any]]]

DAYS = 365
"""How far back the closed ones go."""
FIRST = 1000
"""Seeding an empty database leaves a few rows of its own."""
BATCH = 2000
"""Conversations that are made at a time."""
CATEGORIES = {
    "P1": ("R01", "R02", "R06"),
    "P2": ("R06", "R08", "R10", "R12", "R07"),
    "P3": ("R08", "R13", "R14", "R15", "R19", "R20", "R05"),
    "P4": ("R20", "R19", "R18"),
}
TEAM_OF = {
    "R01": "control_room", "R06": "control_room", "R07": "safeguarding", "R05": "safeguarding",
    "R14": "intelligence", "R08": "digital_desk",
}  # fmt: skip
LIMITS = {
    "P1": timedelta(seconds=50), "P2": timedelta(minutes=4), "P3": timedelta(hours=20),
    "P4": timedelta(hours=30),
}  # fmt: skip
"""By when the reply to an open one is due. Were many late, the clocks would be what is measured."""
OUTCOMES = ("answered", "signposted_online_or_101", "no_reply", "crime_recorded", "other", "duplicate")
LABELS = ("Scam going round", "Writes often", "Public event", "Road closure", "Good example")
CHANNELS = ("webchat", "webchat", "telegram", "messenger", "whatsapp")
TEAMS_OF_STAFF = (
    ["digital_desk"], ["digital_desk", "safeguarding"], ["digital_desk"], ["digital_desk", "control_room"],
    ["digital_desk"],
)  # fmt: skip
"""Taken in turn; one in twenty is a supervisor."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is made."""

    open: int
    closed: int
    moderators: int

    def part(self, share: float) -> Size:
        """A smaller one, with as many moderators."""
        return Size(int(self.open * share), int(self.closed * share), self.moderators)


@dataclass(frozen=True, slots=True)
class Badge:
    """What a signed-in browser of a member of staff carries."""

    staff_id: int
    role: str
    token: str
    csrf: str


def badge(number: int) -> Badge:
    """Member of staff `number`, from 1 on."""
    role = "supervisor" if number % 20 == 4 else "moderator"
    return Badge(number, role, f"made-up-token-{number}", f"made-up-form-{number}")


def blank(of: type[Base]) -> dict[str, Any]:
    """A row in which every column holds what a new one has."""
    values: dict[str, Any] = {}
    for column in _columns(of):
        default: Any = column.default
        if default is not None:
            values[column.name] = default.arg({}) if default.is_callable else default.arg
        elif not column.nullable and column.server_default is not None:
            values[column.name] = False if str(column.server_default.arg) == "false" else 0
        else:
            values[column.name] = None
    return values


def _columns(of: type[Base]) -> Any:
    found: Table = table(of)
    return found.columns


def staff_rows(size: Size, now: datetime) -> Rows:
    """The moderators, each with a browser that is signed in."""
    rows: Rows = defaultdict(list)
    for number in range(1, size.moderators + 1):
        one = badge(number)
        rows[Staff].append(
            blank(Staff) | {
                "id": number, "username": f"desk{number}", "name": f"Desk {number}", "role": one.role,
                "password_hash": "!", "active": True, "created_at": now,
            }
        )  # fmt: skip
        teams = TEAMS_OF_STAFF[number % len(TEAMS_OF_STAFF)]
        if one.role == "supervisor":
            teams = ["digital_desk", "control_room", "safeguarding"]
        rows[StaffTeam] += [{"staff_id": number, "team": team} for team in teams]
        rows[StaffSession].append(
            blank(StaffSession) | {
                "id": hashlib.sha256(one.token.encode()).hexdigest(), "staff_id": number, "csrf": one.csrf,
                "created_at": now, "acted_at": now, "seen_at": now,
            }
        )  # fmt: skip
    return rows


class Maker:
    """Makes the conversations, oldest first."""

    def __init__(self, size: Size, now: datetime, seed: int = 1) -> None:
        self._size = size
        self._now = now
        self._chance = random.Random(seed)
        self.texts = Texts(random.Random(seed + 1))
        self._numbers: Mapping[type[Base], Iterator[int]] = {
            of: itertools.count(FIRST) for of in (Message, Outbox, Event, Audit, Note)
        }
        self._blank = {of: blank(of) for of in (Conversation, Message, Outbox, Event, Audit, Note)}
        self._people = max(size.open, int(size.closed * 0.6)) + 1
        self._rows: Rows = defaultdict(list)

    def batches(self) -> Iterator[Rows]:
        """Everything, `BATCH` conversations at a time; whoever takes one writes it before the next."""
        for first in range(1, self._people + 1, 10 * BATCH):
            rows: Rows = defaultdict(list)
            for number in range(first, min(self._people + 1, first + 10 * BATCH)):
                rows[Person].append(self._person(number))
            yield rows
        total = self._size.closed + self._size.open
        for number in range(1, total + 1):
            self._conversation(number)
            if number % BATCH == 0 or number == total:
                yield self._rows
                self._rows = defaultdict(list)

    def _person(self, number: int) -> dict[str, Any]:
        return {
            "id": number, "channel": self._channel(number), "platform_id": f"made-up-{number}",
            "name": self.texts.name() if number % 2 else None, "blocked": False,
            "created_at": self._now - timedelta(days=DAYS), "left_at": None, "reach_at": None,
        }  # fmt: skip

    @staticmethod
    def _channel(person: int) -> str:
        return CHANNELS[person % len(CHANNELS)]

    def _conversation(self, number: int) -> None:
        chance, closed = self._chance, self._size.closed
        is_open = number > closed
        state, owner = "closed", None
        if is_open:
            place = number - closed
            state = ("bot", "waiting", "bot", "waiting", "human", "bot", "waiting", "bot", "human", "bot")[
                place % 10
            ]
            # Each person has one open conversation at most.
            person = place
            opened = self._now - timedelta(hours=20) * (1 - place / (self._size.open + 1))
        else:
            person = chance.randrange(1, self._people + 1)
            opened = self._now - timedelta(days=DAYS) * (1 - number / (closed + 1)) - timedelta(days=1)
        handed = state in ("waiting", "human") or (state == "closed" and chance.random() < 0.4)
        grade = self._grade(number, is_open) if handed else None
        category = chance.choice(CATEGORIES[grade]) if grade else None
        team = TEAM_OF.get(category or "", "digital_desk") if handed else None
        if state == "human" or (handed and not is_open):
            owner = 1 + number % self._size.moderators
        times = [opened + timedelta(minutes=3 * step) for step in range(chance.choice((1, 2, 2, 3, 4)))]
        values = {
            "id": number, "reference": f"FC-{number:08d}", "person_id": person,
            "channel": self._channel(person), "state": state, "grade": grade, "category": category,
            "reasons": [
                {
                    "category": category, "grade": grade, "net": "screen", "words": ["made", "up"],
                    "at": opened.isoformat(),
                }
            ] if grade else [],
            "team": team, "epoch": 2 if handed else 0, "opened_at": opened, "last_inbound_at": times[-1],
            "owner_id": owner if state == "human" else None,
            "waiting_since": times[0] if handed and is_open else None,
            "reply_due_at": self._now + LIMITS[grade] if grade and is_open else None,
        }  # fmt: skip
        if not is_open:
            values |= {
                "closed_at": times[-1] + timedelta(hours=1), "closed_owner_id": owner,
                "outcome": chance.choice(OUTCOMES) if handed else "silent",
                "incident": f"NP-{number:08d}" if grade in ("P1", "P2", "P3") and number % 3 == 0 else None,
            }  # fmt: skip
        self._rows[Conversation].append(self._blank[Conversation] | values)
        self._said(number, values, times, owner)
        if handed:
            self._handled(number, values, times[0], owner)

    def _grade(self, number: int, is_open: bool) -> str:
        """A backlog holds few in danger: they are not left to wait."""
        share = self._chance.random()
        if is_open and number % 2000 == 1:
            return "P1"
        return "P2" if share < 0.03 else "P3" if share < 0.45 else "P4"

    def _said(self, number: int, values: Mapping[str, Any], times: list[datetime], owner: int | None) -> None:
        self._event(number, times[0], "conversation.opened")
        for place, at in enumerate(times):
            message = next(self._numbers[Message])
            self._rows[Message].append(
                self._blank[Message] | {
                    "id": message, "conversation_id": number, "person_id": values["person_id"],
                    "channel": values["channel"], "platform_id": f"made-up-{message}", "kind": "text",
                    "text": self.texts.question(), "platform_time": at, "received_at": at, "handled": True,
                    "decision": {"kind": "faq", "slug": "noise"},
                }
            )  # fmt: skip
            self._event(number, at, "message.received", message=message)
            self._event(number, at, "turn.done", messages=[message])
            by_staff = owner is not None and place == len(times) - 1 and values["state"] != "waiting"
            outbox, sent = next(self._numbers[Outbox]), at + timedelta(seconds=4)
            self._rows[Outbox].append(
                self._blank[Outbox] | {
                    "id": outbox, "conversation_id": number, "channel": values["channel"],
                    "kind": "staff" if by_staff else "assistant", "text": self.texts.answer(),
                    "slug": None if by_staff else "noise", "epoch": values["epoch"],
                    "author_id": owner if by_staff else None, "state": "delivered", "not_before": sent,
                    "platform_id": f"sent-{outbox}", "created_at": sent, "sent_at": sent, "attempts": 1,
                }
            )  # fmt: skip
            self._event(number, sent, "outbox.queued", outbox=outbox)
            self._event(number, sent, "outbox.state", outbox=outbox, state="delivered")

    def _handled(self, number: int, values: Mapping[str, Any], at: datetime, owner: int | None) -> None:
        grade, state = values["grade"], values["state"]
        self._audit(
            number, at, "escalate", None, state=["bot", "waiting"], grade=[None, grade],
            categories=[values["category"]], nets=["screen"],
        )  # fmt: skip
        self._event(number, at, "conversation.escalated", grade=grade, rose=True, moved=True)
        if grade in ("P1", "P2"):
            self._event(number, at, "alert", grade=grade, owner=None, category=values["category"])
        if grade == "P1":
            # Somebody has looked: an alarm that rings for ever is no realistic backlog.
            self._audit(number, at + timedelta(seconds=20), "open", 1)
        if owner is not None:
            minute = timedelta(minutes=1)
            for step, action in enumerate(("claim", "open", "reply"), start=1):
                detail: dict[str, Any] = (
                    {"state": ["waiting", "human"], "owner": [None, owner]} if action == "claim" else {}
                )
                self._audit(number, at + step * minute, action, owner, **detail)
            self._event(number, at + minute, "conversation.owner", action="claim", state="human", owner=owner)
            if state == "closed":
                self._audit(
                    number, at + timedelta(hours=1), "close", owner, state=["human", "closed"],
                    outcome=values["outcome"],
                )  # fmt: skip
        if number % 3 == 0:
            self._rows[Note].append(
                self._blank[Note] | {
                    "id": next(self._numbers[Note]), "conversation_id": number, "staff_id": owner or 1,
                    "text": self.texts.note(), "created_at": at + timedelta(minutes=2),
                }
            )  # fmt: skip
        if number % 5 == 0:
            self._rows[Label].append(
                {"conversation_id": number, "name": LABELS[number % len(LABELS)], "at": at, "by": owner or 1}
            )

    def _event(self, number: int, at: datetime, kind: str, **data: Any) -> None:
        self._rows[Event].append(
            {
                "id": next(self._numbers[Event]), "xid": 0, "conversation_id": number, "kind": kind,
                "data": data, "at": at,
            }
        )  # fmt: skip

    def _audit(self, number: int, at: datetime, action: str, staff_id: int | None, **detail: Any) -> None:
        self._rows[Audit].append(
            {
                "id": next(self._numbers[Audit]), "at": at,
                "actor": f"Desk {staff_id}" if staff_id else "screen", "staff_id": staff_id,
                "action": action, "conversation_id": number, "epoch": 1, "subject_id": None,
                "detail": detail,
            }
        )  # fmt: skip
