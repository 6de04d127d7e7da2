"""The force's own number for what somebody told: when a chat needs one, and what it looks like.

Ours is a chat reference. The number that counts is that of the force's incident system.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import ContentError, RefusedError
from bot.messages import URGENT
from bot.store.tables import Audit, Conversation

WAIVE = "incident.waive"
"""The audit row of a supervisor's reason to close without a number."""
LONGEST = 64


@dataclass(frozen=True, slots=True)
class IncidentRule:
    """What force.yml says of incident numbers."""

    pattern: re.Pattern[str] | None = None
    example: str = ""
    without: frozenset[str] = frozenset()
    """Categories that are no crime and no risk by themselves. A P1 or P2 always is."""

    @classmethod
    def of(cls, force: Mapping[str, Any]) -> IncidentRule:
        """Read it.

        Raises:
            ContentError: the pattern is no regular expression, or its own example does not fit.
        """
        written, example = force.get("incident_pattern"), str(force.get("incident_example", ""))
        try:
            pattern = re.compile(str(written)) if written else None
        except re.error as error:
            raise ContentError(f"force.yml: incident_pattern cannot be read: {error}.") from error
        if pattern is not None and not pattern.fullmatch(example):
            raise ContentError(
                "force.yml: incident_example does not fit incident_pattern. Change one of them."
            )
        return cls(pattern, example, frozenset(force.get("incident_not_for") or ()))

    def number(self, written: str) -> str:
        """The number as it is kept.

        Raises:
            RefusedError: it is not one of this force's.
        """
        number = " ".join(written.upper().split())
        if not number or len(number) > LONGEST or (self.pattern and not self.pattern.fullmatch(number)):
            raise RefusedError(
                f"This is not an incident number of ours. It looks like {self.example}."
                if self.example
                else "This is not an incident number."
            )
        return number


def first_report(row: Row[Any], rule: IncidentRule) -> datetime | None:
    """When somebody first told of a crime or a risk in this chat; None: nobody did.

    That is any P1 or P2 that either net, or staff, ever found, whatever the grade is now; and a P3
    of any category but those that are no crime and no risk (`incident_not_for`).
    """
    for reason in row.reasons or ():
        grade = reason.get("grade")
        if grade in URGENT or (grade == "P3" and reason.get("category") not in rule.without):
            try:
                return datetime.fromisoformat(str(reason.get("at")))
            except ValueError:
                return row.opened_at  # type: ignore[no-any-return]  # written by an older version
    return None


async def reported_at(connection: AsyncConnection, row: Row[Any], rule: IncidentRule) -> datetime | None:
    """The same, a grade of P1 or P2 that a member of staff gave by hand included."""
    found = first_report(row, rule)
    graded = await connection.execute(
        select(Audit.at, Audit.detail)
        .where(Audit.conversation_id == row.id, Audit.action == "grade")
        .order_by(Audit.id)
    )
    by_hand = [one.at for one in graded if (one.detail.get("grade") or [None])[-1] in URGENT]
    return min([*by_hand[:1], *([found] if found else [])], default=None)


async def needs_incident(
    connection: AsyncConnection, row: Row[Any], outcome: Mapping[str, Any], rule: IncidentRule
) -> bool:
    """Whether a chat closes only with the force's incident number, or a supervisor's reason.

    So it is where somebody told of a crime or a risk, and where the outcome says that there is a
    record; never for what is none: a test, an advert, a double that names the other chat.
    """
    asked = str(outcome.get("incident", "ask"))
    if asked == "never":
        return False
    return asked == "always" or await reported_at(connection, row, rule) is not None


def without_waiver() -> Any:
    """A condition on `conversation`: no supervisor gave a reason for having no number."""
    return ~exists().where(Audit.conversation_id == Conversation.id, Audit.action == WAIVE)


async def is_waived(connection: AsyncConnection, conversation_id: int) -> bool:
    """Whether a supervisor gave a reason for having no number."""
    found = await connection.execute(
        select(Audit.id).where(Audit.conversation_id == conversation_id, Audit.action == WAIVE).limit(1)
    )
    return found.scalar_one_or_none() is not None
