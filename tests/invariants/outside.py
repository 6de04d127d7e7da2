"""Who may know of a conversation, written out anew from the design; and every way of learning of one.

What the product answers to somebody at the desk is compared with `may_learn`, which asks no database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select

from bot.assurance.figures import Chosen, Names, read_figures
from bot.console.owed import list_owed
from bot.console.reading import list_alarms, list_quiet, list_recent, visible_of
from bot.console.search import Looking, Place, Wanted
from bot.handover import measures, surges
from bot.handover.alarms import recent
from bot.handover.approval import Rule, list_open
from bot.handover.overview import read_overview
from bot.handover.queue import (
    Filters,
    count_facets,
    count_owned,
    count_waiting,
    in_surge,
    list_queue,
    may_see,
    visible,
)
from bot.handover.reassign import list_given
from bot.handover.sensitive import Sensitive
from bot.messages import URGENT, Actor
from bot.store.record import now
from bot.store.tables import Conversation
from tests.support.world import World

SEALED_TEAM, LEAD_TEAM = "professional_standards", "control_room_lead"
RESTRICTED = frozenset({SEALED_TEAM, LEAD_TEAM, "intelligence"})
ANSWERING = frozenset({"moderator", "supervisor"})


def may_learn(row: Row[Any], actor: Actor) -> bool:
    """Whether this member of staff may know that the conversation is there."""
    member = row.team in actor.teams or row.transfer_team in actor.teams
    if not row.sealed:
        return row.team not in RESTRICTED or member
    if actor.role not in ANSWERING:
        return False
    return member or (row.grade == "P1" and row.team == SEALED_TEAM and LEAD_TEAM in actor.teams)


async def lists_hold_what_they_may(
    world: World, conversations: Sequence[Row[Any]], actors: Sequence[Actor]
) -> None:
    """The condition of every list, page, count and event, for all of these members of staff at once."""
    which = [visible(actor).label(f"sees_{place}") for place, actor in enumerate(actors)]
    async with world.store.read(quick=True) as connection:
        rows = (await connection.execute(select(Conversation.id, *which))).all()
    for place, actor in enumerate(actors):
        mine = {row.id for row in conversations if may_learn(row, actor)}
        found = {row.id for row in rows if row[1 + place]}
        assert found == mine, f"sealed: {actor.name} may see {found}, and should see {mine}"


async def danger_is_in_the_list(world: World, conversations: Sequence[Row[Any]], actor: Actor) -> None:
    """No P1 or P2 is folded away, in a card, or off the list; the most urgent comes first."""
    async with world.store.read(quick=True) as connection:
        rows = await list_queue(connection, actor, state="waiting", grouped=True)
        grouped = set((await connection.execute(select(Conversation.id).where(in_surge()))).scalars())
    listed = {row.id: row for row in rows}
    for row in conversations:
        if not may_learn(row, actor):
            continue
        if row.grade in URGENT and row.state == "waiting":
            assert row.id in listed, "hidden: a waiting P1 or P2 is not in the list"
            assert not listed[row.id].folded, "hidden: the words of a P1 or P2 are folded away"
        if row.id in grouped:
            assert row.state == "waiting", f"hidden: in a card while {row.state}"
            assert row.grade not in URGENT, "hidden: a P1 or P2 is in a card"
            assert not row.sealed, "hidden: a sealed one is in a card"
    order = [(row.grade, not row.front, row.waiting_since, row.id) for row in rows]
    assert order == sorted(order), "the list is not in its order"


async def nobody_outside_learns(
    world: World, conversations: Sequence[Row[Any]], actors: Sequence[Actor]
) -> None:
    """By every list, count, search and notice that there is: each tells of what one may know, and no more."""
    everything = {row.id for row in conversations}
    sealed = {row.id for row in conversations if row.sealed}
    for actor in actors:
        mine = {row.id for row in conversations if may_learn(row, actor)}
        for way, found in (await _ways(world, everything, everything - mine, sealed, actor)).items():
            strange = found - mine
            assert not strange, f"sealed: {actor.name} learns of {strange} by {way}"
        await _counts_are_of(world, [row for row in conversations if row.id in mine], actor)


async def _ways(
    world: World, everything: set[int], hidden: set[int], sealed: set[int], actor: Actor
) -> dict[str, set[int]]:
    core, store = world.core, world.store
    hours = core.limits.limits.hours
    midnight = hours.local(now()).replace(hour=0, minute=0, second=0, microsecond=0)
    async with store.read(quick=True) as connection:
        view = await read_overview(connection, actor, midnight)
        found = {
            "the list of those with the assistant": await list_recent(connection, actor, "bot"),
            "the list of closed ones": await list_recent(connection, actor, "closed"),
            "the queue": await list_queue(connection, actor),
            "the queue, grouped": await list_queue(connection, actor, grouped=True),
        }
        ids = {way: {int(row.id) for row in rows} for way, rows in found.items()}
        ids["events"] = await visible_of(connection, everything, actor)
        ids["an address"] = {one for one in hidden if await may_see(connection, one, actor)}
        ids["alarms that ring"] = {one.conversation_id for one in await list_alarms(connection, actor)}
        ids["a silence"] = {one.conversation_id for one in await list_quiet(connection, actor)}
        ids["what is owed"] = {one.conversation_id for one in await list_owed(connection, actor, core.limits)}
        ids["what was given"] = {one.conversation_id for one in await list_given(connection, actor)}
        ids["measures"] = {row.conversation_id for row in await measures.list_standing(connection, actor)}
        ids["the page of alarms"] = {
            one.alarm.conversation_id
            for one in await recent(connection, actor)
            # Of a restricted team's chat an alarm may be known; of a sealed one not even that.
            if one.alarm.conversation_id in sealed
        }
        rule = Rule.of(core.content.current.teams)
        ids["replies to read"] = {one.conversation_id for one in await list_open(connection, actor, rule)}
        ids["cards"] = {
            row.id
            for card in await surges.list_cards(connection, actor)
            for row in await surges.members_of(connection, card.id, actor)
        }
        ids["the overview"] = {row.id for row in (*view.owned, *view.soon)} | {
            one.conversation_id for one in view.breaches
        }
        ids["the overview"] |= {row.chat for row in (*view.alarms, *view.approvals) if row.chat is not None}
    for words in ("officer", "police", "hello"):
        ids[f"a search for {words}"] = await _found(world, actor, Wanted(words=words))
    for state in ("bot", "waiting", "human", "closed"):
        ids[f"a search for those {state}"] = await _found(world, actor, Wanted(state=state))
    return ids


async def _found(world: World, actor: Actor, wanted: Wanted) -> set[int]:
    zone = world.core.limits.limits.hours.zone
    rule = Sensitive.of(world.core.content.current.teams)
    looking = Looking(wanted, actor, rule, zone, now())
    async with world.store.read(quick=True) as connection:
        return {int(chat.row.id) for chat in (await looking.page(connection, Place())).chats}


async def _counts_are_of(world: World, mine: Sequence[Row[Any]], actor: Actor) -> None:
    """Counts give a hidden conversation away as surely as a list does."""
    waiting = [row for row in mine if row.state == "waiting"]
    owned = [row for row in mine if row.state == "human"]
    async with world.store.read(quick=True) as connection:
        assert sum((await count_waiting(connection, actor)).values()) == len(waiting), "sealed: a count"
        facets = await count_facets(connection, actor)
        assert sum(one.waiting for one in facets) == len(waiting), "sealed: a count by team or category"
        assert sum(await count_owned(connection, actor, Filters())) == len(owned), "sealed: a count of owned"
        today = world.core.limits.limits.hours.local(now()).date()
        first = min((row.opened_at for row in mine), default=now())
        since = world.core.limits.limits.hours.local(first).date()
        chosen = Chosen("day", since, today)
        zone = world.core.limits.limits.hours.zone
        tables = await read_figures(connection, actor, chosen, zone, Names({}, {}, {}))
    chats = next(table for table in tables if table.key == "chats")
    assert sum(chats.totals) == len(mine), "sealed: the figures count what is hidden"
