"""Sign-in, lockout, the idle lock, and what ends a session."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from unittest import mock

import pytest
import time_machine
from sqlalchemy import select, update

from bot.accounts import (
    Administration,
    Sessions,
    SignInRefusedError,
    actor_of,
    create_staff,
    demo_accounts,
)
from bot.accounts.sessions import FREE_TRIES, REFUSAL, SLOWEST_SECONDS, Tries
from bot.errors import RefusedError
from bot.messages import Actor
from bot.store import Store
from bot.store.record import now
from bot.store.tables import Audit, Staff, StaffSession
from tests.support.world import World, clock_at_noon

pytestmark = pytest.mark.integration

PASSWORD = "correct horse battery"


@pytest.fixture
async def clock() -> AsyncIterator[time_machine.Traveller]:
    with clock_at_noon() as moved:
        yield moved


@pytest.fixture
def sessions(store: Store) -> Sessions:
    return Sessions(store, idle_minutes=15, second_factor_required=False)


@pytest.fixture
async def mo(store: Store, clock: time_machine.Traveller) -> int:
    return await create_staff(store, "mo", "Mo Tester", "moderator", ["digital_desk"], PASSWORD)


async def actions(store: Store) -> Sequence[str]:
    async with store.read() as connection:
        return list((await connection.execute(select(Audit.action).order_by(Audit.id))).scalars())


async def fail(sessions: Sessions, times: int, username: str = "mo") -> None:
    for _ in range(times):
        with pytest.raises(SignInRefusedError):
            await sessions.sign_in(username, "wrong wrong wrong")


async def test_sign_in_opens_a_session_and_keeps_only_the_hash(
    store: Store, sessions: Sessions, mo: int
) -> None:
    token = await sessions.sign_in(" MO ", PASSWORD)

    session = await sessions.find(token)
    assert session is not None
    assert (session.staff_id, session.role, session.locked) == (mo, "moderator", False)
    assert actor_of(session) == Actor("Mo Tester", mo, "moderator", frozenset({"digital_desk"}))
    async with store.read() as connection:
        row = (await connection.execute(select(StaffSession.__table__))).one()
        staff = (await connection.execute(select(Staff.__table__))).one()
    assert row.id == hashlib.sha256(token.encode()).hexdigest()
    assert token not in str(tuple(row))
    assert staff.password_hash.startswith("$argon2id$")
    assert "sign-in" in await actions(store)


async def test_every_sign_in_gets_another_token(sessions: Sessions, mo: int) -> None:
    assert await sessions.sign_in("mo", PASSWORD) != await sessions.sign_in("mo", PASSWORD)


@pytest.mark.parametrize("token", [None, "", "x", "x" * 5000, "'; DROP TABLE staff"])
async def test_an_unknown_token_is_nobody(sessions: Sessions, mo: int, token: str | None) -> None:
    assert await sessions.find(token) is None


async def test_five_wrong_tries_lock_the_account_for_fifteen_minutes(
    store: Store, sessions: Sessions, mo: int, clock: time_machine.Traveller
) -> None:
    await fail(sessions, 4)
    assert await sessions.sign_in("mo", PASSWORD)  # a right one clears the count

    await fail(sessions, 5)
    with pytest.raises(SignInRefusedError):
        await sessions.sign_in("mo", PASSWORD)
    clock.shift(14 * 60)
    with pytest.raises(SignInRefusedError):
        await sessions.sign_in("mo", PASSWORD)
    clock.shift(2 * 60)
    assert await sessions.sign_in("mo", PASSWORD)
    assert "account.locked" in await actions(store)


async def test_a_refusal_does_not_tell_whether_the_account_exists(
    store: Store, sessions: Sessions, mo: int
) -> None:
    said = set()
    for username in ("mo", "nobody", "mo", "mo", "mo", "mo", "mo"):
        with pytest.raises(SignInRefusedError) as refused:
            await sessions.sign_in(username, "wrong wrong wrong")
        said.add(str(refused.value))
    assert said == {REFUSAL}
    async with store.read() as connection:
        details = list((await connection.execute(select(Audit.detail, Audit.actor))).all())
    assert "nobody" not in str(details)


async def test_tries_from_one_address_slow_down() -> None:
    moment = [1000.0]
    tries = Tries(lambda: moment[0])
    for _ in range(FREE_TRIES):
        assert tries.seconds("10.0.0.1") == 0
        tries.failed("10.0.0.1")
    waits = []
    for _ in range(8):
        waits.append(tries.seconds("10.0.0.1"))
        tries.failed("10.0.0.1")

    assert waits == sorted(waits)
    assert waits[0] > 0
    assert waits[-1] == SLOWEST_SECONDS
    assert tries.seconds("10.0.0.2") == 0
    moment[0] += 700
    assert tries.seconds("10.0.0.1") == 0


async def test_an_idle_session_locks_and_its_own_password_opens_it(
    store: Store, sessions: Sessions, mo: int, clock: time_machine.Traveller
) -> None:
    token = await sessions.sign_in("mo", PASSWORD)
    clock.shift(14 * 60)
    session = await sessions.find(token)
    assert session is not None
    assert not session.locked
    await sessions.acted(session)
    clock.shift(14 * 60)
    session = await sessions.find(token)
    assert session is not None
    assert not session.locked
    clock.shift(2 * 60)
    session = await sessions.find(token)
    assert session is not None
    assert session.locked

    await sessions.acted(session)
    await sessions.seen(session)
    async with store.read() as connection:
        row = (await connection.execute(select(StaffSession.__table__))).one()
    assert row.locked
    assert row.seen_at == row.acted_at  # neither moved while it was locked

    with pytest.raises(SignInRefusedError):
        await sessions.unlock(session, "wrong wrong wrong")
    opened = await sessions.unlock(session, PASSWORD)
    assert opened != token
    assert await sessions.find(token) is None
    again = await sessions.find(opened)
    assert again is not None
    assert not again.locked
    assert again.csrf != session.csrf
    assert again.created_at == session.created_at
    assert {"lock", "unlock", "unlock.failed"} <= set(await actions(store))


async def test_wrong_passwords_at_the_lock_count_as_at_sign_in(sessions: Sessions, mo: int) -> None:
    session = await sessions.find(await sessions.sign_in("mo", PASSWORD))
    assert session is not None
    await sessions.lock(session, "by hand")
    for _ in range(5):
        with pytest.raises(SignInRefusedError):
            await sessions.unlock(session, "wrong wrong wrong")
    with pytest.raises(SignInRefusedError):
        await sessions.unlock(session, PASSWORD)


async def test_being_seen_is_no_sign_of_a_hand(
    sessions: Sessions, mo: int, clock: time_machine.Traveller
) -> None:
    token = await sessions.sign_in("mo", PASSWORD)
    for _ in range(16):
        clock.shift(60)
        session = await sessions.find(token)
        assert session is not None
        await sessions.seen(session)
    session = await sessions.find(token)
    assert session is not None
    assert session.locked


async def test_signs_of_life_given_at_once_are_kept_for_each_open_page_and_no_locked_one(
    store: Store, sessions: Sessions, mo: int, clock: time_machine.Traveller
) -> None:
    open_ones = [await sessions.find(await sessions.sign_in("mo", PASSWORD)) for _ in range(4)]
    clock.shift(60)
    locked = open_ones[0]
    assert locked is not None
    await sessions.lock(locked, "lock")  # its page has not heard of it yet
    with mock.patch.object(Store, "write", autospec=True, side_effect=Store.write) as writes:
        await asyncio.gather(*(sessions.seen(one) for one in open_ones if one is not None))
    async with store.read() as connection:
        rows = (await connection.execute(select(StaffSession.id, StaffSession.seen_at))).all()
    fresh = {row.id for row in rows if row.seen_at == now()}
    assert fresh == {one.id for one in open_ones[1:] if one is not None}
    assert writes.call_count == 1


async def test_a_session_ends_after_twelve_hours_whatever_is_done(
    sessions: Sessions, mo: int, clock: time_machine.Traveller
) -> None:
    token = await sessions.sign_in("mo", PASSWORD)
    for _ in range(71):
        clock.shift(10 * 60)
        session = await sessions.find(token)
        assert session is not None
        await sessions.acted(session)
    clock.shift(10 * 60)
    assert await sessions.find(token) is None


async def test_a_suspended_account_is_out_at_once_and_its_chats_go_back(world: World) -> None:
    sessions = Sessions(world.store, idle_minutes=15, second_factor_required=False)
    mo = await create_staff(world.store, "mo", "Mo", "moderator", ["digital_desk"], PASSWORD)
    token = await sessions.sign_in("mo", PASSWORD)
    session = await sessions.find(token)
    assert session is not None
    await world.owned(actor_of(session))

    boss = Actor("Boss", None, "admin")
    await Administration(world.store, world.core.desk).suspend(mo, "left the force", actor=boss)

    row = await world.conversation()
    assert (row.state, row.owner_id, row.front) == ("waiting", None, True)
    assert await sessions.find(token) is None
    with pytest.raises(SignInRefusedError):
        await sessions.sign_in("mo", PASSWORD)
    assert await world.audit("staff.suspend")


async def test_a_suspended_account_has_no_session_even_if_a_row_is_left(
    store: Store, sessions: Sessions, mo: int
) -> None:
    token = await sessions.sign_in("mo", PASSWORD)
    async with store.write() as connection:
        await connection.execute(update(Staff).values(active=False))
    assert await sessions.find(token) is None


async def test_accounts_are_checked_when_they_are_made(store: Store, mo: int) -> None:
    for username, role, teams, password in (
        ("mo", "moderator", ["digital_desk"], PASSWORD),
        ("Mo ", "moderator", ["digital_desk"], PASSWORD),
        ("jo!", "moderator", [], PASSWORD),
        ("jo", "chief", [], PASSWORD),
        ("jo", "moderator", ["no_team"], PASSWORD),
        ("jo", "moderator", [], "short"),
    ):
        with pytest.raises(RefusedError):
            await create_staff(store, username, "Jo", role, teams, password)


async def test_demonstration_staff_get_new_passwords_each_time(store: Store, sessions: Sessions) -> None:
    first = await demo_accounts(store)
    token = await sessions.sign_in(first[0][0], first[0][1])
    second = await demo_accounts(store)

    assert [(u, r) for u, _, r in first] == [(u, r) for u, _, r in second]
    assert {r for _, _, r in first} == {"moderator", "supervisor", "comms", "admin"}
    assert {p for _, p, _ in first}.isdisjoint({p for _, p, _ in second})
    assert await sessions.find(token) is None
    with pytest.raises(SignInRefusedError):
        await sessions.sign_in(first[0][0], first[0][1])
    assert await sessions.sign_in(second[0][0], second[0][1])
