"""What is owed to a person, and by when: a reply, an incident number, a call.

The times are columns and due rows, set in the transaction of whatever makes them: a message, a
move into the queue, a rise of grade. A due row that comes too late for what happened meanwhile
does nothing. Warnings are `alert` events without a grade: they say who is to look, and never ring
as a danger does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.content import Content, LiveContent
from bot.errors import ContentError, RefusedError
from bot.handover import ownership
from bot.handover.clock import ReplyLimits
from bot.handover.incident import IncidentRule, is_waived, reported_at
from bot.messages import ASIDE, CLOCK, URGENT, WINDOW_OVER, Actor, ApprovedText, Channel
from bot.store import Store
from bot.store.record import add_audit, add_due, add_event, change_conversation, now, upsert
from bot.store.tables import CallBack, Conversation, Due, Message, Outbox

log = structlog.get_logger(__name__)

OPEN_STATES = ("bot", "waiting", "human")
AT_ONCE = 200
"""Chats that one sweep puts right; the next one goes on."""
LATE_BY_US = "this person last wrote more than 24 hours ago"
LATE_BY_THEM = "by its own count this person last wrote more than 24 hours ago"
TOO_LATE = (
    "{title} takes no reply of your own now: {why}. "
    "Your text is kept here, not sent. Send one of the approved texts, or wait until they write."
)


class Limits:
    """Sets these times, and does what is due. One for each gateway."""

    def __init__(self, store: Store, content: LiveContent, channels: Mapping[str, Channel]) -> None:
        """Read the force's limits.

        Raises:
            ContentError: clock.yml, hours.yml or force.yml cannot be read.
        """
        self._store = store
        self._content = content
        self._channels = channels
        self._of = content.current.sha256
        self._limits, self._rule = _read(content.current)
        self.kinds: dict[str, Callable[[Row[Any]], Awaitable[bool]]] = {
            "reply": self._reply,
            "incident": self._incident,
            "window": self._window,
            "call_back": self._call_back,
            "snooze": self._snooze,
        }
        """What the clocks run, by the kind of due row."""

    @property
    def limits(self) -> ReplyLimits:
        """The limits in force now."""
        self._refresh()
        return self._limits

    @property
    def rule(self) -> IncidentRule:
        """The rule of incident numbers in force now."""
        self._refresh()
        return self._rule

    def _refresh(self) -> None:
        content = self._content.current
        if content.sha256 == self._of:
            return
        self._of = content.sha256
        try:
            self._limits, self._rule = _read(content)
        except ContentError as error:
            # What held before goes on: a wrong file must not stop every message.
            log.error("limits.content", error=type(error).__name__)

    # ---- setting ------------------------------------------------------------------------------

    async def settle(
        self, connection: AsyncConnection, conversation_id: int, *, wrote: bool = False, lowered: bool = False
    ) -> None:
        """Put right what is owed in a chat after any change of it.

        Args:
            connection: the transaction that made the change.
            conversation_id: the chat.
            wrote: a person has just written.
            lowered: a person of the staff has just lowered the grade: the limit is counted anew.
        """
        row = await ownership.get(connection, conversation_id)
        if row.state == "closed":
            return
        await self._owe_number(connection, row)
        if row.state == "bot":
            return
        if wrote:
            await self._owe_within_window(connection, row)
        await self._owe_reply(connection, row, wrote=wrote, lowered=lowered)

    async def _owe_reply(
        self, connection: AsyncConnection, row: Row[Any], *, wrote: bool, lowered: bool
    ) -> None:
        if row.state == "human" and not wrote and row.reply_due_at is None:
            return
        since = await _unanswered_since(connection, row) if lowered else now()
        first = row.first_reply_at is None
        due = self.limits.due(row.grade, row.team, since, first=first)
        # A rise of grade makes it sooner. A later message of somebody who waits changes nothing.
        if row.reply_due_at is None or due < row.reply_due_at or lowered:
            warning = self.limits.warning(row.grade, row.team, since, first=first)
            await change_conversation(connection, row.id, reply_due_at=due)
            await add_due(
                connection, "reply", max(timedelta(), warning - now()), key=f"reply:{row.id}",
                conversation_id=row.id, data={"due": due.isoformat()},
            )  # fmt: skip

    async def _owe_number(self, connection: AsyncConnection, row: Row[Any]) -> None:
        """Start the clock of the incident number, once, at the first report."""
        if row.incident is not None or not (row.reasons or row.grade in URGENT):
            return
        told = await reported_at(connection, row, self.rule)
        if told is None:
            return
        values = {
            "kind": "incident", "key": f"incident:{row.id}", "conversation_id": row.id,
            "data": {"step": 0, "told": told.isoformat()},
            "due_at": told + self.limits.incident_warnings[0],
        }  # fmt: skip
        await connection.execute(
            upsert(connection, Due).values(**values).on_conflict_do_nothing(index_elements=["key"])
        )

    def reply_until(self, row: Row[Any]) -> datetime | None:
        """Until when the platform of a chat takes a reply; None: there is no such limit."""
        window = reply_window(self._channels.get(row.channel))
        until: datetime | None = None if window is None else row.last_inbound_at + window
        return until

    def approved_texts(self, row: Row[Any]) -> tuple[ApprovedText, ...] | None:
        """What its platform takes after that, and nothing else; None: there it knows no such texts."""
        return self.texts_of(row.channel)

    def texts_of(self, channel: str) -> tuple[ApprovedText, ...] | None:
        """The same, by the name of the channel."""
        texts = getattr(self._channels.get(channel), "approved_texts", None)
        return texts if isinstance(texts, tuple) else None

    async def has_failed(self, connection: AsyncConnection, row: Row[Any]) -> bool:
        """Whether its platform has said, since the person last wrote, that the time for a reply is over.

        Our own time counts from the arrival of a message: after an outage that is long after it was
        written. Asked only where the platform takes approved texts instead.
        """
        if self.approved_texts(row) is None:
            return False
        found = await connection.execute(
            select(Outbox.id)
            .where(
                Outbox.conversation_id == row.id,
                Outbox.state == "failed",
                Outbox.detail == WINDOW_OVER.format(title=self._title(row)),
                Outbox.created_at >= row.last_inbound_at,
            )
            .limit(1)
        )
        return found.scalar_one_or_none() is not None

    async def is_over(self, connection: AsyncConnection, row: Row[Any]) -> bool:
        """Whether the time in which its platform takes a reply is over, by our count or by its own."""
        until = self.reply_until(row)
        if until is None:
            return False
        return until <= now() or await self.has_failed(connection, row)

    async def must_take_words(self, connection: AsyncConnection, row: Row[Any]) -> None:
        """Words of staff's own may leave.

        Raises:
            RefusedError: the platform takes only texts that it has approved by now.
        """
        if self.approved_texts(row) is not None and await self.is_over(connection, row):
            by_us = (until := self.reply_until(row)) is not None and until <= now()
            why = LATE_BY_US if by_us else LATE_BY_THEM
            raise RefusedError(TOO_LATE.format(title=self._title(row), why=why))

    def _title(self, row: Row[Any]) -> str:
        return str(getattr(self._channels.get(row.channel), "title", row.channel))

    async def _owe_within_window(self, connection: AsyncConnection, row: Row[Any]) -> None:
        window = reply_window(self._channels.get(row.channel))
        if window is None:
            return
        before = min(self.limits.window_warning, window / 2)
        await add_due(
            connection, "window", row.last_inbound_at + window - before - now(), key=f"window:{row.id}",
            conversation_id=row.id, data={"closes": (row.last_inbound_at + window).isoformat()},
        )  # fmt: skip

    # ---- what is due --------------------------------------------------------------------------

    async def _reply(self, due: Row[Any]) -> bool:
        """A reply is due soon, or now."""
        async with self._store.write() as connection:
            row = await ownership.get(connection, due.conversation_id)
            at = now()
            if row.reply_due_at is None or row.reply_due_at.isoformat() != due.data.get("due"):
                return True
            if at < row.reply_due_at:
                await self._warn(connection, row, "reply_soon", until=row.reply_due_at)
                if row.snoozed_until is not None:
                    await wake(connection, row, "reply due")
                await add_due(
                    connection, "reply", row.reply_due_at - at, key=f"reply:{row.id}",
                    conversation_id=row.id, data=due.data,
                )  # fmt: skip
                return True
            await add_audit(
                connection, CLOCK, "breach", row.id, row.epoch, grade=row.grade, team=row.team,
                owner=row.owner_id, seconds=int((at - row.reply_due_at).total_seconds()),
                first=row.first_reply_at is None,
            )  # fmt: skip
            await self._warn(connection, row, "reply_late", until=row.reply_due_at)
        return True

    async def _incident(self, due: Row[Any]) -> bool:
        """There is no incident number yet."""
        async with self._store.write() as connection:
            row = await ownership.get(connection, due.conversation_id)
            if row.state == "closed" or row.incident is not None or await is_waived(connection, row.id):
                return True
            steps = self.limits.incident_warnings
            step, told = int(due.data.get("step", 0)), datetime.fromisoformat(due.data["told"])
            passed = now() - told
            # After a night without a gateway only the newest warning is given.
            while step + 1 < len(steps) and steps[step + 1] <= passed:
                step += 1
            is_over = passed >= steps[-1]
            if is_over:
                await add_audit(
                    connection, CLOCK, "incident.late", row.id, row.epoch, grade=row.grade, team=row.team,
                    owner=row.owner_id, seconds=int((passed - steps[-1]).total_seconds()),
                )  # fmt: skip
            reason = "incident_late" if is_over else "incident_soon"
            await self._warn(connection, row, reason, until=told + steps[-1])
            if not is_over:
                await add_due(
                    connection, "incident", told + steps[step + 1] - now(), key=f"incident:{row.id}",
                    conversation_id=row.id, data={"step": step + 1, "told": due.data["told"]},
                )  # fmt: skip
        return True

    async def _window(self, due: Row[Any]) -> bool:
        """The platform will not take a reply for much longer."""
        async with self._store.write() as connection:
            row = await ownership.get(connection, due.conversation_id)
            closes = datetime.fromisoformat(due.data["closes"])
            if row.reply_due_at is not None and row.state in ("waiting", "human") and now() < closes:
                await self._warn(connection, row, "window", until=closes)
        return True

    async def _call_back(self, due: Row[Any]) -> bool:
        """The time has come in which a person can safely be called."""
        async with self._store.write() as connection:
            row = await ownership.get(connection, due.conversation_id)
            wanted = (
                await connection.execute(
                    select(CallBack.__table__).where(
                        CallBack.id == due.data["call_back"], CallBack.done_at.is_(None)
                    )
                )
            ).one_or_none()
            if wanted is not None:
                if row.snoozed_until is not None:
                    await wake(connection, row, "call back")
                await self._warn(connection, row, "call_back", until=wanted.safe_until)
        return True

    async def _snooze(self, due: Row[Any]) -> bool:
        """A snooze is over."""
        async with self._store.write() as connection:
            row = await ownership.get(connection, due.conversation_id)
            if row.snoozed_until is not None and row.snoozed_until <= now():
                await wake(connection, row, "time")
        return True

    async def _warn(
        self, connection: AsyncConnection, row: Row[Any], reason: str, *, until: datetime | None
    ) -> None:
        await add_event(
            connection,
            row.id,
            "alert",
            {
                "reason": reason, "owner": row.owner_id, "team": row.team, "to": "owner and supervisors",
                "until": until.isoformat() if until else None,
            },
        )  # fmt: skip

    # ---- sweeping -----------------------------------------------------------------------------

    async def sweep(self) -> int:
        """Put right what a change elsewhere left out: a wait without a time, a time too far off.

        Returns how many chats were looked at.
        """
        soon = [
            and_(
                Conversation.grade == grade,
                Conversation.reply_due_at > now() + max(limit.first, limit.next),
            )
            for grade, limit in self.limits.limits.items()
            if not limit.only_open
        ]
        async with self._store.read() as connection:
            found = await connection.execute(
                select(Conversation.id)
                .where(
                    Conversation.state.in_(("waiting", "human")),
                    or_(
                        and_(Conversation.state == "waiting", Conversation.reply_due_at.is_(None)),
                        and_(Conversation.state == "human", Conversation.reply_due_at.is_(None), _is_owed()),
                        *soon,
                    ),
                )
                .limit(AT_ONCE)
            )
            ids = list(found.scalars())
        for conversation_id in ids:
            async with self._store.write() as connection:
                row = await ownership.get(connection, conversation_id)
                await self.settle(connection, conversation_id, wrote=row.state == "human")
        return len(ids)


def _is_owed() -> Any:
    return and_(
        Conversation.owner_outside.is_(False),
        or_(Conversation.last_staff_at.is_(None), Conversation.last_inbound_at > Conversation.last_staff_at),
    )


def _read(content: Content) -> tuple[ReplyLimits, IncidentRule]:
    return ReplyLimits.of(content.clock, content.hours, content.teams), IncidentRule.of(content.force)


def reply_window(channel: Channel | None) -> timedelta | None:
    """How long after a person's last message their platform lets us reply; None: always.

    A channel that has such a window carries it as `reply_window`.
    """
    window = getattr(channel, "reply_window", None)
    return window if isinstance(window, timedelta) else None


async def _unanswered_since(connection: AsyncConnection, row: Row[Any]) -> datetime:
    """When the person began to wait for the reply that is owed."""
    first = select(func.min(Message.received_at)).where(
        Message.conversation_id == row.id, Message.kind.not_in(sorted(ASIDE))
    )
    if row.last_staff_at is not None:
        first = first.where(Message.received_at > row.last_staff_at)
    wrote: datetime | None = (await connection.execute(first)).scalar_one_or_none()
    waits: datetime | None = row.waiting_since if row.last_staff_at is None else None
    return max([at for at in (wrote, waits) if at is not None], default=now())


async def wake(connection: AsyncConnection, row: Row[Any], reason: str, actor: Actor = CLOCK) -> None:
    """End a snooze, so that the chat is among its owner's again."""
    await change_conversation(connection, row.id, snoozed_until=None)
    await add_audit(connection, actor, "snooze.end", row.id, row.epoch, reason=reason)
    await add_event(connection, row.id, "conversation.snooze", {"until": None})
