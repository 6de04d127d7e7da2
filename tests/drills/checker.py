"""What the public saw, decided from two logs: the generator's and the loopback platform's.

Nothing here asks our database. Counted, for each person by themselves:

lost         a message that was taken (200), with neither its answer, nor a hand-over or holding
             sentence, nor a member of staff who has the chat
doubled      an answer more often than it was asked for, a staff reply or any other row sent twice
talked_over  an automatic message between the moment the claim was answered to the moderator and the
             moment they let go
reordered    answers not in the order of the questions, staff replies not in the order of their numbers,
             any two rows not in the order in which they were committed
leaked       a message with the words of a private note in it, whoever it went to

Safety words are exempt from all but the first: they overtake, and after a crash they are repeated.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Record = dict[str, Any]
COUNTS = ("lost", "doubled", "talked_over", "reordered", "leaked")


@dataclass(slots=True)
class Verdict:
    """What the logs say. `findings` is (count, drill, what happened)."""

    inbound: int = 0
    replies: int = 0
    kills: int = 0
    claims: int = 0
    findings: list[tuple[str, str, str]] = field(default_factory=list)

    def count(self, name: str) -> int:
        """How often that happened."""
        return sum(1 for finding in self.findings if finding[0] == name)

    def add(self, other: Verdict) -> None:
        """Take in what other logs say."""
        self.inbound += other.inbound
        self.replies += other.replies
        self.kills += other.kills
        self.claims += other.claims
        self.findings += other.findings


@dataclass(frozen=True, slots=True)
class Delivered:
    """How often what people wrote was delivered, and taken."""

    messages: int = 0
    deliveries: int = 0
    """A message that came five times, alone or in a batch, was delivered five times."""
    webhooks: int = 0
    """The calls in which they came."""
    refused: int = 0
    """Calls that were not taken: no answer, or any but 200."""

    def __add__(self, other: Delivered) -> Delivered:
        """Both together."""
        return Delivered(
            self.messages + other.messages, self.deliveries + other.deliveries,
            self.webhooks + other.webhooks, self.refused + other.refused,
        )  # fmt: skip


def delivered(generator: Iterable[Record], platform: Iterable[Record]) -> Delivered:
    """Count a platform's calls with something in them that a person wrote: echoes and receipts are none."""
    written = {record["id"] for record in generator if record["what"] == "inbound"}
    taken: Counter[str] = Counter()
    webhooks = refused = 0
    for record in platform:
        carried = written.intersection(record["ids"]) if record["what"] == "delivery" else ()
        if carried and record["status"] == 200:
            webhooks += 1
            taken.update(carried)
        elif carried:
            refused += 1
    return Delivered(len(taken), taken.total(), webhooks, refused)


def read_log(path: Path) -> list[Record]:
    """All whole lines of a log."""
    if not path.exists():
        return []
    lines = path.read_text("utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


def check(generator: Sequence[Record], platform: Sequence[Record]) -> Verdict:
    """Read both logs."""
    verdict = Verdict()
    words: Record = next((r for r in generator if r["what"] == "wording"), {"answers": {}})
    first_tried: dict[str, float] = {}
    taken: set[str] = set()
    sends: dict[str, list[Record]] = defaultdict(list)
    for record in platform:
        if record["what"] == "delivery":
            for event_id in record["ids"]:
                first_tried[event_id] = min(record["began"], first_tried.get(event_id, record["began"]))
                if record["status"] == 200:
                    taken.add(event_id)
        elif record["what"] == "send":
            sends[record["person"]].append(record)
    inbound: dict[str, list[Record]] = defaultdict(list)
    staff: dict[str, list[Record]] = defaultdict(list)
    private = [str(record["text"]) for record in generator if record["what"] == "private"]
    for record in generator:
        if record["what"] == "inbound":
            if record["id"] in taken:
                inbound[record["person"]].append(record)
            elif not record.get("refused"):
                drill = drill_of(record["person"])
                verdict.findings.append(("undelivered", drill, f"{record['person']} {record['id']}"))
        elif record["what"] in ("claim", "let_go"):
            staff[record["person"]].append(record)
    verdict.inbound = sum(len(records) for records in inbound.values())
    verdict.replies = sum(len(records) for records in sends.values())
    verdict.kills = sum(1 for record in generator if record["what"] == "kill")
    verdict.claims = sum(1 for record in generator if record["what"] == "claim")
    by_text = {squeezed(text): slug for slug, text in words["answers"].items()}
    for person in sorted(set(inbound) | set(sends)):
        seen = _Person(
            person,
            sorted(inbound[person], key=lambda r: r["order"]),
            [_told(send, by_text, words) for send in sorted(sends[person], key=lambda r: r["n"])],
            _owned(staff[person]),
            first_tried,
        )
        drill = drill_of(person)
        for name, found in (
            ("lost", seen.lost()),
            ("doubled", seen.doubled()),
            ("talked_over", seen.talked_over()),
            ("reordered", seen.reordered()),
        ):
            verdict.findings += [(name, drill, f"{person}: {what}") for what in found]
        leaked = [told.outbox for told in seen.sends if any(text in told.text for text in private)]
        verdict.findings += [("leaked", drill, f"{person}: row {row} holds a private note") for row in leaked]
    return verdict


def drill_of(person: str) -> str:
    """The drill that a person belongs to: the first part of their name."""
    return person.split(".", 1)[0]


@dataclass(frozen=True, slots=True)
class _Told:
    """One message that the platform took: `slug` when it is an FAQ answer, `number` of a staff reply."""

    at: float
    kind: str
    text: str
    outbox: int
    slug: str | None
    number: int | None
    helps: bool
    """Whether it says something to who asked: not a mere "I did not understand"."""


def _told(send: Record, by_text: Mapping[str, str], words: Record) -> _Told:
    text = str(send["text"])
    # A text that left in parts has lost no more than space; what stands before an answer is not of it.
    plain = squeezed(text)
    for before in (words.get("opening", ""), words.get("mark", "")):
        plain = plain.removeprefix(squeezed(before)).lstrip()
    number = None
    if send["kind"] == "staff":
        last = text.rsplit("#", 1)[-1]
        number = int(last) if last.isdecimal() else None
    return _Told(
        at=send["at"],
        kind=send["kind"],
        text=text,
        outbox=send["outbox"] or 0,
        slug=by_text.get(plain) if send["kind"] == "assistant" else None,
        number=number,
        helps=plain != squeezed(words.get("not_understood", "")) and send["kind"] != "notice",
    )


def squeezed(text: str) -> str:
    """A text with one blank wherever it has space."""
    return " ".join(text.split())


def _owned(records: Iterable[Record]) -> list[tuple[float, float, float, float]]:
    """When a person of staff had the chat: claim asked and answered, letting go asked and answered."""
    owned = []
    open_claim: Record | None = None
    for record in sorted(records, key=lambda r: r["asked"]):
        if record["what"] == "claim" and record["won"]:
            open_claim = record
        elif record["what"] == "let_go" and open_claim is not None:
            owned.append((open_claim["asked"], open_claim["answered"], record["asked"], record["answered"]))
            open_claim = None
    if open_claim is not None:
        owned.append((open_claim["asked"], open_claim["answered"], float("inf"), float("inf")))
    return owned


@dataclass(slots=True)
class _Person:
    person: str
    inbound: list[Record]
    sends: list[_Told]
    owned: list[tuple[float, float, float, float]]
    first_tried: Mapping[str, float]

    def lost(self) -> list[str]:
        """Messages that nothing was said to."""
        found = []
        for place, record in enumerate(self.inbound):
            expects = record["expects"]
            if expects is None:
                continue
            began = self.first_tried[record["id"]]
            until = float("inf")
            if record["alone"] and place + 1 < len(self.inbound):
                until = self.first_tried[self.inbound[place + 1]["id"]]
            answered = any(t.slug == expects and t.at >= began for t in self.sends)
            spoken = any(
                t.at >= began
                and t.at < until
                and t.kind != "notice"
                and (expects == "anything" or (t.slug is None and t.helps))
                for t in self.sends
            )
            # Written before the claim or after it: either way it is in front of who took the chat.
            had = any(began <= let_go for _, _, _, let_go in self.owned)
            if not (answered or spoken or had):
                found.append(f"{record['id']} got nothing ({expects})")
        return found

    def doubled(self) -> list[str]:
        """What came more often than it should."""
        asked = Counter(record["expects"] for record in self.inbound)
        got = Counter(t.slug for t in self.sends if t.slug is not None)
        found = [
            f"answer {slug} {times} times for {asked[slug]}"
            for slug, times in got.items()
            if times > max(1, asked[slug])
        ]
        numbers = Counter(t.number for t in self.sends if t.number is not None)
        found += [f"staff reply {number} {times} times" for number, times in numbers.items() if times > 1]
        rows = Counter(
            t.outbox for t in self.sends if t.kind != "safety" and t.slug is None and t.number is None
        )
        found += [f"row {row} {times} times" for row, times in rows.items() if row and times > 1]
        return found

    def talked_over(self) -> list[str]:
        """Automatic messages while a person of staff had the chat."""
        return [
            f"row {told.outbox} came {told.at - answered:.2f} s after the claim"
            for _, answered, let_go, _ in self.owned
            for told in self.sends
            if told.kind == "assistant" and answered < told.at < let_go
        ]

    def reordered(self) -> list[str]:
        """What came before something that it should have followed."""
        found = []
        if all(record["alone"] for record in self.inbound):
            asked = [r["expects"] for r in self.inbound]
            places = [asked.index(t.slug) for t in self.sends if t.slug is not None and t.slug in asked]
            if places != sorted(places) and len(set(asked)) == len(asked):
                found.append(f"answers in the order {places}")
        numbers = [t.number for t in self.sends if t.number is not None]
        if numbers != sorted(numbers):
            found.append(f"staff replies in the order {numbers}")
        highest = 0
        for told in self.sends:
            if told.kind == "safety" or not told.outbox:
                continue
            if told.outbox < highest:
                found.append(f"row {told.outbox} after row {highest}")
            highest = max(highest, told.outbox)
        return found
