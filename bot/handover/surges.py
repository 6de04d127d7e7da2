"""Surges: many people who write nearly the same within minutes, shown as one card.

Only waiting P3 and P4 are grouped, and only who has written nothing else. What the list and the card
show follows from the state of each conversation at that moment (`queue.in_surge`): whoever becomes
a P1 or P2, is taken, or writes again is back in the list at once. A sweep, one gateway at a time, then
settles who belongs where. Nothing is grouped that is sealed, restricted, or of a category whose
subject is not to be named.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.handover.queue import WAITING, in_surge, visible
from bot.messages import ASIDE, CLOCK, COMMENTS, Actor
from bot.store import Store
from bot.store.record import add_audit, add_event, lock_conversation, now, upsert
from bot.store.tables import Conversation, Due, Lease, Message, Person, Surge, SurgeMember, Team

WITHIN = timedelta(minutes=15)
LEAST_PEOPLE = 5
"""So many make a surge; fewer are read one by one."""
LEAST_WORDS = 5
"""A greeting or a plain "help" is the same from everybody, and says nothing."""
LIKE = 0.8
"""Least share of common pieces of letters (Jaccard) of two near-identical texts."""
PIECE = 4
AT_ONCE = 500
"""Conversations that one sweep compares."""
PLACED_AT_ONCE = 200
"""Conversations that one sweep puts into a card or takes out; the next one goes on."""
HEADS = 200
MOST_MESSAGES = 10
RISES = "surge_rise"
"""The clock of an answer that waits for a second person: once its time has passed, it has risen."""
LEASE = "surges"
LEASE_FOR = timedelta(seconds=60)

_WORD = re.compile(r"\w+")
_NOT_WRITING = sorted({"button", *ASIDE})
"""Kinds of messages in which nobody has written anything."""


def normalised(text: str) -> str:
    """The same words without case, signs and spaces."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def is_long_enough(plain: str) -> bool:
    """Whether a normalised text says enough to be compared."""
    return len(plain.split()) >= LEAST_WORDS


def pieces(plain: str) -> frozenset[str]:
    """All pieces of `PIECE` letters."""
    return frozenset(plain[at : at + PIECE] for at in range(max(1, len(plain) - PIECE + 1)))


def numbers(plain: str) -> tuple[str, ...]:
    """Its numbers in order: another house or another time is another matter."""
    return tuple(word for word in plain.split() if any(letter.isdigit() for letter in word))


def are_alike(one: str, other: str) -> bool:
    """Whether two normalised texts are near-identical."""
    if one == other:
        return True
    if numbers(one) != numbers(other):
        return False
    mine, theirs = pieces(one), pieces(other)
    return len(mine & theirs) >= LIKE * len(mine | theirs)


def cluster(texts: Sequence[tuple[int, str]]) -> list[list[int]]:
    """The conversations that wrote nearly the same, in groups, the largest first.

    Equal texts are put together first: of those that remain, at most `HEADS` are compared.
    """
    equal: dict[str, list[int]] = defaultdict(list)
    for conversation_id, plain in texts:
        equal[plain].append(conversation_id)
    heads: list[tuple[str, list[int]]] = []
    for plain, ids in sorted(equal.items(), key=lambda pair: -len(pair[1])):
        for head, members in heads:
            if are_alike(head, plain):
                members.extend(ids)
                break
        else:
            if len(heads) < HEADS:
                heads.append((plain, list(ids)))
    return sorted((members for _, members in heads), key=len, reverse=True)


@dataclass(frozen=True, slots=True)
class Card:
    """One surge, as somebody sees it."""

    id: int
    sample: str
    count: int
    oldest: datetime | None
    answer: str | None
    asked_by: int | None
    approved: bool
    has_risen: bool = False
    """Its answer has waited too long for a second person: supervisors are told."""


async def list_cards(connection: AsyncConnection, actor: Actor) -> list[Card]:
    """The open surges with the conversations in them that `actor` may see; the largest first."""
    found = await connection.execute(
        select(
            Surge.id, Surge.sample, Surge.answer, Surge.asked_by, Surge.approved_by,
            func.count().label("people"), func.min(Conversation.waiting_since).label("oldest"),
        )
        .join(SurgeMember, SurgeMember.surge_id == Surge.id)
        .join(Conversation, Conversation.id == SurgeMember.conversation_id)
        .where(Surge.closed_at.is_(None), in_surge(), visible(actor))
        .group_by(Surge.id, Surge.sample, Surge.answer, Surge.asked_by, Surge.approved_by)
        .order_by(func.count().desc(), Surge.id)
        .limit(20)
    )  # fmt: skip
    rows = list(found.all())
    risen = await _risen(connection, [row.id for row in rows if row.answer and row.approved_by is None])
    return [
        Card(
            row.id, row.sample, row.people, row.oldest, row.answer, row.asked_by,
            row.approved_by is not None, row.id in risen,
        )
        for row in rows
    ]  # fmt: skip


async def any_answer_waits(connection: AsyncConnection) -> bool:
    """Whether the answer of any surge waits for a second person."""
    query = select(Surge.id).where(
        Surge.closed_at.is_(None), Surge.answer.is_not(None), Surge.approved_by.is_(None)
    )
    return (await connection.execute(query.limit(1))).scalar_one_or_none() is not None


async def _risen(connection: AsyncConnection, ids: Sequence[int]) -> set[int]:
    """Those of these surges whose answer waits for longer than it may."""
    if not ids:
        return set()
    keys = {f"{RISES}:{one}": one for one in ids}
    late = await connection.execute(select(Due.key).where(Due.key.in_(sorted(keys)), Due.due_at <= now()))
    return {keys[key] for key in late.scalars() if key is not None}


async def members_of(connection: AsyncConnection, surge_id: int, actor: Actor) -> list[Row[Any]]:
    """The conversations in a card that `actor` may see, the longest waiting first."""
    found = await connection.execute(
        select(Conversation.__table__)
        .join(SurgeMember, SurgeMember.conversation_id == Conversation.id)
        .where(SurgeMember.surge_id == surge_id, in_surge(), visible(actor))
        .order_by(Conversation.waiting_since, Conversation.id)
    )
    return list(found.all())


async def leave(connection: AsyncConnection, row: Row[Any], actor: Actor, why: str) -> bool:
    """Take a conversation out of its card. `row` is locked by the caller."""
    gone = await connection.execute(
        update(SurgeMember)
        .where(SurgeMember.conversation_id == row.id, SurgeMember.left_at.is_(None))
        .values(left_at=now())
    )
    if not gone.rowcount:
        return False
    await add_audit(connection, actor, "surge.leave", row.id, row.epoch, why=why)
    await add_event(connection, row.id, "conversation.surge", {"left": True})
    return True


async def texts_of(connection: AsyncConnection, ids: Iterable[int], after: int = 0) -> dict[int, list[str]]:
    """What each conversation's person wrote after that message, normalised; a pressed button is not writing."""
    query = select(Message.conversation_id, Message.text, Message.kind).where(
        Message.conversation_id.in_(sorted(ids)), Message.kind.not_in(_NOT_WRITING), Message.id > after
    )
    found: dict[int, list[str]] = defaultdict(list)
    for row in await connection.execute(query.order_by(Message.id)):
        # What is no text is something different from any text.
        found[row.conversation_id].append(normalised(row.text) if row.kind == "text" else "")
    return found


async def newest_of(connection: AsyncConnection, conversation_id: int) -> int:
    """The newest message of a conversation that the caller has locked: none of before comes later."""
    found = await connection.execute(
        select(func.max(Message.id)).where(Message.conversation_id == conversation_id)
    )
    return int(found.scalar_one() or 0)


def one_text(written: Sequence[str]) -> str | None:
    """The one thing that somebody wrote, however often; None: they wrote different things."""
    if not written or len(written) > MOST_MESSAGES or not is_long_enough(written[0]):
        return None
    return written[-1] if all(are_alike(written[-1], text) for text in written[:-1]) else None


def fits(row: Row[Any]) -> bool:
    """Whether a conversation may be in a card at all."""
    return row.state == "waiting" and row.grade in ("P3", "P4") and not row.sealed


class Surges:
    """The sweep. `left_out` names the categories that are never grouped."""

    def __init__(self, store: Store, left_out: Callable[[], Iterable[str]], *, gateway: str) -> None:
        self._store = store
        self._left_out = left_out
        self._gateway = gateway

    async def sweep(self) -> int:
        """Settle who belongs to which card. Returns how many conversations came or went."""
        if not await self._is_needed() or not await self._take_lease():
            return 0
        changed = await self._settle_members()
        await self._close_small()
        return changed + await self._group()

    async def _is_needed(self) -> bool:
        async with self._store.read() as connection:
            open_one = await connection.execute(select(Surge.id).where(Surge.closed_at.is_(None)).limit(1))
            if open_one.scalar_one_or_none() is not None:
                return True
            some = await connection.execute(
                select(func.count()).select_from(
                    select(Conversation.id).where(*self._may_join()).limit(LEAST_PEOPLE).subquery()
                )
            )
            return int(some.scalar_one()) >= LEAST_PEOPLE

    async def _take_lease(self) -> bool:
        async with self._store.write() as connection:
            moment = now()
            await connection.execute(
                upsert(connection, Lease)
                .values(key=LEASE, counter=0, data={})
                .on_conflict_do_nothing(index_elements=["key"])
            )
            taken = await connection.execute(
                update(Lease)
                .where(
                    Lease.key == LEASE,
                    or_(Lease.holder.is_(None), Lease.holder == self._gateway, Lease.expires < moment),
                )
                .values(holder=self._gateway, expires=moment + LEASE_FOR)
            )
            return bool(taken.rowcount)

    # ---- those who are in a card -----------------------------------------------------------------

    async def _settle_members(self) -> int:
        """Look at those who do not fit as they stand: out they go, or they wrote the same once more."""
        async with self._store.read() as connection:
            found = await connection.execute(
                select(SurgeMember.conversation_id)
                .join(Conversation, Conversation.id == SurgeMember.conversation_id)
                .where(SurgeMember.left_at.is_(None), ~in_surge())
                .limit(PLACED_AT_ONCE)
            )
            ids = list(found.scalars())
        for conversation_id in ids:
            async with self._store.write() as connection:
                await self._settle(connection, conversation_id)
        return len(ids)

    async def _settle(self, connection: AsyncConnection, conversation_id: int) -> None:
        # Whoever stores a message holds the conversation: after this no message of before is missing.
        row = await lock_conversation(connection, conversation_id)
        query = (
            select(SurgeMember.compared, Surge.sample)
            .join(Surge, Surge.id == SurgeMember.surge_id)
            .where(SurgeMember.conversation_id == conversation_id, SurgeMember.left_at.is_(None))
        )
        member = (await connection.execute(query)).one_or_none()
        if row is None or member is None:
            return
        if not fits(row):
            await leave(connection, row, CLOCK, "graded up, taken or ended")
            return
        written = (await texts_of(connection, [row.id], member.compared))[row.id]
        if all(are_alike(text, normalised(member.sample)) for text in written):
            await connection.execute(
                update(SurgeMember)
                .where(SurgeMember.conversation_id == row.id)
                .values(compared=await newest_of(connection, row.id))
            )
        else:
            await leave(connection, row, CLOCK, "wrote something different")

    async def _close_small(self) -> None:
        """Close the card of a surge in which one or nobody is left."""
        async with self._store.write() as connection:
            left = (
                select(func.count())
                .where(SurgeMember.surge_id == Surge.id, SurgeMember.left_at.is_(None))
                .scalar_subquery()
            )
            found = await connection.execute(
                select(Surge.id, left).where(Surge.closed_at.is_(None), left < 2)
            )
            for surge_id, count in found.all():
                if count and await self._is_being_answered(connection, surge_id):
                    continue
                await connection.execute(update(Surge).where(Surge.id == surge_id).values(closed_at=now()))
                for conversation_id in await self._left_in(connection, surge_id):
                    row = await lock_conversation(connection, conversation_id)
                    if row is not None:
                        await leave(connection, row, CLOCK, "the surge is over")

    async def _is_being_answered(self, connection: AsyncConnection, surge_id: int) -> bool:
        found = await connection.execute(select(Surge.approved_by).where(Surge.id == surge_id))
        return found.scalar_one() is not None

    async def _left_in(self, connection: AsyncConnection, surge_id: int) -> list[int]:
        found = await connection.execute(
            select(SurgeMember.conversation_id).where(
                SurgeMember.surge_id == surge_id, SurgeMember.left_at.is_(None)
            )
        )
        return list(found.scalars())

    # ---- those who come into one --------------------------------------------------------------------

    def _may_join(self) -> list[Any]:
        restricted = select(Team.key).where(Team.restricted)
        newer = (
            select(Message.id)
            .where(
                Message.conversation_id == Conversation.id,
                Message.id > SurgeMember.compared,
                Message.kind.not_in(sorted(ASIDE)),
            )
            .correlate(Conversation, SurgeMember)
        )
        # Who was answered or taken out stays out, unless they write once more.
        held = (
            select(SurgeMember.conversation_id)
            .where(
                SurgeMember.conversation_id == Conversation.id,
                or_(SurgeMember.left_at.is_(None), ~newer.exists()),
            )
            .correlate(Conversation)
            .exists()
        )
        blocked = exists().where(Person.id == Conversation.person_id, Person.blocked)
        return [
            WAITING,
            Conversation.grade.in_(("P3", "P4")),
            Conversation.sealed.is_(False),
            # What is said to many at once must not stand under a post many times.
            Conversation.channel.not_in(sorted(COMMENTS)),
            or_(Conversation.team.is_(None), Conversation.team.not_in(restricted)),
            or_(Conversation.category.is_(None), Conversation.category.not_in(sorted(self._left_out()))),
            Conversation.last_inbound_at > now() - WITHIN,
            ~held,
            ~blocked,
        ]

    async def _group(self) -> int:
        async with self._store.read() as connection:
            found = await connection.execute(
                select(Conversation.id)
                .where(*self._may_join())
                .order_by(Conversation.last_inbound_at.desc(), Conversation.id.desc())
                .limit(AT_ONCE)
            )
            ids = list(found.scalars())
            written = await texts_of(connection, ids) if ids else {}
            query = select(Surge.id, Surge.sample).where(
                Surge.closed_at.is_(None), Surge.approved_by.is_(None)
            )
            cards = [(row.id, normalised(row.sample)) for row in await connection.execute(query)]
        texts = [(one, text) for one in ids if (text := one_text(written.get(one, ()))) is not None]
        # Comparing takes a while: not in the loop that serves everybody.
        placed, groups = await asyncio.to_thread(_place, texts, cards)
        count = 0
        for surge_id, conversation_id in placed[:PLACED_AT_ONCE]:
            count += await self._join(surge_id, conversation_id)
        for members in groups:
            if count + len(members) > PLACED_AT_ONCE and count:
                break
            opened = await self._open(members[0])
            if opened is None:
                continue
            for conversation_id in members[:PLACED_AT_ONCE]:
                count += await self._join(opened, conversation_id)
        return count

    async def _open(self, conversation_id: int) -> int | None:
        async with self._store.write() as connection:
            newest = await connection.execute(
                select(Message.text)
                .where(Message.conversation_id == conversation_id, Message.kind == "text")
                .order_by(Message.id.desc())
                .limit(1)
            )
            sample = newest.scalar_one_or_none()
            if sample is None:
                return None
            made = await connection.execute(
                insert(Surge).values(sample=sample, opened_at=now()).returning(Surge.id)
            )
            surge_id = int(made.scalar_one())
            await add_audit(connection, CLOCK, "surge.open", surge=surge_id)
            return surge_id

    async def _join(self, surge_id: int, conversation_id: int) -> bool:
        async with self._store.write() as connection:
            row = await lock_conversation(connection, conversation_id)
            may = await connection.execute(
                select(Conversation.id).where(Conversation.id == conversation_id, *self._may_join())
            )
            sample = await connection.execute(
                select(Surge.sample).where(
                    Surge.id == surge_id, Surge.closed_at.is_(None), Surge.approved_by.is_(None)
                )
            )
            text = sample.scalar_one_or_none()
            written = one_text((await texts_of(connection, [conversation_id]))[conversation_id])
            if (
                row is None
                or may.scalar_one_or_none() is None
                or text is None
                or written is None
                or not are_alike(written, normalised(text))
            ):
                return False
            values = {
                "surge_id": surge_id, "added_at": now(), "left_at": None,
                "compared": await newest_of(connection, row.id),
            }  # fmt: skip
            await connection.execute(
                upsert(connection, SurgeMember)
                .values(conversation_id=row.id, **values)
                .on_conflict_do_update(index_elements=["conversation_id"], set_=values)
            )
            await add_audit(connection, CLOCK, "surge.join", row.id, row.epoch, surge=surge_id)
            await add_event(connection, row.id, "conversation.surge", {"surge": surge_id})
            return True


def _place(
    texts: Sequence[tuple[int, str]], cards: Sequence[tuple[int, str]]
) -> tuple[list[tuple[int, int]], list[list[int]]]:
    """Which conversations belong to a card that is there, and which make a new one."""
    placed: list[tuple[int, int]] = []
    left: list[tuple[int, str]] = []
    for conversation_id, text in texts:
        card = next((surge_id for surge_id, sample in cards if are_alike(sample, text)), None)
        if card is None:
            left.append((conversation_id, text))
        else:
            placed.append((card, conversation_id))
    return placed, [members for members in cluster(left) if len(members) >= LEAST_PEOPLE]
