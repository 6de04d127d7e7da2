"""A reply that a second person reads first: nobody approves their own, nothing is lost, a P1 waits for nobody."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Row, select, update

from bot.assistant import content_from_files
from bot.assistant.content import approval_faults
from bot.conversations.approval import NEEDED, WAITS_ALREADY
from bot.core import Core
from bot.errors import (
    ContentError,
    GuardedError,
    NoSuchChatError,
    NotAllowedError,
    ReasonNeededError,
    RefusedError,
    StaleError,
)
from bot.handover import approval
from bot.handover.surges import list_cards
from bot.messages import Actor
from bot.settings import ROOT
from bot.store.record import now
from bot.store.tables import Approval, Audit, Conversation, Draft, Due, Message, Note, Outbox
from tests.handover.test_surges import ANSWER, crowd
from tests.support.approval import second_person
from tests.support.world import INCIDENT, P1, P2_HIDDEN, World

pytestmark = pytest.mark.integration

TEXT = "You can ask for a lost thing on our website."
BAD = "Ring me on 07700 900123."
FORCE = ROOT / "force" / "northumbria"


async def asked(world: World, author: Actor) -> Row[Any]:
    """A chat of `author` in which a reply waits for a second person."""
    second_person(world.core)
    row = await world.owned(author)
    world.heard()
    assert await world.core.desk.reply(row.id, author, TEXT) is None
    await world.settle()
    return await world.conversation()


async def one_of(world: World, row: Row[Any]) -> Row[Any]:
    """The newest approval of a chat."""
    return (await world.rows(Approval, conversation_id=row.id))[-1]


async def newest(world: World) -> int:
    return int((await world.messages())[-1].id)


async def approve(world: World, row: Row[Any], actor: Actor, **values: Any) -> int:
    """Approve what waits, as a page of this moment would."""
    found = {"seen": await newest(world), "epoch": (await world.conversation()).epoch, **values}
    one = await one_of(world, row)
    return await world.core.approvals.approve(row.id, one.id, actor, **found)


async def drafts(world: World) -> dict[int, str]:
    async with world.store.read() as connection:
        found = await connection.execute(select(Draft.staff_id, Draft.text))
        return {staff_id: text for staff_id, text in found}


async def listed(world: World, actor: Actor) -> list[approval.ToRead]:
    async with world.store.read() as connection:
        return await approval.list_open(connection, actor, world.core.approvals.rule)


async def stands(world: World, actor: Actor) -> approval.Standing:
    row = await world.conversation()
    async with world.store.read() as connection:
        return await approval.standing(connection, row, actor, world.core.approvals.rule)


def waits_on(due: list[Row[Any]]) -> list[str]:
    return [row.key for row in due if row.done_at is None]


# ---- the rule -----------------------------------------------------------------------------------


async def test_as_shipped_only_corporate_communications_ask_and_never_at_p1(world: World) -> None:
    mo = await world.hire("mo")
    row = await world.owned(mo)
    assert await world.core.desk.reply(row.id, mo, "One.") is not None
    async with world.store.write() as connection:
        await connection.execute(update(Conversation).values(team="corporate_communications"))
    assert await world.core.desk.reply(row.id, mo, "Two.") is None
    async with world.store.write() as connection:
        await connection.execute(update(Conversation).values(grade="P1"))
    assert await world.core.desk.reply(row.id, mo, "Three.") is not None
    assert [one.text for one in await world.rows(Outbox, kind="staff")] == ["One.", "Three."]
    rule = approval.Rule.of({"teams": {"a": {"approval": ["P1", "P2"]}}})
    assert [grade for grade in ("P1", "P2", "P3") if rule.asks(_Chat("a", grade))] == ["P2"]


class _Chat:
    def __init__(self, team: str, grade: str) -> None:
        self.team, self.grade = team, grade


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"approval": ["P1", "P3"]}, "never held up"),
        ({"approval": "P3"}, "list of grades"),
        ({"approval": ["P5"]}, "list of grades"),
        ({"approval_rises_after": 0}, "minutes"),
        ({"approval_rises_after": True}, "minutes"),
        ({"approval_rises_after": "ten"}, "minutes"),
    ],
)
def test_a_teams_file_that_makes_no_sense_is_refused_when_it_is_read(
    tmp_path: Path, values: dict[str, Any], says: str
) -> None:
    shutil.copytree(FORCE, tmp_path / "force")
    path = tmp_path / "force" / "teams.yml"
    teams = yaml.safe_load(path.read_text("utf-8"))
    assert approval_faults(teams) == []
    teams["teams"]["digital_desk"].update(values)
    path.write_text(yaml.safe_dump(teams), "utf-8")
    with pytest.raises(ContentError, match=rf"teams\.yml \(digital_desk\).*{says}"):
        content_from_files(tmp_path / "force", ROOT / "data")


# ---- asking and approving -----------------------------------------------------------------------


async def test_an_approved_reply_is_a_reply_in_every_way(world: World) -> None:
    mo, jo = await world.hire("mo"), await world.hire("jo")
    row = await asked(world, mo)
    async with world.store.write() as connection:
        await connection.execute(update(Conversation).values(grade="P2"))
    assert world.heard() == []
    assert row.reply_due_at is not None
    assert await drafts(world) == {}
    (ask,) = await world.audit("approval.ask")
    assert ask.detail["message"] == await newest(world)
    assert TEXT not in str(ask.detail)
    world.move(minutes=1)
    outbox_id = await approve(world, row, jo)
    await world.settle()
    assert world.heard() == [TEXT]
    after, (sent,) = await world.conversation(), await world.rows(Outbox, kind="staff")
    assert (sent.id, sent.author_id, sent.text) == (outbox_id, mo.staff_id, TEXT)
    assert (after.reply_due_at, after.first_reply_at, after.last_staff_at) == (None, now(), now())
    assert (after.state, after.owner_id) == ("human", mo.staff_id)
    (reply,) = await world.audit("reply")
    one = await one_of(world, row)
    assert reply.staff_id == jo.staff_id
    assert reply.detail == {
        "outbox": outbox_id, "approval": one.id, "author": mo.staff_id, "approved_by": jo.staff_id
    }  # fmt: skip
    assert (one.decision, one.decided_by, one.outbox_id) == ("approved", jo.staff_id, outbox_id)
    dues = waits_on(await world.rows(Due))
    assert f"quiet:{row.id}" in dues
    assert f"approval:{one.id}" not in dues
    with pytest.raises(StaleError, match="Jo approved"):
        await approve(world, row, await world.hire("sue", "supervisor"))


@pytest.mark.parametrize(
    ("role", "teams"),
    [
        ("moderator", ["safeguarding"]), ("comms", ["digital_desk"]), ("admin", ["digital_desk"]),
        ("moderator", []),
    ],
)  # fmt: skip
async def test_only_the_team_or_a_supervisor_is_a_second_person(
    world: World, role: str, teams: list[str]
) -> None:
    mo, other = await world.hire("mo"), await world.hire("other", role, teams)
    row = await asked(world, mo)
    for who in (mo, other):
        with pytest.raises(NotAllowedError):
            await approve(world, row, who)
        assert [one for one in await listed(world, who) if not one.is_mine] == []
    with pytest.raises(NotAllowedError):
        await world.core.approvals.give_back(row.id, (await one_of(world, row)).id, other, "not like this")
    assert await world.rows(Outbox, kind="staff") == []
    far = await world.hire("far", "supervisor", [])
    assert [one.author for one in await listed(world, far)] == ["Mo"]
    await approve(world, row, far)


async def test_of_two_who_approve_at_once_one_does(world: World) -> None:
    mo, jo, sue = await world.hire("mo"), await world.hire("jo"), await world.hire("sue", "supervisor")
    row = await asked(world, mo)
    done = await asyncio.gather(approve(world, row, jo), approve(world, row, sue), return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["StaleError", "int"]
    await world.settle()
    assert world.heard() == [TEXT]
    assert len(await world.audit("reply")) == 1


async def test_the_person_wrote_since_so_it_is_approved_knowingly(world: World) -> None:
    mo, jo = await world.hire("mo"), await world.hire("jo")
    row = await asked(world, mo)
    before = await newest(world)
    await world.say("and there is something else")
    with pytest.raises(StaleError, match="written since"):
        await approve(world, row, jo, seen=before)
    assert await world.rows(Outbox, kind="staff") == []
    assert (await one_of(world, row)).decided_at is None
    await world.core.desk.set_grade(row.id, mo, "P2", "it sounds worse")
    with pytest.raises(StaleError, match="changed"):
        await approve(world, row, jo, epoch=row.epoch)
    await approve(world, row, jo)


async def test_one_reply_waits_at_most_and_the_second_text_is_kept(world: World) -> None:
    mo, jo = await world.hire("mo"), await world.hire("jo")
    row = await asked(world, mo)
    await world.core.desk.draft(row.id, mo, "More.")
    with pytest.raises(RefusedError, match=WAITS_ALREADY[:20]):
        await world.core.desk.reply(row.id, mo, "More.")
    assert await drafts(world) == {mo.staff_id: "More."}
    await approve(world, row, jo)
    assert await world.core.desk.reply(row.id, mo, "More.") is None
    assert len(await world.rows(Approval)) == 2


async def test_the_guard_is_asked_when_a_second_person_is_and_again_when_it_leaves(world: World) -> None:
    mo, jo = await world.hire("mo"), await world.hire("jo")
    second_person(world.core)
    row = await world.owned(mo)
    with pytest.raises(GuardedError):
        await world.core.desk.reply(row.id, mo, BAD)
    assert await world.rows(Approval) == []
    assert await world.core.desk.reply(row.id, mo, BAD, override="The sergeant gave it.") is None
    await approve(world, row, jo)
    (noted,) = await world.audit("reply.override")
    assert (noted.staff_id, noted.detail["reason"]) == (mo.staff_id, "The sergeant gave it.")
    assert "900123" not in str([one.detail for one in await world.audit()])


# ---- giving and taking back ---------------------------------------------------------------------


async def test_given_back_it_is_the_writers_draft_with_the_reason(world: World) -> None:
    mo, jo = await world.hire("mo"), await world.hire("jo")
    row = await asked(world, mo)
    one = await one_of(world, row)
    await world.core.desk.draft(row.id, mo, "I typed this meanwhile.")
    with pytest.raises(RefusedError, match="why"):
        await world.core.approvals.give_back(row.id, one.id, jo, " ")
    await world.core.approvals.give_back(row.id, one.id, jo, "name the page")
    assert await drafts(world) == {mo.staff_id: f"{TEXT}\n\nI typed this meanwhile."}
    back = (await stands(world, mo)).back
    assert back is not None
    assert (back.reason, back.decider) == ("name the page", "Jo")
    assert (await stands(world, jo)).back is None
    async with world.store.read() as connection:
        assert [told.chat for told in await approval.list_given_back(connection, mo)] == [row.id]
        assert await approval.list_given_back(connection, jo) == []
    world.move(seconds=1)
    await world.core.desk.opened(row.id, mo)
    async with world.store.read() as connection:
        assert await approval.list_given_back(connection, mo) == []
    with pytest.raises(StaleError, match="Jo gave this reply back"):
        await world.core.approvals.approve(row.id, one.id, jo, seen=99, epoch=row.epoch)
    (audit,) = await world.audit("approval.return")
    assert (audit.staff_id, audit.subject_id, audit.detail["reason"]) == (
        jo.staff_id, mo.staff_id, "name the page",
    )  # fmt: skip
    assert await world.rows(Outbox, kind="staff") == []


async def test_taken_back_it_is_the_writers_draft(world: World) -> None:
    mo, jo = await world.hire("mo"), await world.hire("jo")
    row = await asked(world, mo)
    one = await one_of(world, row)
    with pytest.raises(StaleError):
        await world.core.approvals.take_back(row.id, one.id, jo)
    await world.core.approvals.take_back(row.id, one.id, mo)
    assert await drafts(world) == {mo.staff_id: TEXT}
    with pytest.raises(StaleError, match="does not wait"):
        await approve(world, row, jo)
    assert await world.rows(Note) == []


LOSSES: dict[str, Callable[[Core, int, Actor, Actor], Awaitable[Any]]] = {
    "transfer": lambda core, chat, mo, sue: core.desk.transfer(chat, mo, "control_room", "for the night"),
    "release": lambda core, chat, mo, sue: core.desk.release(chat, mo),
    "close": lambda core, chat, mo, sue: core.desk.close(
        chat, mo, "no_reply", "They rang us.", incident=INCIDENT
    ),
    "take_over": lambda core, chat, mo, sue: core.desk.take_over(chat, sue),
    "give_back": lambda core, chat, mo, sue: core.desk.hand_back_all(mo.staff_id or 0, mo, "signed out"),
    "transfer at the end of a shift": lambda core, chat, mo, sue: core.moves.end_shift(mo, "bye", {}),
    "seal": lambda core, chat, mo, sue: core.desk.seal(chat, sue, "professional_standards", "our own staff"),
}


@pytest.mark.parametrize("how", LOSSES)
async def test_whoever_loses_the_chat_loses_no_text(world: World, how: str) -> None:
    mo, sue = await world.hire("mo"), await world.hire("sue", "supervisor")
    row = await asked(world, mo)
    one = await one_of(world, row)
    await LOSSES[how](world.core, row.id, mo, sue)
    await world.settle()
    after = await one_of(world, row)
    assert (after.decision, after.reason, after.outbox_id) == ("withdrawn", how.split()[0], None)
    assert (await drafts(world))[mo.staff_id or 0] == TEXT
    (note,) = [note for note in await world.rows(Note) if TEXT in note.text]
    assert note.staff_id == mo.staff_id
    assert [row.subject_id for row in await world.audit("approval.withdraw")] == [mo.staff_id]
    jo = await world.hire("jo", "supervisor", ["digital_desk", "professional_standards"])
    with pytest.raises(StaleError):
        await world.core.approvals.approve(row.id, one.id, jo, seen=10**6, epoch=row.epoch)
    assert TEXT not in world.texts()
    assert waits_on([due for due in await world.rows(Due) if due.kind == "approval"]) == []


async def test_an_approval_that_was_forgotten_in_a_loss_is_refused_with_the_text_kept(world: World) -> None:
    mo, jo = await world.hire("mo"), await world.hire("jo")
    row = await asked(world, mo)
    async with world.store.write() as connection:
        await connection.execute(update(Conversation).values(owner_id=jo.staff_id))
    with pytest.raises(StaleError, match="does not have this chat"):
        await approve(world, row, await world.hire("sue", "supervisor"))
    assert await drafts(world) == {mo.staff_id: TEXT}
    assert (await one_of(world, row)).decision == "withdrawn"
    assert await world.rows(Outbox, kind="staff") == []


# ---- danger -------------------------------------------------------------------------------------


async def test_a_p1_waits_for_nobody(world: World) -> None:
    mo, jo = await world.hire("mo"), await world.hire("jo")
    row = await asked(world, mo)
    one = await one_of(world, row)
    with pytest.raises(RefusedError, match=NEEDED[:20]):
        await world.core.approvals.send_without(row.id, one.id, mo)
    await world.say(P1)
    assert not (await stands(world, mo)).needed
    assert [(one.is_mine, one.is_needed) for one in await listed(world, mo)] == [(True, False)]
    # What is written now leaves at once; what waited may follow, by its writer alone.
    assert await world.core.desk.reply(row.id, mo, "Are you out of the house?") is not None
    with pytest.raises(StaleError):
        await world.core.approvals.send_without(row.id, one.id, jo)
    sent = await world.core.approvals.send_without(row.id, one.id, mo)
    await world.settle()
    assert world.heard()[-2:] == ["Are you out of the house?", TEXT]
    after = await one_of(world, row)
    assert (after.decision, after.decided_by, after.outbox_id) == ("sent", mo.staff_id, sent)
    assert [row.detail.get("approval") for row in await world.audit("reply")] == [None, one.id]


async def test_sent_again_a_silence_counts_anew(world: World) -> None:
    mo = await world.hire("mo")
    row = await world.owned(mo, P1)
    outbox_id = await world.core.desk.reply(row.id, mo, "Are you safe?")
    await world.settle()
    async with world.store.write() as connection:
        await connection.execute(update(Outbox).where(Outbox.id == outbox_id).values(state="failed"))
    world.move(minutes=5)
    await world.core.desk.send_again(outbox_id or 0, mo)
    (clock,) = await world.rows(Due, kind="quiet")
    assert clock.data["since"] == now().isoformat()


# ---- rising -------------------------------------------------------------------------------------


async def test_unread_for_too_long_it_rises_to_supervisors_once(world: World) -> None:
    mo, jo, sue = await world.hire("mo"), await world.hire("jo"), await world.hire("sue", "supervisor", [])
    row = await asked(world, mo)
    await world.tick(minutes=9, seconds=59)
    assert [one.has_risen for one in await listed(world, sue)] == [False]
    await world.tick(seconds=1)
    assert [one.has_risen for one in await listed(world, sue)] == [True]
    await world.tick(minutes=1)
    (rise,) = await world.audit("approval.rise")
    assert (rise.conversation_id, rise.subject_id, rise.detail["seconds"]) == (row.id, mo.staff_id, 600)
    assert "alert" not in [event.kind for event in await world.events() if event.data.get("risen")]
    await approve(world, row, jo)
    assert await listed(world, sue) == []


async def test_read_in_time_it_does_not_rise(world: World) -> None:
    mo, jo = await world.hire("mo"), await world.hire("jo")
    row = await asked(world, mo)
    await approve(world, row, jo)
    await world.tick(minutes=11)
    assert await world.audit("approval.rise") == []


async def test_an_answer_for_many_that_nobody_reads_rises_too(world: World) -> None:
    await crowd(world)
    mo = await world.hire("mo")

    async def risen() -> list[bool]:
        async with world.store.read() as connection:
            return [card.has_risen for card in await list_cards(connection, mo)]

    async with world.store.read() as connection:
        (card,) = await list_cards(connection, mo)
    await world.core.surges.write(card.id, mo, ANSWER)
    await world.tick(minutes=9)
    assert await risen() == [False]
    await world.tick(minutes=1)
    assert await risen() == [True]
    assert [row.detail["surge"] for row in await world.rows(Audit, action="surge.rise")] == [card.id]
    # Written anew, it has its time again.
    await world.core.surges.give_back(card.id, mo, "a better one")
    await world.core.surges.write(card.id, mo, ANSWER)
    assert await risen() == [False]
    await world.core.surges.give_back(card.id, mo, "no answer at all")
    await world.tick(minutes=10)
    assert len(await world.audit("surge.rise")) == 1


# ---- who may not read it ------------------------------------------------------------------------


async def test_seals_and_reasons_hold_for_a_reply_too(world: World) -> None:
    second_person(world.core, "safeguarding")
    pat = await world.hire("pat", teams=["safeguarding"])
    row = await world.owned(pat, P2_HIDDEN)
    assert row.team == "safeguarding"
    assert await world.core.desk.reply(row.id, pat, TEXT) is None
    sue = await world.hire("sue", "supervisor", ["digital_desk"])
    with pytest.raises(ReasonNeededError):
        await approve(world, row, sue)
    async with world.store.write() as connection:
        await connection.execute(update(Conversation).values(sealed=True))
    with pytest.raises(NoSuchChatError):
        await approve(world, row, sue)
    assert await listed(world, sue) == []
    async with world.store.write() as connection:
        await connection.execute(update(Conversation).values(sealed=False))
    await world.core.desk.give_reason(row.id, sue, "I am the second person.")
    await approve(world, row, sue)
    assert len(await world.rows(Message)) == 1
