"""The handover packet: all that the next person needs of one chat, and the same as plain text.

Plain text because it is put into the command-and-control system by hand. It holds what was said, so
it goes to who may open the chat and nowhere else: no event, no log, no audit row has any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations.calls import read_calls
from bot.conversations.transcript import Line, read_transcript
from bot.handover.queue import visible
from bot.handover.times import Times, read_times
from bot.messages import Actor
from bot.store.tables import Audit, Conversation, Release

EARLIER_SHOWN = 10
NETS = {"screen": "the safety words list", "understanding": "the assistant's understanding"}
DEEDS = {
    "escalate": "put it into the queue, or raised it",
    "claim": "took it",
    "accept": "accepted it from another team",
    "take_over": "took it over",
    "transfer": "passed it to another team",
    "transfer.offer": "offered it to another team",
    "release": "gave it back to the assistant",
    "return": "gave it back to the assistant",
    "withdraw": "took it out of the queue",
    "give_back": "put it back into the queue",
    "grade": "changed the grade",
    "close": "closed it",
    "reopen": "opened it again",
    "incident": "wrote the incident number down",
    "incident.waive": "let it close without an incident number",
    "call_back": "noted a call back",
    "call_back.done": "called back",
    "safe_check": "said whether it is safe to chat",
    "breach": "noted a reply that was late",
    "outside_reply": "noted an answer from outside this desk",
    "answered_outside": "noted an answer from outside this desk",
    "outside_done": "was given the chat back from outside this desk",
    "seal": "sealed it",
    "unseal": "opened the seal",
    "approval.ask": "asked a second person to read a reply",
    "approval.return": "gave the reply back",
    "approval.withdraw": "took the reply back, unsent",
    "approval.rise": "told supervisors that a reply waits to be read",
}
"""What an audit row is called here; the others (opened, drafts, copies) say nothing of the matter."""


def sureness(probability: float) -> str:
    """A probability in words."""
    for least, words in ((0.9, "almost sure"), (0.7, "fairly sure"), (0.4, "thinks it is likely")):
        if probability >= least:
            return words
    return "thinks it is possible"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one net found: a category with the words that fired, or how sure the model was."""

    grade: str
    category: str
    net: str
    words: tuple[str, ...]
    sure: str = ""
    at: datetime | None = None


def findings(row: Any) -> list[Finding]:
    """Everything that was found in a chat, the newest first, each once."""
    found: list[Finding] = []
    for reason in reversed(list(row.reasons or ())):
        words = tuple(str(word) for word in reason.get("words", ()))
        sure = ""
        if reason.get("net") == "understanding":
            sure, words = _sure(words), ()
        try:
            at = datetime.fromisoformat(str(reason.get("at")))
        except ValueError:
            at = None
        one = Finding(
            str(reason.get("grade") or ""), str(reason.get("category") or ""), str(reason.get("net") or ""),
            words, sure, at,
        )  # fmt: skip
        alike = (one.grade, one.category, one.net, one.words)
        if not any((other.grade, other.category, other.net, other.words) == alike for other in found):
            found.append(one)
    return found


def _sure(words: Sequence[str]) -> str:
    try:
        return f"{sureness(float(words[0]))} ({words[0]})"
    except (IndexError, ValueError):
        return ""


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that the assistant said, for the desk: an approved answer by its title, or its words."""

    what: str
    at: datetime
    state: str
    sure: str = ""


@dataclass(frozen=True, slots=True)
class Packet:
    """One chat as it is handed over."""

    row: Row[Any]
    lines: Sequence[Line]
    deeds: Sequence[Row[Any]]
    calls: Sequence[Row[Any]]
    earlier: Sequence[Row[Any]]
    times: Times
    release: str = ""
    """The version of the words in force: its number, and the start of its hash."""
    findings: Sequence[Finding] = field(default_factory=tuple)


async def read_earlier(connection: AsyncConnection, row: Row[Any], actor: Actor) -> Sequence[Row[Any]]:
    """Other chats of the same person that `actor` may see, the newest first."""
    query: Any = (
        select(
            Conversation.id, Conversation.reference, Conversation.opened_at, Conversation.grade,
            Conversation.category, Conversation.outcome, Conversation.state,
        )
        .where(Conversation.person_id == row.person_id, Conversation.id != row.id, visible(actor))
        .order_by(Conversation.id.desc())
        .limit(EARLIER_SHOWN)
    )  # fmt: skip
    return list((await connection.execute(query)).all())


async def read_packet(connection: AsyncConnection, row: Row[Any], actor: Actor) -> Packet:
    """Everything of one chat. The caller has made sure that `actor` may open it."""
    deeds = await connection.execute(
        select(Audit.at, Audit.actor, Audit.action, Audit.detail)
        .where(Audit.conversation_id == row.id, Audit.action.in_(DEEDS))
        .order_by(Audit.id)
    )
    live = (await connection.execute(select(Release.id, Release.sha256).where(Release.live))).one_or_none()
    return Packet(
        row,
        await read_transcript(connection, row.id),
        list(deeds.all()),
        await read_calls(connection, row.id),
        await read_earlier(connection, row, actor),
        await read_times(connection, row.id),
        f"{live.id} ({live.sha256[:12]})" if live else "",
        findings(row),
    )


@dataclass(frozen=True, slots=True)
class Names:
    """What keys are called on a staff page."""

    category: Callable[[str | None], str]
    team: Callable[[str | None], str]
    channel: Callable[[str], str]
    language: Callable[[str], str]
    answer: Callable[[str], str]
    """The title of an approved answer, by its slug."""
    link: Callable[[int], str]
    zone: ZoneInfo


SIDES = {
    "person": "Person",
    "assistant": "Assistant (automated)",
    "safety": "Safety words (automated)",
    "notice": "Notice (automated)",
    "staff": "Desk",
    "note": "Private note",
}
NOT_SENT = {"queued", "sending", "failed", "unknown", "refused"}


def summary(packet: Packet, names: Names, *, hidden: bool = False) -> str:
    """The packet as plain text, for the command-and-control system.

    `hidden` says that the subject must not be named to the person before they said it is safe.
    """
    row = packet.row
    when = _clock(names.zone)
    parts = [
        f"CHAT REFERENCE {row.reference} (ours; not a crime number)",
        f"Incident number: {row.incident or 'none yet'}",
        f"Channel: {names.channel(row.channel)}",
        *([f"Was on the page: {row.page}"] if row.page else []),
        f"Began: {when(row.opened_at)}",
        f"Last message: {when(row.last_inbound_at)}",
        *([f"Waiting since: {when(row.waiting_since)}"] if row.waiting_since else []),
        *([f"Closed: {when(row.closed_at)}, {row.outcome}"] if row.closed_at else []),
        f"Grade: {row.grade or 'none'}. {names.category(row.category) if row.category else ''}".strip(),
        f"Team: {names.team(row.team)}",
        f"Language: {names.language(row.language) if row.language else 'English'}",
        f"Safe contact: {safe_words(row, hidden=hidden)}",
        f"Time with the assistant: {_minutes(packet.times.bot)}; waiting: {_minutes(packet.times.waiting)}; "
        f"with a person: {_minutes(packet.times.human)}",
        *([f"Version of the words: {packet.release}"] if packet.release else []),
        f"Link: {names.link(row.id)}",
        "",
        "WHY IT IS HERE",
        *(_finding(one, names) for one in packet.findings),
        *([] if packet.findings else ["Neither net found a risk."]),
        "",
        "LOCATION",
        *(_places(packet.lines, when) or ["None given."]),
        "",
        "CALL BACK",
        *([_call(one, when) for one in packet.calls] or ["None asked for."]),
        "",
        "WHAT WAS SAID",
        *(_line(line, when, names) for line in packet.lines),
        "",
        "WHO DID WHAT",
        *(_deed(one, when, names) for one in packet.deeds),
        *([] if packet.deeds else ["Nobody has done anything yet."]),
        "",
        "EARLIER CHATS",
        *(
            f"{one.reference}, {when(one.opened_at)}, {one.grade or 'no grade'}, {one.outcome or one.state}"
            for one in packet.earlier
        ),
        *([] if packet.earlier else ["None that you may see."]),
    ]
    return "\n".join(parts)


def safe_words(row: Any, *, hidden: bool) -> str:
    """What is known of whether it is safe to chat."""
    asked = {"yes": "they said it is safe", "no": "they said it is NOT safe", "asked": "asked, no answer yet"}
    answer = asked.get(row.safe_check or "", "not asked")
    return f"name no subject until they say it is safe; {answer}" if hidden else answer


def _clock(zone: ZoneInfo) -> Callable[[datetime | None], str]:
    def when(at: datetime | None) -> str:
        if at is None:
            return "not known"
        local = at.astimezone(zone)
        return f"{local:%d %b %Y %H:%M:%S} {local:%Z} ({at.astimezone(UTC):%H:%M:%S} UTC)"

    return when


def _minutes(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def _finding(one: Finding, names: Names) -> str:
    how = f"words: {', '.join(one.words)}" if one.words else one.sure
    return f"{one.grade} {names.category(one.category)}, by {NETS.get(one.net, one.net)}" + (
        f"; {how}" if how else ""
    )


def _places(lines: Sequence[Line], when: Callable[[datetime | None], str]) -> list[str]:
    return [
        f"{line.latitude:.5f}, {line.longitude:.5f} at {when(line.at)}"
        for line in lines
        if line.latitude is not None and line.longitude is not None
    ]


def _call(one: Any, when: Callable[[datetime | None], str]) -> str:
    safe = [
        *([f"safe from {when(one.safe_from)}"] if one.safe_from else []),
        *([f"until {when(one.safe_until)}"] if one.safe_until else []),
    ]
    note = f"; {one.note}" if one.note else ""
    done = f"; done by {one.done_name} {when(one.done_at)}" if one.done_at else "; not done yet"
    return f"{one.number}{', ' + ' '.join(safe) if safe else ''}{note}{done}"


def _line(line: Line, when: Callable[[datetime | None], str], names: Names) -> str:
    who = SIDES.get(line.side, line.side)
    if line.author:
        who += f", {line.author}"
    marks = [
        *(["came late"] if line.late else []),
        *(["edited"] if line.edited else []),
        *([line.kind] if line.kind not in ("text", "button") else []),
        *([f"not sure to have arrived: {line.state}"] if line.state in NOT_SENT else []),
        *([f"answer: {names.answer(line.slug)}"] if line.slug else []),
    ]
    marked = f" [{'; '.join(marks)}]" if marks else ""
    return f"{when(line.at)} {who}{marked}: {line.text}"


def _deed(one: Any, when: Callable[[datetime | None], str], names: Names) -> str:
    detail = one.detail or {}
    extra = []
    grade = detail.get("grade")
    if isinstance(grade, list) and len(grade) == 2 and grade[0] != grade[1]:
        extra.append(f"{grade[0] or 'no grade'} to {grade[1] or 'no grade'}")
    if detail.get("team"):
        extra.append(f"team {names.team(detail['team'])}")
    for key in ("outcome", "done", "reason", "answer"):
        if detail.get(key):
            extra.append(str(detail[key]))
    return f"{when(one.at)} {one.actor} {DEEDS[one.action]}" + (f" ({'; '.join(extra)})" if extra else "")


def said_by_assistant(lines: Sequence[Line], title: Callable[[str], str]) -> list[Said]:
    """What the assistant said, by titles of answers where there are any, oldest first."""
    sure: dict[str, str] = {}
    for line in lines:
        decision = line.decision or {}
        if line.side == "person" and decision.get("answered"):
            sure[str(decision["answered"])] = sureness(float(decision.get("confidence") or 0))
    return [
        Said(
            title(line.slug) if line.slug else line.text,
            line.at,
            line.state or "",
            sure.get(line.slug or "", ""),
        )
        for line in lines
        if line.side in ("assistant", "safety")
    ]
