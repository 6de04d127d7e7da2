"""Who has a conversation open on a page, and who types there: others see it before they write.

A row of `staff_view` for each person and conversation, written by a beat of the page: when it opens,
every 20 seconds, and while somebody types once in five. A row that is older than `FRESH` counts no
more, whatever became of the page.

Presence writes no event. An event makes every open desk read its lists anew and stays in the table;
a hundred moderators who open, leave and type would do that several times a second, for something
that only the two or three on the same conversation want to know. So SQL is the truth here too, but the
wake-up goes by a bell of each person (`bell_of`), and only to those who have the same conversation
open. A lost ring, or two gateways without Redis, costs the time to the page's next beat.

Nobody learns of it who may not see the conversation: the beat asks first, in its own transaction. A
beat is answered with what others do there, so that a page that is open asks for nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import NoSuchChatError, NotAllowedError
from bot.handover.queue import ANSWERING_ROLES, see
from bot.messages import Actor
from bot.store import Bell, Store
from bot.store.record import now, upsert
from bot.store.tables import Staff, StaffSession, StaffView

FRESH: Final = timedelta(seconds=45)
"""Two beats of a page and a little more."""
TYPING: Final = timedelta(seconds=8)
"""How long after the last word of it somebody counts as typing; the page says so every 5 s at most."""


def bell_of(staff_id: int) -> str:
    """The name of the bell that rings when something changed where this member of staff looks on."""
    return f"viewers:{staff_id}"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody else who has a conversation open."""

    staff_id: int
    name: str
    typing_seconds: float
    """How much longer they count as typing; 0: they do not."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a beat is answered with."""

    stamp: int
    """The moment of this beat in microseconds; a page that leaves says which was its last."""
    others: tuple[Viewer, ...]


def _micros(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def _at_the_desk() -> Any:
    """Whoever signed out or locked the desk is gone at once, whatever their page still wrote."""
    return exists().where(
        StaffSession.staff_id == StaffView.staff_id,
        StaffSession.locked.is_(False),
        StaffSession.second_factor.is_(None),
    )


def _open_views(moment: datetime) -> Any:
    return (
        select(StaffView.conversation_id, StaffView.staff_id, StaffView.typing_at, Staff.name)
        .join(Staff, Staff.id == StaffView.staff_id)
        .where(StaffView.seen_at > moment - FRESH, _at_the_desk())
        .order_by(Staff.name, Staff.id)
    )


def _typing_seconds(row: Any, moment: datetime) -> float:
    if row is None or row.typing_at is None:
        return 0.0
    left: timedelta = row.typing_at + TYPING - moment
    return max(0.0, left.total_seconds())


async def readers_of_all(connection: AsyncConnection, actor: Actor) -> dict[int, list[tuple[int, str]]]:
    """Who else has which conversation open, as pairs of id and name. For lists that `actor` may see."""
    found: dict[int, list[tuple[int, str]]] = {}
    for row in await connection.execute(_open_views(now()).where(StaffView.staff_id != actor.staff_id)):
        found.setdefault(row.conversation_id, []).append((row.staff_id, row.name))
    return found


class Views:
    """Keeps and shows who looks on where."""

    def __init__(self, store: Store, bell: Bell) -> None:
        self._store = store
        self._bell = bell

    async def beat(self, conversation_id: int, actor: Actor, *, typing: bool | None = None) -> Seen:
        """A page of `actor` shows this conversation. `typing` None leaves that as it was.

        Raises:
            NoSuchChatError: there is no such conversation for `actor`.
            NotAllowedError: the role answers nobody.
        """
        if actor.staff_id is None or actor.role not in ANSWERING_ROLES:
            raise NotAllowedError("Your role does not allow that.")
        async with self._store.write(quick=True) as connection:
            if await see(connection, conversation_id, actor) is None:
                raise NoSuchChatError
            moment = now()
            before = await _own(connection, conversation_id, actor.staff_id)
            rows = await connection.execute(
                _open_views(moment).where(
                    StaffView.conversation_id == conversation_id, StaffView.staff_id != actor.staff_id
                )
            )
            others = tuple(Viewer(row.staff_id, row.name, _typing_seconds(row, moment)) for row in rows)
            values: dict[str, Any] = {"seen_at": moment}
            if typing is not None:
                values["typing_at"] = moment if typing else None
            await connection.execute(
                upsert(connection, StaffView)
                .values(conversation_id=conversation_id, staff_id=actor.staff_id, **values)
                .on_conflict_do_update(index_elements=["conversation_id", "staff_id"], set_=values)
            )
        was_open = before is not None and before.seen_at > moment - FRESH
        typed = _typing_seconds(before, moment) > 0
        if not was_open or (typing is not None and typing != typed):
            self._tell(others)
        return Seen(_micros(moment), others)

    async def leave(self, conversation_id: int, actor: Actor, stamp: int) -> None:
        """A page is gone, whose last beat was that of `stamp`. One that came after it goes on."""
        if actor.staff_id is None:
            return
        async with self._store.write(quick=True) as connection:
            row = await _own(connection, conversation_id, actor.staff_id)
            if row is None or _micros(row.seen_at) > stamp:
                return
            await connection.execute(
                delete(StaffView).where(
                    StaffView.conversation_id == conversation_id, StaffView.staff_id == actor.staff_id
                )
            )
            rows = await connection.execute(
                _open_views(now()).where(StaffView.conversation_id == conversation_id)
            )
            others = tuple(Viewer(row.staff_id, row.name, 0.0) for row in rows)
        self._tell(others)

    async def sweep(self) -> None:
        """Remove what pages left behind that went without a word."""
        old = StaffView.seen_at < now() - 2 * FRESH
        async with self._store.read() as connection:
            found = await connection.execute(select(StaffView.staff_id).where(old).limit(1))
            if found.first() is None:
                return
        async with self._store.write() as connection:
            await connection.execute(delete(StaffView).where(old))

    def _tell(self, others: tuple[Viewer, ...]) -> None:
        for one in others:
            self._bell.ring(bell_of(one.staff_id))


async def _own(connection: AsyncConnection, conversation_id: int, staff_id: int) -> Any:
    query = select(StaffView.seen_at, StaffView.typing_at).where(
        StaffView.conversation_id == conversation_id, StaffView.staff_id == staff_id
    )
    return (await connection.execute(query)).one_or_none()
