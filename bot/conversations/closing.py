"""What has to be right before a chat may close: outcome, agency, the other chat, the incident number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.content import Content
from bot.errors import NotAllowedError, RefusedError
from bot.handover.incident import WAIVE, IncidentRule, is_waived, needs_incident
from bot.handover.queue import visible
from bot.messages import GRADES, Actor
from bot.store.record import add_audit, add_event, change_conversation
from bot.store.tables import CallBack, Conversation

LEAST_LETTERS = 3
NEEDS_NUMBER = "Write the force's incident number. Without one, a supervisor gives the reason."


@dataclass(frozen=True, slots=True)
class Closing:
    """What was written into the form."""

    outcome: str
    done: str = ""
    agency: str = ""
    """The key of a contact: where the person was sent."""
    incident: str = ""
    linked: str = ""
    """The chat reference of the same matter."""
    waiver: str = ""
    """A supervisor's reason for having no incident number."""


def agencies(content: Content, outcome: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """The agencies to choose from, by group: (key, name)."""
    found: dict[str, list[tuple[str, str]]] = {}
    for group in outcome.get("agency") or ():
        listed = [
            (key, str(contact["name"]))
            for key, contact in content.contacts.items()
            if contact.get("group") == group
        ]
        if listed:
            found[str(group)] = sorted(listed, key=lambda pair: pair[1].casefold())
    return found


def known_outcome(content: Content, form: Closing) -> Mapping[str, Any]:
    """The outcome that was chosen.

    Raises:
        RefusedError: there is none, or something that it asks for is missing.
    """
    known: Mapping[str, Any] | None = content.outcomes.get(form.outcome)
    if known is None:
        raise RefusedError("Choose an outcome.")
    if known.get("needs_note") and len(form.done.strip()) < LEAST_LETTERS:
        raise RefusedError("Write down what was done.")
    offered = agencies(content, known)
    if offered and not any(key == form.agency for group in offered.values() for key, _name in group):
        raise RefusedError("Choose the agency that you sent the person to.")
    return known


async def check(
    connection: AsyncConnection,
    row: Row[Any],
    actor: Actor,
    form: Closing,
    content: Content,
    rule: IncidentRule,
) -> dict[str, Any]:
    """Check the form against the chat, and keep the incident number. Returns what the audit row counts.

    Raises:
        RefusedError: something is missing; says what.
    """
    known = known_outcome(content, form)
    if row.grade and row.grade not in known.get("grades", GRADES):
        raise RefusedError(f"A {row.grade} cannot be closed with that outcome. Choose another.")
    if await has_open_call(connection, row.id):
        raise RefusedError("A call back is still open. Mark it as done or not needed first.")
    detail: dict[str, Any] = {}
    if known.get("agency"):
        detail |= {"agency": form.agency, "agency_group": content.contacts[form.agency].get("group")}
    if known.get("linked"):
        detail["linked"] = await _other_chat(connection, row, actor, form.linked)
    if form.incident.strip():
        await keep_incident(connection, row, actor, form.incident, rule)
    elif row.incident is None and await needs_incident(connection, row, known, rule):
        if form.waiver.strip():
            await waive(connection, row, actor, form.waiver)
        elif not await is_waived(connection, row.id):
            raise RefusedError(NEEDS_NUMBER)
    return detail


async def _other_chat(connection: AsyncConnection, row: Row[Any], actor: Actor, written: str) -> str:
    reference = written.strip().upper()
    query = select(Conversation.id).where(
        Conversation.reference == reference, Conversation.id != row.id, visible(actor)
    )
    if not reference or (await connection.execute(query)).scalar_one_or_none() is None:
        raise RefusedError("Write the chat reference of the other chat. We do not know that one.")
    return reference


async def keep_incident(
    connection: AsyncConnection, row: Row[Any], actor: Actor, written: str, rule: IncidentRule
) -> str:
    """Keep the force's incident number of a chat that the caller has locked.

    Raises:
        RefusedError: it does not look like one.
    """
    number = rule.number(written)
    if number != row.incident:
        await change_conversation(connection, row.id, incident=number)
        await add_audit(connection, actor, "incident", row.id, row.epoch, number=[row.incident, number])
        await add_event(connection, row.id, "conversation.incident", {})
    return number


async def waive(connection: AsyncConnection, row: Row[Any], actor: Actor, reason: str) -> None:
    """Keep a supervisor's reason for closing without an incident number.

    Raises:
        NotAllowedError: the caller is no supervisor.
        RefusedError: there is no reason.
    """
    if actor.role != "supervisor":
        raise NotAllowedError("Only a supervisor may close this chat without an incident number.")
    if len(reason.strip()) < LEAST_LETTERS:
        raise RefusedError("Give a reason.")
    await add_audit(connection, actor, WAIVE, row.id, row.epoch, reason=reason.strip())
    await add_event(connection, row.id, "conversation.incident", {})


async def has_open_call(connection: AsyncConnection, conversation_id: int) -> bool:
    """Whether somebody is still to be called."""
    query = select(CallBack.id).where(CallBack.conversation_id == conversation_id, CallBack.done_at.is_(None))
    return (await connection.execute(query.limit(1))).scalar_one_or_none() is not None
