"""Safety reviews: a message that should have reached a person, and the phrase that would have caught it.

A review ends in words to copy into `data/risk/`, which go live with the next release as any other
change does. Nothing here changes the live screen.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml
from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import ContentError, NotAllowedError, RefusedError, StaleError
from bot.handover.queue import LARGEST_ID, get_for, visible
from bot.messages import Actor
from bot.safety.proposals import Proposal
from bot.store.record import add_audit, add_event, now
from bot.store.tables import Audit, Conversation, Message, Note, SafetyReview, Staff

STATES: Final = ("open", "accepted", "declined")
SHORTEST: Final = 3
LONGEST_NOTE: Final = 2000


def _must_supervise(actor: Actor) -> int:
    if actor.role != "supervisor" or actor.staff_id is None:
        raise NotAllowedError("Only a supervisor has safety reviews.")
    return actor.staff_id


async def open_review(
    connection: AsyncConnection,
    conversation_id: int,
    actor: Actor,
    note: str,
    *,
    message_id: int | None = None,
) -> int:
    """Open a review of one message of a conversation; without one it is about the newest. Returns its id.

    The note goes beside the conversation as a private note. A second review of the same message is
    not opened: the first one's id is given back.

    Raises:
        NotAllowedError: the caller is no supervisor, or may not see the conversation.
        RefusedError: no note, or the message is not of this conversation.
    """
    staff_id = _must_supervise(actor)
    row = await get_for(connection, conversation_id, actor)
    if len(note.strip()) < SHORTEST:
        raise RefusedError("Write what the assistant missed.")
    of_chat = select(func.max(Message.id)).where(Message.conversation_id == row.id)
    if message_id is not None:
        of_chat = of_chat.where(Message.id == message_id)
    found = (await connection.execute(of_chat)).scalar_one_or_none()
    if found is None:
        raise RefusedError("Choose a message of this chat.")
    known = await connection.execute(
        select(SafetyReview.id).where(
            SafetyReview.message_id == found, SafetyReview.conversation_id == row.id
        )
    )
    before = known.scalars().first()
    if before is not None:
        return int(before)
    review_id = int(
        (
            await connection.execute(
                insert(SafetyReview)
                .values(
                    conversation_id=row.id,
                    message_id=found,
                    opened_at=now(),
                    opened_by=staff_id,
                    state="open",
                )
                .returning(SafetyReview.id)
            )
        ).scalar_one()
    )
    await connection.execute(
        insert(Note).values(
            conversation_id=row.id, staff_id=staff_id, text=note.strip()[:LONGEST_NOTE], created_at=now()
        )
    )
    await add_audit(connection, actor, "review.open", row.id, row.epoch, review=review_id, message=found)
    await add_event(connection, row.id, "note.added", {"review": review_id})
    return review_id


async def get_review(connection: AsyncConnection, review_id: int, actor: Actor) -> Row[Any]:
    """A review, its conversation locked for this transaction.

    Raises:
        RefusedError: there is none that the caller may see.
    """
    _must_supervise(actor)
    found = None
    if 0 < review_id <= LARGEST_ID:
        query = select(SafetyReview.__table__).where(SafetyReview.id == review_id)
        found = (await connection.execute(query)).one_or_none()
    if found is None:
        raise RefusedError("There is no such review, or your teams may not see it.")
    await get_for(connection, found.conversation_id, actor)
    # Again, now that nobody else can change it.
    return (await connection.execute(query)).one()


async def propose(
    connection: AsyncConnection, review_id: int, actor: Actor, category: str, grade: str, phrase: str
) -> None:
    """Keep a proposed phrase, which the caller has compiled (`Proposal`). It takes the place of an earlier one.

    Raises:
        StaleError: the review has been decided.
    """
    row = await get_review(connection, review_id, actor)
    if row.state != "open":
        raise StaleError("This review has been decided already.")
    await connection.execute(
        update(SafetyReview)
        .where(SafetyReview.id == row.id)
        .values(category=category, grade=grade, phrase=" ".join(phrase.split()))
    )
    await add_audit(
        connection,
        actor,
        "review.propose",
        row.conversation_id,
        review=row.id,
        category=category,
        grade=grade,
    )
    await add_event(connection, row.conversation_id, "review.changed", {"review": row.id})


async def proposer_of(connection: AsyncConnection, review: Row[Any]) -> int:
    """Who wrote the phrase that stands there now; without one, who opened the review."""
    rows = await connection.execute(
        select(Audit.staff_id, Audit.detail)
        .where(Audit.conversation_id == review.conversation_id, Audit.action == "review.propose")
        .order_by(Audit.id.desc())
    )
    for row in rows:
        if row.staff_id is not None and (row.detail or {}).get("review") == review.id:
            return int(row.staff_id)
    return int(review.opened_by)


async def decide(
    connection: AsyncConnection,
    review_id: int,
    actor: Actor,
    *,
    accept: bool,
    reason: str,
    seen: str | None = None,
) -> None:
    """Accept or decline, as a second person. `seen` is the phrase on the page of whoever decides.

    Raises:
        NotAllowedError: the caller proposed it.
        StaleError: it has been decided, or another phrase stands there now.
        RefusedError: no reason, or nothing to accept.
    """
    staff_id = _must_supervise(actor)
    row = await get_review(connection, review_id, actor)
    if row.state != "open":
        raise StaleError("This review has been decided already.")
    if seen is not None and seen != (row.phrase or ""):
        raise StaleError("Another phrase was proposed meanwhile. Look again.")
    if await proposer_of(connection, row) == staff_id:
        raise NotAllowedError("A second person decides: somebody who did not propose it.")
    if accept and not row.phrase:
        raise RefusedError("There is no phrase to accept yet.")
    if len(reason.strip()) < SHORTEST:
        raise RefusedError("Give a reason.")
    state = "accepted" if accept else "declined"
    await connection.execute(
        update(SafetyReview)
        .where(SafetyReview.id == row.id, SafetyReview.state == "open")
        .values(state=state, decided_at=now(), decided_by=staff_id, reason=reason.strip()[:LONGEST_NOTE])
    )
    await add_audit(connection, actor, f"review.{state}", row.conversation_id, review=row.id)
    await add_event(connection, row.conversation_id, "review.changed", {"review": row.id})


async def list_reviews(
    connection: AsyncConnection, actor: Actor, state: str = "", limit: int = 200
) -> list[Row[Any]]:
    """Reviews of conversations that `actor` may see, open ones first, then the newest."""
    query = (
        select(
            SafetyReview.__table__, Conversation.reference, Conversation.channel, Staff.name.label("opener")
        )
        .join(Conversation, Conversation.id == SafetyReview.conversation_id)
        .join(Staff, Staff.id == SafetyReview.opened_by)
        .where(visible(actor))
        .order_by(SafetyReview.state != "open", SafetyReview.id.desc())
        .limit(limit)
    )
    if state:
        query = query.where(SafetyReview.state == state)
    return list((await connection.execute(query)).all())


def as_yaml(reviews: Sequence[Row[Any]]) -> str:
    """Accepted phrases, ready to copy into the files of `data/risk/`. No message of anybody is in it."""
    by_file: dict[str, dict[str, list[str]]] = {}
    for one in reviews:
        if one.state == "accepted" and one.phrase:
            phrases = by_file.setdefault(one.category, {}).setdefault(one.grade, [])
            if one.phrase not in phrases:
                phrases.append(one.phrase)
    parts = []
    for category in sorted(by_file):
        lines = [
            f"# data/risk/{category}.yml: add under phrases, with an example and a near miss",
            "phrases:",
        ]
        for grade in sorted(by_file[category]):
            lines += [f"- priority: {grade}", "  match:"]
            # A JSON string is a YAML one too.
            lines += [f"  - {json.dumps(phrase, ensure_ascii=False)}" for phrase in by_file[category][grade]]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


# ---- what a phrase would hit ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Effect:
    """What a phrase would do to the messages that the assistant learns from."""

    own: Sequence[str]
    """Messages of its own category that it finds."""
    others: Sequence[tuple[str, str]]
    """Messages of other categories, with the category."""
    false_alarms: Sequence[str]
    """Harmless messages that it would raise."""
    risk_lines: int
    harmless_lines: int
    words: tuple[str, ...]
    """The words of the reviewed message for which it fires; empty: it would miss it again."""


def try_phrase(data: Path, category: str, grade: str, phrase: str, message: str) -> Effect:
    """Compile a phrase and hold it against the training messages. Takes a second or more: use a thread.

    Raises:
        ContentError: it cannot be read; says why.
    """
    proposal, own, others, false_alarms = _effect(data, category, grade, " ".join(phrase.split()))
    risk, harmless = _lines(data / "nlu")
    return Effect(own, others, false_alarms, len(risk), len(harmless), proposal.hits(message))


@lru_cache(maxsize=32)
def _effect(
    data: Path, category: str, grade: str, phrase: str
) -> tuple[Proposal, list[str], list[tuple[str, str]], list[str]]:
    proposal = Proposal(data / "risk", category, grade, phrase)
    risk, harmless = _lines(data / "nlu")
    own = proposal.among(text for of, text in risk if of == category)
    others = [(of, text) for of, text in risk if of != category and proposal.hits(text)]
    return proposal, own, others, proposal.among(harmless)


@lru_cache(maxsize=2)
def _lines(folder: Path) -> tuple[list[tuple[str, str]], list[str]]:
    """The messages of `data/nlu` that carry a risk, each with its category, and the harmless ones."""
    risk: list[tuple[str, str]] = []
    harmless: list[str] = []
    for path in sorted(folder.glob("*.yml")):
        if path.name.startswith("risk_"):
            risk += [(path.stem.removeprefix("risk_"), text) for text in _examples(path)]
        elif path.name.startswith("harmless"):
            harmless += _examples(path)
    return risk, harmless


def _examples(path: Path) -> list[str]:
    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ContentError(f"{path.name} cannot be read.") from error
    return [
        line.strip()[2:]
        for block in (loaded or {}).get("nlu", ())
        for line in str(block.get("examples", "")).splitlines()
        if line.strip().startswith("- ")
    ]
