"""What a page says of one chat beside its words: what is owed, what was found, what came before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.console.visit import Visit
from bot.conversations.calls import may_call, read_calls
from bot.conversations.closing import agencies
from bot.conversations.packet import findings, read_earlier, said_by_assistant
from bot.conversations.transcript import Line
from bot.handover.approval import standing
from bot.handover.incident import is_waived, reported_at
from bot.handover.ownership import REOPEN_WITHIN
from bot.handover.times import read_times
from bot.messages import URGENT
from bot.store.record import now


async def read_facts(
    visit: Visit, connection: AsyncConnection, row: Row[Any], lines: Sequence[Line]
) -> dict[str, Any]:
    """For the head, "why it is here", and the actions of one chat that the caller may read."""
    core, actor = visit.core, visit.actor
    content, limits = core.content.current, core.limits
    told = await reported_at(connection, row, limits.rule)
    own = row.state == "human" and row.owner_id == actor.staff_id
    return {
        "told": told,
        "reply_until": None if row.state == "closed" else limits.reply_until(row),
        "reply_too_late": await limits.is_over(connection, row),
        "reply_refused": await limits.has_failed(connection, row),
        "approved_only": limits.approved_texts(row) is not None,
        "approved_texts": [
            (text, core.approved.shown(text, row.reference))
            for text in await core.approved.offered(connection, row)
        ],
        "waived": told is not None and await is_waived(connection, row.id),
        "incident_example": limits.rule.example,
        "agencies": {
            key: groups for key, outcome in content.outcomes.items() if (groups := agencies(content, outcome))
        },
        "calls": await read_calls(connection, row.id),
        "may_call": may_call(row, core.words),
        "can_call": own or row.state == "waiting" or actor.role == "supervisor",
        "can_incident": row.state != "human" or own or actor.role == "supervisor",
        "can_snooze": own and row.grade not in URGENT,
        "can_reopen": row.state == "closed"
        and row.closed_at is not None
        and row.closed_at > now() - REOPEN_WITHIN,
        "earlier": await read_earlier(connection, row, actor),
        "times": await read_times(connection, row.id),
        "findings": findings(row),
        "stands": await standing(connection, row, actor, core.approvals.rule),
        "said": said_by_assistant(
            lines, lambda slug: content.faqs[slug].title if slug in content.faqs else slug
        ),
    }
