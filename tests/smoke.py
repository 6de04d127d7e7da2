"""`make smoke`: drives the running demonstration over HTTP as two people, and prints the transcript."""

from __future__ import annotations

import asyncio
import re
import sys

from tests.e2e.demo import Demo, Moderator, PublicPerson, plain, running_demo

KNOWN = "how do i report a stolen bike"
UNKNOWN = ("flibber the wob", "grommit zandle quoff")
EMERGENCY = "there is a man with a knife trying to get in my house now"


async def hold(demo: Demo) -> list[str]:
    """The whole conversation; every step is checked. Returns the transcript, a line each.

    Raises:
        AssertionError: a step did not do what it should.
    """
    said: list[str] = []
    async with PublicPerson(demo.public) as person, Moderator(demo.desk) as moderator:

        async def person_says(text: str) -> int:
            place = len(person.seen)
            said.append(f"person     {text}")
            answer = await person.say(text)
            assert answer.status_code == 200, answer.text
            return place

        def heard(message: dict[str, object]) -> None:
            said.append(f"{message['side']!s:<10} {' / '.join(str(message['text']).split(chr(10)))}")

        page = await moderator.sign_in("moderator1", demo.passwords["moderator1"])
        assert "Demonstration: nobody is watching" in plain(page)

        place = await person_says(KNOWN)
        heard(await person.until(lambda m: "bikeregister" in m["text"].lower() or "101" in m["text"]))
        place = await person_says(UNKNOWN[0])
        heard(await person.until(lambda m: "did not understand" in m["text"], after=place))
        place = await person_says(UNKNOWN[1])
        heard(await person.until(lambda m: "still do not understand" in m["text"], after=place))
        place = await person_says(EMERGENCY)
        safety = await person.until(lambda m: m["side"] == "safety", after=place)
        assert "call 999 now" in safety["text"]
        heard(safety)

        conversation_id, page = await moderator.first_waiting()
        assert EMERGENCY in plain(page)
        assert "knife" in plain(page)
        place = len(person.seen)
        claimed = await moderator.claim(conversation_id, page)
        assert claimed.status_code == 200, claimed.text[:300]
        heard(await person.until(lambda m: "has joined this chat" in m["text"], after=place))

        place = await person_says("are you there")
        await moderator.get(f"/desk/c/{conversation_id}")
        sent = await moderator.post(
            f"/desk/c/{conversation_id}/reply", text="Hello. The control room knows. Stay inside."
        )
        assert sent.status_code == 200, sent.text[:300]
        staff = await person.until(lambda m: m["side"] == "staff", after=place)
        heard(staff)
        assert not [m for m in person.seen[place:] if m["side"] == "assistant"]

        await moderator.get(f"/desk/c/{conversation_id}")
        refused = await moderator.post(f"/desk/c/{conversation_id}/release")
        assert "P1 or P2 stays with a person" in plain(refused.text)
        await moderator.get(f"/desk/c/{conversation_id}")
        await moderator.post(f"/desk/c/{conversation_id}/grade", grade="P3", reason="Officers are there now.")
        place = len(person.seen)
        await moderator.get(f"/desk/c/{conversation_id}")
        released = await moderator.post(f"/desk/c/{conversation_id}/release")
        assert released.status_code == 200, released.text[:300]
        heard(await person.until(lambda m: "assistant is back" in m["text"], after=place))
        place = await person_says("are you open on sundays at forth banks police station")
        heard(await person.until(lambda m: m["side"] == "assistant", after=place))
        page = plain(await moderator.get(f"/desk/c/{conversation_id}"))
        assert re.search(r"Officers are there now|Stay inside", page)
    return said


async def _main() -> int:
    async with running_demo() as demo:
        transcript = await hold(demo)
        code = await demo.stop()
    print("\n".join(transcript))
    print(f"The demonstration stopped with code {code}.")
    return code


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
