"""The pages around reading: the question before a sensitive chat, the seal, safe contact, who opened what."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import update

from bot.store.record import add_event
from bot.store.tables import Conversation
from tests.console.serving import Desk, listen
from tests.support.world import P1, P2_HIDDEN, P3

pytestmark = pytest.mark.integration


def test_the_question_comes_before_the_chat_and_the_answer_is_kept(any_desk: Desk) -> None:
    desk = any_desk
    row = desk.say(f"{P2_HIDDEN} agrimony")
    mo, sue = desk.browser("mo"), desk.browser("sue")
    queue = mo.get("/desk/queue").text
    assert row.reference in queue
    assert "agrimony" not in queue
    assert "you are asked why" in queue
    assert f'id="claim-{row.id}"' not in queue
    page = mo.get(f"/desk/c/{row.id}").text
    assert "Why do you need to read this chat?" in page
    assert "agrimony" not in page
    assert not desk.audit("open")
    empty = mo.post(f"/desk/c/{row.id}/reason", reason=" ")
    assert empty.status_code == 422
    assert "Write why you need to read this chat." in empty.text
    refused = mo.do(row, "claim", epoch=row.epoch)
    assert refused.status_code == 403
    assert "Say first why" in refused.text

    opened = mo.post(f"/desk/c/{row.id}/reason", reason="She is at the front counter.")
    assert "agrimony" in opened.text
    assert "agrimony" in mo.get("/desk/queue").text
    assert "Opened by" not in opened.text  # for supervisors
    listed = sue.get(f"/desk/c/{row.id}").text
    assert "Opened by" in listed
    assert re.search(r"Mo Tester.*Reason: She is at the front counter\.", listed, re.S)
    assert "agrimony" in desk.browser("jo").get(f"/desk/c/{row.id}").text  # of the team: not asked


def test_a_p1_is_taken_with_one_press_from_the_list_and_from_the_question(any_desk: Desk) -> None:
    desk = any_desk
    row = desk.say(f"{P2_HIDDEN} agrimony")
    desk.change(update(Conversation).values(grade="P1"))
    mo = desk.browser("mo")
    assert f'id="claim-{row.id}"' in mo.get("/desk/queue").text
    page = mo.get(f"/desk/c/{row.id}").text
    assert "agrimony" not in page
    assert 'id="claim"' in page
    assert row.reference in mo.get("/desk/alarms").text
    taken = mo.post(f"/desk/c/{row.id}/claim", epoch=row.epoch)
    assert taken.status_code == 200
    assert "agrimony" in taken.text
    (reason,) = desk.audit("reading.reason")
    assert reason.conversation_id == row.id


def test_safe_contact_is_read_before_the_reply_is_typed(desk: Desk) -> None:
    row = desk.say(P2_HIDDEN)
    jo = desk.browser("jo")
    jo.do(row, "claim", epoch=row.epoch)
    page = jo.get(f"/desk/c/{row.id}").text
    box = page.index('id="composer-safe"')
    assert page.index('id="transcript"') < box < page.index('id="composer"') < page.index("<textarea")
    assert "Name no subject" in page[box : page.index('id="composer"')]
    field = re.search(r'<textarea[^>]*id="text"[^>]*>', page)
    assert field is not None
    described = re.search(r'aria-describedby="([^"]*)"', field[0])
    assert described is not None
    assert described[1].split()[0] == "composer-safe"
    assert 'id="composer-safe"' in jo.get(f"/desk/c/{row.id}/live").text
    plain = desk.say(P3, "bob")
    jo.do(plain, "claim", epoch=plain.epoch)
    assert "Name no subject" not in jo.get(f"/desk/c/{plain.id}").text


def test_a_chat_is_sealed_and_opened_again_from_its_page(any_desk: Desk) -> None:
    desk = any_desk
    row = desk.say(P3)
    mo, sue = desk.browser("mo"), desk.browser("sue")
    mo.do(row, "claim", epoch=row.epoch)
    assert "Seal it" in mo.get(f"/desk/c/{row.id}").text
    assert mo.post(f"/desk/c/{row.id}/seal", team="control_room", reason="a colleague").status_code == 422
    gone = mo.post(f"/desk/c/{row.id}/seal", team="professional_standards", reason="It is a colleague.")
    assert gone.url.path == "/desk/queue"
    assert row.reference not in gone.text
    assert mo.get(f"/desk/c/{row.id}").status_code == 404
    assert desk.chat().sealed
    page = sue.get(f"/desk/c/{row.id}").text
    assert "Sealed" in page
    assert "Control room<" not in page[page.index('id="actions"') :]  # no team that it could leave for
    assert sue.post(f"/desk/c/{row.id}/unseal", reason="").status_code == 422
    assert "The seal is open" in sue.post(f"/desk/c/{row.id}/unseal", reason="It was a namesake.").text
    assert not desk.chat().sealed
    assert mo.get(f"/desk/c/{row.id}").status_code == 404  # with that team still


def test_the_page_of_who_lost_a_chat_to_a_seal_is_told_to_go(any_desk: Desk) -> None:
    desk = any_desk
    row = desk.say(P3)
    mo, jo = desk.browser("mo"), desk.browser("jo")
    mo.do(row, "claim", epoch=row.epoch)
    start = listen(mo)[-1].id
    desk.say("the officer punched me")
    chat = desk.chat()
    assert (chat.state, chat.owner_id, chat.sealed) == ("waiting", None, True)
    heard = [one.data for one in listen(mo, after=start) if one.name == "change"]
    assert heard == [{"chat": row.id, "kinds": ["conversation.owner"]}]
    assert not [one for one in listen(jo, after=start) if one.name == "change"]
    assert mo.get(f"/desk/c/{row.id}/live").status_code == 404
    assert mo.do(row, "reply", text="Hello").status_code == 404


def test_a_silence_is_shown_to_supervisors_on_every_page(desk: Desk) -> None:
    row = desk.say(P1)
    core = desk.gateway.core

    async def fall_silent() -> None:
        async with core.store.write() as connection:
            await add_event(connection, row.id, "alert", {"grade": "P1", "owner": None, "reason": "quiet"})

    desk.run(fall_silent())
    sue, mo = desk.browser("sue"), desk.browser("mo")
    assert f'id="quiet-{row.id}"' in sue.get("/desk/alarms").text
    assert f'id="quiet-{row.id}"' not in mo.get("/desk/alarms").text
    sue.get(f"/desk/c/{row.id}")
    assert f'id="quiet-{row.id}"' not in sue.get("/desk/alarms").text
