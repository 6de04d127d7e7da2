"""What a made-up person writes next: from the script, and from what the desk has done."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from bot.errors import RefusedError
from bot.practice import Practice, Script
from bot.practice.player import AFTER_CLOSING, CROWD_SECONDS, MOST_PEOPLE, Line, Persona, Seen, next_line
from bot.practice.script import People, Say
from tests.support.world import NOON

pytestmark = pytest.mark.unit


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def somebody(speed: float = 1.0, **people: Any) -> Persona:
    """A person who writes twice by themselves, the second time a minute later."""
    says = [Say(after=5, text="hello"), Say(after=60, text="still me")]
    made = People(says=people.pop("says", says), **people)
    return Persona("run1-1", "Practice person 1", "any", made, made.says[0].text, NOON, speed)


def said(persona: Persona, **keys: float) -> Persona:
    """They have written these lines, so many seconds after noon."""
    persona.said.update({key.replace("_", "."): after(seconds) for key, seconds in keys.items()})
    return persona


def replied(*seconds_and_text: tuple[float, str], **seen: Any) -> Seen:
    return Seen(state="human", replies=[(after(at), text) for at, text in seconds_and_text], **seen)


def test_they_write_line_after_line_by_themselves(script: Script) -> None:
    persona = somebody()
    assert next_line(persona, Seen(), script) == Line("says.0", "hello", after(5))
    assert next_line(said(persona, says_0=7), Seen(), script) == Line("says.1", "still me", after(67))
    assert next_line(said(persona, says_1=70), Seen(), script) is None


def test_speed_shortens_every_wait(script: Script) -> None:
    assert next_line(somebody(4), Seen(), script) == Line("says.0", "hello", after(1.25))
    assert next_line(said(somebody(4), says_0=2), Seen(), script) == Line("says.1", "still me", after(17))


def test_each_reply_gets_the_next_answer_and_then_none(script: Script) -> None:
    persona = said(somebody(on_reply=["one", "two"]), says_0=0, says_1=60)
    seen = replied((70, "Hello."), (80, "Are you there?"), (200, "And now?"))
    wait = script.answer_seconds
    assert next_line(persona, seen, script) == Line("reply.0", "one", after(70 + wait))
    assert next_line(said(persona, reply_0=85), seen, script) == Line("reply.1", "two", after(80 + wait))
    assert next_line(said(persona, reply_1=95), seen, script) is None


def test_where_are_you_is_answered_once(script: Script) -> None:
    persona = said(somebody(on_reply=["one"], on_place="the bridge"), says_0=0, says_1=60)
    seen = replied((70, "WHERE are you?"), (90, "What is the address?"))
    line = next_line(persona, seen, script)
    assert line is not None
    assert line.text == "the bridge"
    line = next_line(said(persona, reply_0=80), seen, script)
    assert line is not None
    assert line.text == "one"


def test_who_is_left_waiting_writes_again(script: Script) -> None:
    silence = [Say(after=30, text="anybody?"), Say(after=90, text="please")]
    persona = somebody(on_silence=silence)
    assert next_line(said(persona, says_0=0), Seen(), script) == Line("says.1", "still me", after(60))
    assert next_line(said(persona, says_1=60), Seen(), script) == Line("silence.0", "anybody?", after(90))
    assert next_line(persona, replied((75, "Hello.")), script) is None
    assert next_line(said(persona, silence_0=90), Seen(), script) == Line("silence.1", "please", after(180))
    assert next_line(said(persona, silence_1=180), Seen(), script) is None


def test_is_it_safe_is_answered(script: Script) -> None:
    persona = said(somebody(on_safe="yes"), says_0=0, says_1=60)
    assert next_line(persona, Seen(), script) is None
    asked = Seen(state="waiting", safe_check="asked")
    assert next_line(persona, asked, script) == Line("safe", "yes", after(60 + script.answer_seconds))


def test_a_closed_chat_is_over_unless_they_have_more_to_say(script: Script) -> None:
    closed = Seen(state="closed", closed_at=after(50), replies=[(after(40), "Goodbye.")])
    assert next_line(said(somebody(on_reply=["one"]), says_0=0), closed, script) is None
    persona = said(somebody(on_closed="he is back"), says_0=0)
    assert next_line(persona, closed, script) == Line("closed", "he is back", after(50 + AFTER_CLOSING))
    assert next_line(said(persona, closed=90), closed, script) is None


def test_back_with_the_assistant_they_may_want_a_person_again(script: Script) -> None:
    persona = said(somebody(on_handed_back="can i have a person"), says_0=0, says_1=60)
    back = Seen(state="bot", handed_back_at=after(100))
    line = next_line(persona, back, script)
    assert line == Line("handed_back", "can i have a person", after(100 + AFTER_CLOSING))


def test_a_session_comes_on_stage_at_its_minutes(script: Script) -> None:
    practice = Practice(script, clock=lambda: NOON)
    practice.start_session("critical_incident", "2")
    people = list(practice.personas.values())
    session = script.sessions["critical_incident"]
    assert {one.scenario for one in people} == {one.scenario for one in session.scenarios}
    by_scenario = {one.scenario: one.begins for one in reversed(people)}
    for one in session.scenarios:
        assert by_scenario[one.scenario] == NOON + timedelta(minutes=one.at / 2)
    crowd = [one for one in people if one.scenario == "street_surge"]
    assert len(crowd) == 8
    assert len({one.first for one in crowd}) == 8
    assert crowd[1].begins - crowd[0].begins == timedelta(seconds=CROWD_SECONDS / 2)
    assert len({one.id for one in people}) == len({one.name for one in people}) == len(people)


def test_what_cannot_be_started_is_refused(script: Script) -> None:
    practice = Practice(script, clock=lambda: NOON)
    for scenario, speed in (("nothing", "1"), ("grateful", "100"), ("grateful", "")):
        with pytest.raises(RefusedError):
            practice.start(scenario, speed)
    with pytest.raises(RefusedError):
        practice.start_session("nothing")
    assert not practice.personas
    for _ in range(MOST_PEOPLE // 8):
        practice.start("street_surge")
    with pytest.raises(RefusedError, match="stage is full"):
        practice.start("street_surge")
    assert len(practice.personas) == MOST_PEOPLE


async def test_nobody_writes_before_the_desk_is_there(script: Script) -> None:
    practice = Practice(script, clock=lambda: NOON)
    with pytest.raises(RefusedError, match="not begun yet"):
        await practice.step()
