"""Codes at sign-in: set up, given once, counted when wrong, replaced, taken away."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select, update

from bot.accounts import (
    Administration,
    SecondFactor,
    Session,
    Sessions,
    SignInRefusedError,
    codes,
    create_staff,
    demo_accounts,
)
from bot.accounts.second_factor import CodeRefusedError, NotYetError, RecoveryRefusedError
from bot.accounts.sessions import OWED_LIFE
from bot.accounts.vault import UnreadableSecretError
from bot.errors import RefusedError, StaleError
from bot.handover.shift import present_staff
from bot.messages import Actor
from bot.settings import Settings
from bot.store import Store
from bot.store.record import now
from bot.store.tables import Audit, RecoveryCode, Staff, StaffSession
from tests.accounts.conftest import KEY, PASSWORD
from tests.support.world import World

pytestmark = pytest.mark.integration

BOSS = Actor("Boss", None, "admin")


async def owing(sessions: Sessions, username: str = "mo") -> Session:
    """The session that a right password opens."""
    session = await sessions.find(await sessions.sign_in(username, PASSWORD))
    assert session is not None
    return session


async def set_up(sessions: Sessions, factor: SecondFactor, username: str = "mo") -> tuple[str, list[str]]:
    """Set a device up. Returns its secret and the recovery codes; the time moves on by nothing."""
    session = await owing(sessions, username)
    secret = (await factor.begin(session)).secret
    _, shown = await factor.confirm(session, codes.code_at(secret, now()))
    return secret, shown


def on(secret: str, steps: int = 0) -> str:
    """What the device shows, so many steps from now."""
    return codes.code_at(secret, now() + timedelta(seconds=30 * steps))


async def test_a_first_sign_in_owes_the_setting_up_and_ends_in_a_new_session(
    store: Store, strict: Sessions, factor: SecondFactor, mo: int
) -> None:
    token = await strict.sign_in("mo", PASSWORD)
    session = await strict.find(token)
    assert session is not None
    assert session.owes == "enrol"
    shown = await factor.begin(session)
    assert (await factor.begin(session)).secret == shown.secret  # a reload shows the same

    with pytest.raises(NotYetError):
        await factor.confirm(session, "000000")
    opened, recovery = await factor.confirm(session, on(shown.secret))

    assert opened != token
    assert await strict.find(token) is None
    signed_in = await strict.find(opened)
    assert signed_in is not None
    assert signed_in.owes is None
    assert signed_in.csrf != session.csrf
    assert len(recovery) == 10
    async with store.read() as connection:
        staff = (await connection.execute(select(Staff.__table__))).one()
        kept = str((await connection.execute(select(RecoveryCode.__table__))).all())
    assert shown.secret not in staff.totp_secret
    assert not [code for code in recovery if code in kept]
    with pytest.raises(StaleError):
        await factor.begin(signed_in)


async def test_two_who_know_a_new_password_never_see_the_same_secret(
    strict: Sessions, factor: SecondFactor, mo: int
) -> None:
    first = await owing(strict)
    seen = (await factor.begin(first)).secret
    second = await owing(strict)
    assert await strict.by_id(first.id) is None  # nor can it load the page again, to see the next one
    assert (await factor.begin(second)).secret != seen
    with pytest.raises(NotYetError):
        await factor.confirm(first, on(seen))


async def test_then_every_sign_in_takes_a_code_of_the_device(
    strict: Sessions, factor: SecondFactor, mo: int, clock: time_machine.Traveller
) -> None:
    secret, _ = await set_up(strict, factor)
    clock.shift(60)
    session = await owing(strict)
    assert session.owes == "code"
    opened = await strict.find(await factor.give(session, on(secret)))
    assert opened is not None
    assert opened.owes is None
    assert await strict.by_id(session.id) is None


async def test_a_code_works_once_and_none_of_before_works_after_it(
    strict: Sessions, factor: SecondFactor, mo: int, clock: time_machine.Traveller
) -> None:
    secret, _ = await set_up(strict, factor)
    with pytest.raises(CodeRefusedError):
        await factor.give(await owing(strict), on(secret))  # the one of the setting up
    clock.shift(60)
    assert await factor.give(await owing(strict), on(secret, 1))  # the device is half a minute fast
    for steps in (1, 0, -1):
        with pytest.raises(CodeRefusedError):
            await factor.give(await owing(strict), on(secret, steps))
    clock.shift(60)
    assert await factor.give(await owing(strict), on(secret))


async def test_the_same_code_given_twice_at_once_is_taken_once(
    strict: Sessions, factor: SecondFactor, mo: int, clock: time_machine.Traveller
) -> None:
    secret, _ = await set_up(strict, factor)
    clock.shift(60)
    sessions = [await owing(strict) for _ in range(4)]
    code = on(secret)
    results = await asyncio.gather(*(factor.give(s, code) for s in sessions), return_exceptions=True)
    assert len([result for result in results if isinstance(result, str)]) == 1
    assert len([result for result in results if isinstance(result, CodeRefusedError)]) == 3


async def test_five_wrong_codes_lock_the_account_whatever_passwords_come_between(
    store: Store, strict: Sessions, factor: SecondFactor, mo: int, clock: time_machine.Traveller
) -> None:
    secret, recovery = await set_up(strict, factor)
    clock.shift(60)
    for number in range(4):
        session = await owing(strict)  # the right password each time clears nothing
        with pytest.raises(CodeRefusedError if number % 2 else RecoveryRefusedError):
            await (factor.give if number % 2 else factor.recover)(session, "000000")
    last = await owing(strict)
    with pytest.raises(CodeRefusedError):
        await factor.give(last, "000000")

    assert await strict.by_id(last.id) is None  # begins again, with the password
    with pytest.raises(SignInRefusedError):
        await strict.sign_in("mo", PASSWORD)
    clock.shift(16 * 60)
    assert await factor.give(await owing(strict), on(secret))
    async with store.read() as connection:
        actions = list((await connection.execute(select(Audit.action))).scalars())
    assert {"second-factor.failed", "recovery-code.failed", "account.locked"} <= set(actions)
    assert recovery


async def test_while_locked_neither_a_right_code_nor_a_recovery_code_is_taken(
    store: Store, strict: Sessions, factor: SecondFactor, mo: int, clock: time_machine.Traveller
) -> None:
    secret, recovery = await set_up(strict, factor)
    clock.shift(60)
    session = await owing(strict)
    async with store.write() as connection:
        await connection.execute(update(Staff).values(locked_until=now() + timedelta(minutes=1)))
    with pytest.raises(CodeRefusedError):
        await factor.give(session, on(secret))
    with pytest.raises(RecoveryRefusedError):
        await factor.recover(session, recovery[0])
    clock.shift(120)
    assert await factor.recover(session, recovery[0])  # it was not used up by the refusal


async def test_each_recovery_code_works_once_and_the_rest_are_counted(
    strict: Sessions, factor: SecondFactor, mo: int
) -> None:
    _, recovery = await set_up(strict, factor)
    opened, left = await factor.recover(await owing(strict), recovery[3].upper().replace("-", " "))
    session = await strict.find(opened)
    assert session is not None
    assert session.owes is None
    assert left == 9
    with pytest.raises(RecoveryRefusedError):
        await factor.recover(await owing(strict), recovery[3])
    attempts = [await owing(strict) for _ in range(3)]
    results = await asyncio.gather(
        *(factor.recover(one, recovery[4]) for one in attempts), return_exceptions=True
    )
    assert len([result for result in results if isinstance(result, tuple)]) == 1
    assert (await factor.standing(mo)).codes_left == 8


async def test_recovery_codes_are_their_owners_alone(
    store: Store, strict: Sessions, factor: SecondFactor, mo: int
) -> None:
    await create_staff(store, "jo", "Jo Tester", "moderator", ["digital_desk"], PASSWORD)
    _, of_mo = await set_up(strict, factor)
    await set_up(strict, factor, "jo")
    with pytest.raises(RecoveryRefusedError):
        await factor.recover(await owing(strict, "jo"), of_mo[0])


async def test_new_recovery_codes_take_a_code_and_end_the_old_ones(
    strict: Sessions, factor: SecondFactor, mo: int, clock: time_machine.Traveller
) -> None:
    secret, old = await set_up(strict, factor)
    clock.shift(60)
    session = await strict.find(await factor.give(await owing(strict), on(secret)))
    assert session is not None
    for refused in (on(secret), "000000", old[0]):
        with pytest.raises(CodeRefusedError):
            await factor.renew_codes(session, refused)
    clock.shift(60)
    new = await factor.renew_codes(session, on(secret))
    assert len(set(new) - set(old)) == 10
    with pytest.raises(RecoveryRefusedError):
        await factor.recover(await owing(strict), old[0])
    assert (await factor.recover(await owing(strict), new[0]))[1] == 9


async def test_a_session_that_owes_is_nobody_at_the_desk_and_ends_by_itself(
    store: Store, strict: Sessions, factor: SecondFactor, mo: int, clock: time_machine.Traveller
) -> None:
    session = await owing(strict)
    await strict.seen(session)
    await strict.acted(session)
    async with store.read() as connection:
        assert await present_staff(connection) == set()
    clock.shift(20 * 60)
    later = await strict.by_id(session.id)
    assert later is not None
    assert not later.locked  # it has nothing that a lock could hide
    assert not await strict.sign_out(later)  # and gives no chats back
    session = await owing(strict)
    clock.shift(OWED_LIFE.total_seconds())
    assert await strict.by_id(session.id) is None


async def test_a_password_alone_never_confirms_a_secret_that_somebody_else_was_shown(
    strict: Sessions, factor: SecondFactor, mo: int
) -> None:
    first = await owing(strict)
    seen = (await factor.begin(first)).secret
    second = await owing(strict)
    own = (await factor.begin(second)).secret
    assert own != seen
    with pytest.raises(NotYetError):
        await factor.confirm(second, on(seen))
    results = await asyncio.gather(
        factor.confirm(first, on(own)), factor.confirm(second, on(own)), return_exceptions=True
    )
    assert len([result for result in results if isinstance(result, tuple)]) == 1
    assert await strict.by_id(first.id) is None
    assert await strict.by_id(second.id) is None


async def test_the_lock_opens_with_the_password_alone_but_not_for_who_owes(
    strict: Sessions, factor: SecondFactor, mo: int
) -> None:
    session = await owing(strict)
    with pytest.raises(SignInRefusedError):
        await strict.unlock(session, PASSWORD)
    secret = (await factor.begin(session)).secret
    opened = await strict.find((await factor.confirm(session, on(secret)))[0])
    assert opened is not None
    await strict.lock(opened, "by hand")
    unlocked = await strict.find(await strict.unlock(opened, PASSWORD))
    assert unlocked is not None
    assert unlocked.owes is None


async def test_another_key_is_said_plainly_and_the_ways_out_work(
    world: World, strict: Sessions, factor: SecondFactor
) -> None:
    mo = await create_staff(world.store, "mo", "Mo Tester", "moderator", ["digital_desk"], PASSWORD)
    secret, recovery = await set_up(strict, factor)
    world.move(minutes=1)
    changed = SecondFactor(world.store, strict, Settings(secret_key="k" * 40), "Desk")  # type: ignore[arg-type]
    with pytest.raises(UnreadableSecretError, match="key of this desk has changed"):
        await changed.give(await owing(strict), on(secret))
    assert (await changed.recover(await owing(strict), recovery[0]))[1] == 9
    administration = Administration(world.store, world.core.desk)
    await administration.drop_second_factor(mo, actor=BOSS)
    session = await owing(strict)
    assert session.owes == "enrol"
    new = (await changed.begin(session)).secret
    assert await changed.confirm(session, on(new))


async def test_without_any_key_nothing_is_set_up_and_nobody_comes_in(
    store: Store, strict: Sessions, mo: int
) -> None:
    bare = SecondFactor(store, strict, Settings(secret_key=""), "Desk")  # type: ignore[arg-type]
    session = await owing(strict)
    with pytest.raises(RefusedError, match="FRONTCOUNTER_SECRET_KEY"):
        await bare.begin(session)
    assert session.owes == "enrol"


async def test_a_demonstration_asks_only_who_has_set_it_up(
    store: Store, clock: time_machine.Traveller
) -> None:
    open_ones = Sessions(store, idle_minutes=15, second_factor_required=False)
    factor = SecondFactor(store, open_ones, Settings(demo=True, secret_key=""), "Desk")  # type: ignore[arg-type]
    (username, password, _), *_ = await demo_accounts(store)
    session = await open_ones.find(await open_ones.sign_in(username, password))
    assert session is not None
    assert session.owes is None
    secret = (await factor.begin(session)).secret
    await factor.confirm(session, on(secret))
    clock.shift(60)
    session = await open_ones.find(await open_ones.sign_in(username, password))
    assert session is not None
    assert session.owes == "code"
    # The next start has another key, so it begins without.
    (username, password, _), *_ = await demo_accounts(store)
    session = await open_ones.find(await open_ones.sign_in(username, password))
    assert session is not None
    assert session.owes is None


async def test_the_record_holds_no_secret(
    store: Store, strict: Sessions, factor: SecondFactor, mo: int, clock: time_machine.Traveller
) -> None:
    session = await owing(strict)
    secret = (await factor.begin(session)).secret
    first = on(secret)
    token, recovery = await factor.confirm(session, first)
    with pytest.raises(CodeRefusedError):
        await factor.give(await owing(strict), "135790")
    _, _ = await factor.recover(await owing(strict), recovery[0])
    async with store.read() as connection:
        record = str((await connection.execute(select(Audit.__table__))).all())
        sessions = str((await connection.execute(select(StaffSession.__table__))).all())
    for hidden in (secret, first, token, "135790", recovery[0], PASSWORD, KEY):
        assert hidden not in record
        assert hidden not in sessions
    assert "second-factor.set-up" in record
