"""The queue as staff see it: what waits, what is owned, the most urgent and longest waiting first."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Result, Row, and_, case, exists, func, or_, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from bot.errors import NoSuchChatError
from bot.messages import ASIDE, GRADES, URGENT, Actor
from bot.store.record import lock_conversation
from bot.store.tables import Conversation, Measure, Message, Person, Staff, Surge, SurgeMember, Team

ANSWERING_ROLES = frozenset({"moderator", "supervisor"})
LARGEST_ID = 2**63 - 1
"""The largest number that the databases hold as an id."""


def sight_of(actor: Actor) -> Actor:
    """Nobody in particular, who sees just what `actor` sees.

    `visible` asks for the role and the teams and for nothing else: those who agree in both can be
    answered by one reading. `0` is nobody's id, and owns nothing.
    """
    return Actor("", 0, actor.role, actor.teams)


def visible(actor: Actor) -> Any:
    """The condition that `actor` may see a conversation: the one of every list, page, count and event.

    A restricted team's conversations are seen by its members, and by the team that one is being
    passed to: nobody can accept unread. Of a sealed one nobody else may even learn that it is there:
    not a supervisor outside the team, and no other role. A P1 is seen as well by the one small team
    that the sealed team names.
    """
    mine = sorted(actor.teams)
    restricted = select(Team.key).where(Team.restricted)
    member = or_(Conversation.team.in_(mine), Conversation.transfer_team.in_(mine))
    open_to_all = or_(Conversation.team.is_(None), Conversation.team.not_in(restricted), member)
    if actor.role not in ANSWERING_ROLES:
        return and_(Conversation.sealed.is_(False), open_to_all)
    led = select(Team.key).where(Team.sealed, Team.also_at_p1.in_(mine))
    return or_(
        and_(Conversation.sealed.is_(False), open_to_all),
        member,
        and_(Conversation.grade == "P1", Conversation.team.in_(led)),
    )


@dataclass(frozen=True, slots=True)
class Filters:
    """What a member of staff has narrowed the list to; an empty field narrows nothing."""

    grade: str = ""
    team: str = ""
    category: str = ""
    channel: str = ""
    language: str = ""
    """A code, or `en` for those that nobody took for another language."""
    state: str = ""
    """waiting, mine or others."""
    takeable: bool = False
    """Only what this member of staff may take."""

    @property
    def is_set(self) -> bool:
        """Whether anything is narrowed."""
        return self != Filters()

    def fits(self, facet: Row[Any], *, leaving_out: str = "") -> bool:
        """Whether a row of `count_facets` passes, all fields but one looked at."""
        language = facet.language or "en"
        given = {
            "grade": facet.grade, "team": facet.team, "category": facet.category,
            "channel": facet.channel, "language": language,
        }  # fmt: skip
        wanted = {name: getattr(self, name) for name in given if name != leaving_out}
        return all(not value or given[name] == value for name, value in wanted.items())


def _narrowed(filters: Filters) -> list[Any]:
    conditions = [
        getattr(Conversation, name) == value
        for name in ("grade", "team", "category", "channel")
        if (value := getattr(filters, name))
    ]
    if filters.language == "en":
        conditions.append(Conversation.language.is_(None))
    elif filters.language:
        conditions.append(Conversation.language == filters.language)
    return conditions


async def grades_of(connection: AsyncConnection, actor: Actor) -> frozenset[str]:
    """The grades that `actor` may take: those of their teams; a supervisor takes any."""
    if actor.role == "supervisor":
        return frozenset(GRADES)
    if not actor.teams:
        return frozenset()
    found = await connection.execute(select(Team.grades).where(Team.key.in_(sorted(actor.teams))))
    return frozenset(grade for grades in found.scalars() for grade in grades)


def takeable(actor: Actor, grades: Collection[str]) -> Any:
    """The condition that `actor`, who sees a waiting conversation, may take it."""
    return and_(visible(actor), or_(Conversation.grade.is_(None), Conversation.grade.in_(sorted(grades))))


def in_surge() -> Any:
    """The condition that a conversation is shown in the card of a surge, and not in the list.

    True of these very moments: whoever is graded up, taken, or writes again is back in the list at
    once, and `surges.py` then looks whether it was something different.
    """
    member, wrote = aliased(SurgeMember), aliased(Message)
    again = (
        select(wrote.id)
        .where(
            wrote.conversation_id == Conversation.id,
            wrote.id > member.compared,
            wrote.kind.not_in(sorted({"button", *ASIDE})),
        )
        .correlate(Conversation, member)
    )
    belongs = (
        select(member.conversation_id)
        .where(member.conversation_id == Conversation.id, member.left_at.is_(None), ~again.exists())
        .correlate(Conversation)
    )
    return and_(
        Conversation.state == "waiting",
        Conversation.sealed.is_(False),
        Conversation.grade.in_(("P3", "P4")),
        belongs.exists(),
    )


WAITING = text("conversation.state = 'waiting'")
OWNED = text("conversation.state = 'human'")
"""In these very words, not as parameters: only then do the databases see that the small indexes of
open chats serve."""
ORDER = (
    Conversation.grade,
    Conversation.front.desc(),
    Conversation.waiting_since,
    Conversation.id,
)
"""P1 to P4, those whose owner was lost, then by first wait."""


async def list_queue(
    connection: AsyncConnection,
    actor: Actor,
    *,
    filters: Filters | None = None,
    state: str = "",
    grouped: bool = False,
    owners: Collection[int] = (),
    limit: int = 200,
) -> list[Row[Any]]:
    """Waiting and owned conversations that `actor` may see: waiting first, then as `ORDER` says.

    `state` is waiting, mine, others or empty for all; `owners` stand in the place of `actor` for what is
    mine. `grouped` leaves out what the card of a surge shows. Columns: those of the conversation, `owner_name`, `person_name`, `last_text`, `folded` (the
    text is hidden until asked for).
    """
    filters = filters or Filters()
    which: dict[str, Any] = {
        "": Conversation.state.in_(("waiting", "human")),
        "waiting": WAITING,
        "mine": and_(OWNED, Conversation.owner_id.in_(sorted(owners) or [actor.staff_id])),
        "others": and_(
            OWNED,
            or_(Conversation.owner_id.is_(None), Conversation.owner_id != actor.staff_id),
        ),
    }
    conditions = [which[state], visible(actor), *_narrowed(filters)]
    if filters.takeable:
        conditions.append(takeable(actor, await grades_of(connection, actor)))
    if grouped and await any_surge(connection):
        conditions.append(~in_surge())
    # First the page, then what belongs to its rows: never a text for a row that nobody is shown.
    order = ORDER if state else (Conversation.state.desc(), *ORDER)
    page = (
        _waiting_page(conditions, limit)
        if state == "waiting"
        else select(Conversation.id).where(*conditions).order_by(*order).limit(limit).subquery()
    )
    newest = (
        select(Message.text)
        .where(Message.conversation_id == Conversation.id, Message.kind.not_in(sorted(ASIDE)))
        .order_by(Message.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    folded = exists().where(
        Measure.person_id == Conversation.person_id, Measure.kind == "hide", Measure.ended_at.is_(None)
    )
    query = (
        select(
            Conversation.__table__,
            Staff.name.label("owner_name"),
            Person.name.label("person_name"),
            newest.label("last_text"),
            and_(folded, or_(Conversation.grade.is_(None), Conversation.grade.not_in(URGENT))).label(
                "folded"
            ),
        )
        .join(page, page.c.id == Conversation.id)
        .join(Person, Person.id == Conversation.person_id)
        .outerjoin(Staff, Staff.id == Conversation.owner_id)
        .order_by(*order)
        .limit(limit)
    )
    return list((await connection.execute(query)).all())


def _waiting_page(conditions: list[Any], limit: int) -> Any:
    """The ids of the first that wait, and of some more: the few in front of their band apart.

    Without them the order is that of the index, which is then read no further than the page goes.
    """
    few = select(Conversation.id).where(*conditions, Conversation.front).order_by(*ORDER).limit(limit)
    others = select(Conversation.id).where(*conditions, ~Conversation.front)
    others = others.order_by(Conversation.grade, Conversation.waiting_since, Conversation.id).limit(limit)
    parts = [select(part.subquery().c.id) for part in (few, others)]
    return union_all(*parts).subquery()


async def any_surge(connection: AsyncConnection) -> bool:
    """Whether the card of any surge is open."""
    found = await connection.execute(select(Surge.id).where(Surge.closed_at.is_(None)).limit(1))
    return found.scalar_one_or_none() is not None


async def count_facets(connection: AsyncConnection, actor: Actor) -> list[Row[Any]]:
    """What waits, counted by everything that the list can be narrowed to.

    Columns: grade, team, category, channel, language, `waiting` (how many), `oldest` (the first wait).
    """
    facets = (
        Conversation.grade, Conversation.team, Conversation.category, Conversation.channel,
        Conversation.language,
    )  # fmt: skip
    rows: Result[Any] = await connection.execute(
        select(*facets, func.count().label("waiting"), func.min(Conversation.waiting_since).label("oldest"))
        .where(WAITING, visible(actor))
        .group_by(*facets)
    )
    return list(rows.all())


async def count_owned(connection: AsyncConnection, actor: Actor, filters: Filters) -> tuple[int, int]:
    """How many `actor` owns, and how many somebody else does; both narrowed."""
    mine = case((Conversation.owner_id == actor.staff_id, 1), else_=0)
    conditions = [OWNED, visible(actor), *_narrowed(filters)]
    if filters.takeable:
        conditions.append(takeable(actor, await grades_of(connection, actor)))
    row = (
        await connection.execute(select(func.coalesce(func.sum(mine), 0), func.count()).where(*conditions))
    ).one()
    return int(row[0]), int(row[1]) - int(row[0])


async def count_waiting(connection: AsyncConnection, actor: Actor) -> dict[str, int]:
    """How many wait, by grade."""
    rows = await connection.execute(
        select(Conversation.grade, func.count())
        .where(and_(Conversation.state == "waiting", visible(actor)))
        .group_by(Conversation.grade)
    )
    return {str(row[0]): int(row[1]) for row in rows}


async def see(connection: AsyncConnection, conversation_id: int, actor: Actor) -> Row[Any] | None:
    """The conversation of that id, if there is one that `actor` may see."""
    if not 0 < conversation_id <= LARGEST_ID:
        return None
    found = await connection.execute(
        select(Conversation.__table__).where(Conversation.id == conversation_id, visible(actor))
    )
    return found.one_or_none()


async def may_see(connection: AsyncConnection, conversation_id: int, actor: Actor) -> bool:
    """Whether there is a conversation of that id that `actor` may see."""
    return await see(connection, conversation_id, actor) is not None


async def may_open(connection: AsyncConnection, conversation: Row[Any], actor: Actor) -> bool:
    """Whether `actor` may see this conversation, as it stands in this transaction."""
    return await may_see(connection, conversation.id, actor)


async def get_for(connection: AsyncConnection, conversation_id: int, actor: Actor) -> Row[Any]:
    """The conversation, locked for this transaction, if `actor` may see it.

    Raises:
        NoSuchChatError: there is none of that id, or `actor` may not see it: nobody can tell which.
    """
    row = await lock_conversation(connection, conversation_id) if 0 < conversation_id <= LARGEST_ID else None
    if row is None or not await may_open(connection, row, actor):
        raise NoSuchChatError
    return row
