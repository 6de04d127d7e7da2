"""Who may change whose account, what follows at once, and who is always left to administer."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select, update

from bot.accounts import Administration, LinkRefusedError, Sessions, actor_of, create_staff, links
from bot.accounts.administration import LAST, OWN
from bot.errors import NotAllowedError, RefusedError
from bot.messages import Actor
from bot.store import Store
from bot.store.record import now
from bot.store.tables import Conversation, Staff, StaffLink
from tests.accounts.conftest import PASSWORD
from tests.support.world import P2_HIDDEN, P3, World

pytestmark = pytest.mark.integration

BOSS = Actor("Boss", None, "admin")


@pytest.fixture
def administration(world: World) -> Administration:
    return Administration(world.store, world.core.desk)


async def account(store: Store, username: str, role: str = "moderator", *teams: str) -> Actor:
    staff_id = await create_staff(store, username, username.title(), role, teams, PASSWORD)
    return Actor(username.title(), staff_id, role, frozenset(teams))


async def test_only_an_administrator_changes_anything(world: World, administration: Administration) -> None:
    mo = await account(world.store, "mo")
    assert mo.staff_id is not None
    for role in ("moderator", "supervisor", "comms", None):
        by = Actor("Sue", 99, role)
        for work in (
            administration.invite("new", "New", "admin", [], actor=by),
            administration.set_access(mo.staff_id, role="admin", actor=by),
            administration.suspend(mo.staff_id, "because", actor=by),
            administration.restore(mo.staff_id, actor=by),
            administration.reset(mo.staff_id, actor=by),
            administration.drop_second_factor(mo.staff_id, actor=by),
            administration.end_sessions(mo.staff_id, actor=by),
        ):
            with pytest.raises(NotAllowedError):
                await work
    assert [one.username for one in await administration.members()] == ["mo"]


async def test_somebody_invited_has_no_password_until_the_link_is_used(
    world: World, administration: Administration, strict_world: Sessions
) -> None:
    staff_id, token = await administration.invite(
        "new", " New  Person ", "moderator", ["digital_desk"], actor=BOSS
    )
    member = await administration.member(staff_id)
    assert (member.name, member.state, member.link_expired) == ("New Person", "invited", False)
    for password in ("!", "", PASSWORD):
        with pytest.raises(RefusedError):
            await strict_world.sign_in("new", password)
    world.move(hours=72)
    with pytest.raises(LinkRefusedError, match="too old"):
        await links.use(world.store, strict_world, token, PASSWORD)
    assert (await administration.member(staff_id)).link_expired
    again = await administration.reset(staff_id, actor=BOSS)
    assert (await administration.member(staff_id)).state == "invited"
    assert await links.use(world.store, strict_world, again, PASSWORD)
    assert (await administration.member(staff_id)).state == "active"
    await administration.reset(staff_id, actor=BOSS)
    assert (await administration.member(staff_id)).state == "reset"


@pytest.fixture
def strict_world(world: World) -> Sessions:
    return Sessions(world.store, idle_minutes=15, second_factor_required=True)


async def test_two_who_use_a_link_at_once_are_one(
    world: World, administration: Administration, strict_world: Sessions
) -> None:
    staff_id, token = await administration.invite("new", "New", "moderator", [], actor=BOSS)
    results = await asyncio.gather(
        *(links.use(world.store, strict_world, token, f"{PASSWORD} {n}") for n in range(5)),
        return_exceptions=True,
    )
    assert len([result for result in results if isinstance(result, str)]) == 1
    assert len([result for result in results if isinstance(result, LinkRefusedError)]) == 4
    rows = await world.rows(StaffLink, staff_id=staff_id)
    assert [row.used_at for row in rows] == [now()]


async def test_the_last_administrator_stays(world: World, administration: Administration) -> None:
    ada, eve = await account(world.store, "ada", "admin"), await account(world.store, "eve", "admin")
    assert ada.staff_id is not None
    assert eve.staff_id is not None
    _, _ = await administration.invite("ivy", "Ivy", "admin", [], actor=BOSS)  # cannot sign in yet
    await administration.suspend(eve.staff_id, "on leave", actor=ada)
    for work in (
        administration.suspend(ada.staff_id, "a slip", actor=BOSS),
        administration.set_access(ada.staff_id, role="comms", actor=BOSS),
    ):
        with pytest.raises(RefusedError, match=LAST[:30]):
            await work
    with pytest.raises(RefusedError, match=OWN[:20]):
        await administration.suspend(ada.staff_id, "a slip", actor=ada)
    await administration.restore(eve.staff_id, actor=ada)
    await administration.set_access(ada.staff_id, role="comms", actor=eve)
    assert (await administration.member(ada.staff_id)).role == "comms"


async def test_administrators_who_suspend_each_other_at_once_leave_one(
    world: World, administration: Administration
) -> None:
    admins = [await account(world.store, f"admin{n}", "admin") for n in range(4)]
    work = [
        administration.suspend(other.staff_id, "each other", actor=one)
        for one in admins
        for other in admins
        if one is not other and other.staff_id is not None
    ]
    results = await asyncio.gather(*work, return_exceptions=True)
    assert not [r for r in results if r is not None and not isinstance(r, RefusedError)]
    assert len([one for one in await administration.members() if one.state == "active"]) == 1


async def test_chats_that_a_new_role_or_team_may_not_have_go_back(
    world: World, administration: Administration
) -> None:
    teams = ("digital_desk", "safeguarding", "professional_standards")
    pat = await account(world.store, "pat", "moderator", *teams)
    assert pat.staff_id is not None
    plain = await world.owned(pat, P3, "ann")
    hidden = await world.owned(pat, P2_HIDDEN, "bob")
    async with world.store.write() as connection:
        await connection.execute(
            update(Conversation).where(Conversation.id == hidden.id).values(team="professional_standards")
        )

    await administration.set_access(pat.staff_id, teams=["digital_desk"], actor=BOSS)
    assert (await world.conversation("ann")).owner_id == pat.staff_id
    back = await world.conversation("bob")
    assert (back.state, back.owner_id, back.front) == ("waiting", None, True)
    assert [row for row in await world.events("alert") if row.conversation_id == hidden.id]

    await administration.set_access(pat.staff_id, role="comms", actor=BOSS)
    assert (await world.conversation("ann")).state == "waiting"
    assert plain.reference == (await world.conversation("ann")).reference


async def test_a_claim_under_way_at_a_suspension_is_given_back_too(
    world: World, administration: Administration
) -> None:
    mo = await account(world.store, "mo", "moderator", "digital_desk", "control_room")
    assert mo.staff_id is not None
    await administration.suspend(mo.staff_id, "left the force", actor=BOSS)
    await world.owned(mo, P3)  # its page had been checked a moment before
    assert (await world.conversation()).state == "human"
    assert await world.core.clocks.owners_gone() == 1
    assert (await world.conversation()).state == "waiting"
    assert await world.core.clocks.owners_gone() == 0


async def test_a_change_counts_at_once_for_who_is_signed_in(
    world: World, administration: Administration
) -> None:
    mo = await account(world.store, "mo", "moderator", "digital_desk")
    assert mo.staff_id is not None
    sessions = Sessions(world.store, idle_minutes=15, second_factor_required=False)
    token = await sessions.sign_in("mo", PASSWORD)
    await administration.set_access(
        mo.staff_id, role="supervisor", teams=["control_room", "control_room"], actor=BOSS
    )
    session = await sessions.find(token)
    assert session is not None
    assert actor_of(session) == Actor("Mo", mo.staff_id, "supervisor", frozenset({"control_room"}))
    assert await administration.end_sessions(mo.staff_id, actor=BOSS) == 1
    assert await sessions.find(token) is None


async def test_a_suspended_account_is_restored_before_it_is_reset(
    world: World, administration: Administration, strict_world: Sessions
) -> None:
    staff_id, token = await administration.invite("new", "New", "moderator", [], actor=BOSS)
    with pytest.raises(RefusedError, match="reason"):
        await administration.suspend(staff_id, " ", actor=BOSS)
    await administration.suspend(staff_id, "a mistake", actor=BOSS)
    with pytest.raises(LinkRefusedError, match="suspended"):
        await links.use(world.store, strict_world, token, PASSWORD)
    for work in (
        administration.suspend(staff_id, "twice", actor=BOSS),
        administration.reset(staff_id, actor=BOSS),
    ):
        with pytest.raises(RefusedError, match="suspended"):
            await work
    await administration.restore(staff_id, actor=BOSS)
    with pytest.raises(LinkRefusedError, match="used before"):
        await links.use(world.store, strict_world, token, PASSWORD)
    assert await links.use(
        world.store, strict_world, await administration.reset(staff_id, actor=BOSS), PASSWORD
    )


async def test_easy_passwords_are_refused_and_leave_the_link(
    world: World, administration: Administration, strict_world: Sessions
) -> None:
    _, token = await administration.invite("violet", "Violet", "moderator", [], actor=BOSS)
    for password in ("", "short", "abababababab", "Violet tractor pelican", "x" * 257):
        with pytest.raises(RefusedError) as refused:
            await links.use(world.store, strict_world, token, password)
        assert not isinstance(refused.value, LinkRefusedError)
    assert await links.use(world.store, strict_world, token, PASSWORD)


async def test_every_change_is_on_record_with_who_and_whom(
    world: World, administration: Administration
) -> None:
    staff_id, token = await administration.invite("new", "New", "moderator", [], actor=BOSS)
    await administration.set_access(staff_id, role="supervisor", teams=["digital_desk"], actor=BOSS)
    await administration.suspend(staff_id, "a mistake", actor=BOSS)
    await administration.restore(staff_id, actor=BOSS)
    second = await administration.reset(staff_id, actor=BOSS)
    await administration.end_sessions(staff_id, actor=BOSS)
    history = await administration.history(staff_id)
    assert [row.action for row in reversed(history)] == [
        "staff.invite", "staff.role", "staff.teams", "staff.suspend", "staff.restore", "staff.reset",
        "staff.end-sessions",
    ]  # fmt: skip
    assert {(row.actor, row.subject_id) for row in history} == {("Boss", staff_id)}
    assert token not in str(history)
    assert second not in str(history)
    async with world.store.read() as connection:
        kept = str((await connection.execute(select(StaffLink.__table__))).all())
        staff = (await connection.execute(select(Staff.password_hash))).scalars().all()
    assert token not in kept
    assert staff == ["!"]
