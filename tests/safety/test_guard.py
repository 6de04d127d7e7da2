"""What must not leave is found and marked; what staff write every day passes, and so does every approved word."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from bot.assistant import content_from_files
from bot.errors import ContentError
from bot.messages import Finding
from bot.safety.guard import Guard, Lists, LiveGuard, held_back, kinds_of
from bot.settings import ROOT

pytestmark = pytest.mark.unit

CONTENT = content_from_files(ROOT / "force" / "northumbria", ROOT / "data")
LISTS = Lists.load(ROOT / "data" / "plain")
GUARD = Guard(LISTS, CONTENT.contacts, names=CONTENT.own_names)

FOUND: dict[str, list[tuple[str, str]]] = {
    "phone": [
        ("My mobile is 07700 900123.", "07700 900123"),
        ("Ring me on 07700900123", "07700900123"),
        ("It is +44 7700 900123 if you need it", "+44 7700 900123"),
        ("Use +44 (0)7700 900 123.", "+44 (0)7700 900 123"),
        ("Try 0044 7700 900123", "0044 7700 900123"),
        ("Try 447700900123", "447700900123"),
        ("Call (0191) 496 0123", "(0191) 496 0123"),
        ("Call 0191-496-0123", "0191-496-0123"),
        ("Call 0191.496.0123 today", "0191.496.0123"),
        ("It is 0 1 9 1 4 9 6 0 1 2 3", "0 1 9 1 4 9 6 0 1 2 3"),
        ("Call 496 0123 and ask", "496 0123"),
        ("Call 101 0191 496 0123", "101 0191 496 0123"),
        ("Ring ext 44712", "44712"),
        ("Text 60777 now", "60777"),
        ("Call +1 202 555 0143", "+1 202 555 0143"),
        ("oh seven seven double oh nine oh oh one two three", "oh seven seven double oh nine oh oh one two three"),
        ("the number is ０７７００ ９００１２３", "０７７００ ９００１２３"),
        ("07700\u200b900123", "07700\u200b900123"),
        ("07700\u00a0900\u2011123", "07700\u00a0900\u2011123"),
        ("wa.me/447700900123", "447700900123"),
        ("Call 0191 221 9801", "0191 221 9801"),
        ("Relay 18001 0191 496 0123", "18001 0191 496 0123"),
        ("tel:01632960123", "01632960123"),
        ("Reference 07700 900123", "07700 900123"),
    ],
    "email": [
        ("Write to jo.smith@gmail.com", "jo.smith@gmail.com"),
        ("Write to 4471@northumbria.police.uk please", "4471@northumbria.police.uk"),
        ("JO+1@EXAMPLE.CO.UK", "JO+1@EXAMPLE.CO.UK"),
        ("jo (at) example.com", "jo (at) example.com"),
    ],
    "address": [
        ("Is it still 12 Raby Street?", "12 Raby Street"),
        ("We have you at 4a St John's Close.", "4a St John's Close"),
        ("You said 12 raby street", "12 raby street"),
        ("It is 118 Shields Road, Walker", "118 Shields Road"),
        ("You live at 7 Meadow Well Way", "7 Meadow Well Way"),
        ("It was flat 12b", "flat 12b"),
        ("near 200 Westgate Rd", "200 Westgate Rd"),
    ],
    "postcode": [
        ("Is it NE6 2AB?", "NE6 2AB"),
        ("is it ne6 2ab", "ne6 2ab"),
        ("SR13BX is what you wrote", "SR13BX"),
        ("EC1A 1BB", "EC1A 1BB"),
        ("W1A 0AX", "W1A 0AX"),
    ],
    "plate": [
        ("The car is NX21 ABC.", "NX21 ABC"),
        ("is it nx21abc", "nx21abc"),
        ("NK70XYZ", "NK70XYZ"),
        ("An old one, P123 ABC", "P123 ABC"),
        ("or ABC 123D", "ABC 123D"),
        ("A van, AIG 1234, from Belfast", "AIG 1234"),
        ("101 D 456 is a diplomat's", "101 D 456"),
        ("The reg is 123 ABC", "123 ABC"),
        ("number plate: a1", "a1"),
    ],
    "birth": [
        ("You were born on 03/04/1988.", "03/04/1988"),
        ("DOB 3.4.88", "3.4.88"),
        ("Is your date of birth 3rd April 1988?", "3rd April 1988"),
        ("I have 3 April 1988 here", "3 April 1988"),
        ("It says 1988-04-03", "1988-04-03"),
        ("born 12 May 2019", "12 May 2019"),
        ("April 3, 1971 is what you gave", "April 3, 1971"),
        ("dob: 12 05 2019", "12 05 2019"),
    ],
    "accusation": [
        ("John Smith stole your bike.", "John Smith"),
        ("So Dave hit you?", "Dave"),
        ("Kelly has been stealing from the shop", "Kelly"),
        ("Mr Patel is a liar", "Mr Patel"),
        ("mr patel attacked him", "mr patel"),
        ("You say that the thief was Liam Brown", "Liam Brown"),
        ("He was attacked by Mohammed Khan last night", "Mohammed Khan"),
        ("It was your neighbour Sheila O'Neill who sells drugs", "Sheila O'Neill"),
        ("Steven did not steal it", ""),
    ],
    "officer": [
        ("PC 1234 has it", "PC 1234"),
        ("Ask for DC Jones.", "Ask for DC Jones"),
        ("My collar number is 4471", "collar number is 4471"),
        ("warrant card number 88213", "warrant card number 88213"),
        ("My name is Sam and I can help", "My name is S"),
        ("Hi, this is Kate from the desk", "this is Kate from"),
        ("Kind regards, Kate", "regards, Kate"),
        ("PCSO7788 was there", "PCSO7788"),
    ],
    "operational": [
        ("Officers are at the house now.", ""),
        ("The helicopter is looking for a man.", ""),
        ("We have a van outside the shop.", ""),
        ("He has been arrested.", ""),
        ("Your son is in custody.", ""),
        ("Nobody has been arrested.", ""),
        ("We are executing a warrant there tomorrow.", ""),
        ("Intelligence suggests it was them.", ""),
        ("CCTV shows the car.", ""),
        ("A 34-year-old man is helping us.", ""),
        ("She was bailed until May.", ""),
        ("We only have two cars tonight.", ""),
        ("I cannot say much, but he was arrested.", "he was arrested"),
        ("Plain clothes officers will be there.", ""),
        ("A man has died.", ""),
        ("They will be charged.", ""),
        ("ANPR picked it up in Leeds.", ""),
    ],
    "promise": [
        ("We will catch them.", "We will catch"),
        ("You will be safe.", "You will be safe"),
        ("An officer will be there in ten minutes.", ""),
        ("We'll get your bike back.", ""),
        ("We’ll get your bike back.", ""),
        ("I promise we can help.", "I promise"),
        ("Help is on its way.", "Help is on its way"),
        ("Someone will ring you tomorrow.", ""),
        ("He will go to prison for this.", ""),
        ("It will be fine.", "It will be fine"),
        ("Nobody will find out.", ""),
        ("What you say stays confidential.", ""),
        ("You won't get in trouble.", ""),
        ("Don't worry.", "Don't worry"),
        ("You will hear back from us by tomorrow.", ""),
    ],
}  # fmt: skip

PASS = [
    "Hello, this is the desk. How can I help?",
    "Call 999 now if you are in danger.",
    "Call 101, day or night.",
    "Call 1 0 1.",
    "You can use 18000 or 18001 101.",
    "Text relay: 18001 0191 221 9800.",
    "Call 0191 221 9800.",
    "Call 01912219800.",
    "Call 0191-221-9800.",
    "Call +44 191 221 9800.",
    "Call +44 (0)191 221 9800.",
    "Call 0044 191 221 9800.",
    "Call 0800 555111.",
    "Call 0800-555-111, it is free.",
    "Childline is 0800 1111.",
    "Samaritans: 116 123.",
    "Samaritans: 116123.",
    "Text SHOUT to 85258.",
    "Text 61016 for the railway police.",
    "From abroad call +44 1661 872 555.",
    "From abroad call 01661 872555.",
    "Call 999 or 101 or 111.",
    "Call 101 0191 221 9800.",
    "Cannot talk? Call 999 from a mobile, then press 55.",
    "nine nine nine is the number in danger",
    "Write to complaint.services@northumbria.police.uk.",
    "Write to COMPLAINT.SERVICES@NORTHUMBRIA.POLICE.UK",
    "Go to northumbria.police.uk or gov.uk/find-local-council.",
    "Your chat reference is FC-7KQ2M4XN.",
    "Your chat reference is FC-23456789.",
    "Your crime number is 123456K/26.",
    "Your reference is 0123456789.",
    "Log number 01234567890 of 22 November 2026.",
    "Can you come on 24 November 2026 at 10:30?",
    "The desk is open from 8am to 10pm.",
    "It was on 03/11/2026, was it not?",
    "It costs £1,250.00 a year.",
    "You have 28 days to reply.",
    "In 2024 the law changed.",
    "The Data Protection Act 2018 says so.",
    "Ring the bell 3 times.",
    "We are open 24 hours a day on the web.",
    "The speed limit is 30 mph on this road.",
    "The A69 and the A1 are busy.",
    "The M25 was closed.",
    "Call 101 if there is something in the road.",
    "There are 12 people in the street at night.",
    "Which street is it in? You do not need to give the number.",
    "Is it near Grainger Street?",
    "It is a 20 minute walk.",
    "Is the NE6 area where it happened?",
    "We can meet at 4pm.",
    "Keep your dash cam film for 31 days.",
    "Reply 1, 2 or 3.",
    "Was it on Monday or Tuesday?",
    "Victim Support can help you.",
    "Report Fraud deals with scams.",
    "Northumbria Police take this seriously.",
    "Someone stole your bike. I am sorry to hear that.",
    "Did anybody threaten you?",
    "Were you attacked?",
    "I am sorry that he hit you.",
    "If someone has stolen it, report it online.",
    "Drivers who hit an animal must stop.",
    "Clare's Law lets you ask if a partner was violent before.",
    "Crimestoppers takes what you know about drugs.",
    "Monday is fine. What was stolen?",
    "I cannot say if anyone is in custody.",
    "I cannot say if he was arrested.",
    "I cannot tell you where officers are.",
    "If police arrest you, you can have a free solicitor.",
    "You can ask any officer for a name and a collar number.",
    "I can only share what the force has published.",
    "I can pass this on to the team that deals with it.",
    "I will stay in this chat while you call.",
    "I cannot promise that an officer can come.",
    "We may have to tell someone what you say, to keep you safe.",
    "Are you safe right now?",
    "Call 999 if you do not feel safe.",
    "If you will be at home, tell the council.",
    "You will need to show who you are.",
    "You will get a letter from the court.",
    "You do not have to give your name to Crimestoppers.",
    "Staff read each report and decide what to do.",
    "I'm sorry that this happened. It is not your fault.",
    "Is the person still there?",
    "What does the car look like?",
    "Please do not guess. It can harm a case.",
    "Please do not send bank details here.",
    "How old is your child?",
    "Are you under 18?",
    "Where were you when it happened?",
    "I understand. Take your time.",
    "Okay thanks, one moment.",
    "Here is the form: northumbria.police.uk.",
    "Your council can help with noise.",
    "We are with you.",
    "Can you read this?",
    "Goodbye then.",
    "Reply 12",
    "Do you want us to call you? What number can we use?",
    "I have passed what you told me to the officer",
    "Thank you, I have noted that",
    "Please call 101 and quote reference 0123 of 22/11/2026",
    "Have you spoken to your GP?",
    "If he comes back, call 999 straight away",
    "Can you get to a safe place, such as a friend's house?",
    "Lock your doors and stay on the line with 999",
    "Would you like to talk to Victim Support?",
    "Is your ex-partner Mark there now?",
    "Do you feel safe at home?",
    "You can ask for a female officer",
    "I have sent this to the control room. I do not know when an officer can come.",
    "Is the car still at the scene?",
    "We have a form for that: northumbria.police.uk",
    "What is the make and colour of the car?",
    "When did you last see her?",
    "Has she been missing before?",
    "You did the right thing by telling us",
    "Please keep hold of the knife and do not touch it",
    "How many people are there?",
    "Do you know them?",
    "Was anything taken?",
    "Can you hear what they are saying?",
    "I'm going to ask you some questions",
    "You are not in trouble",
    "The police will never ask for your PIN",
    "A real officer will not mind if you check",
    "They are looking for people to join as specials",
    "Police officers are there to help",
    "Someone will need to be at home",
    "I can see that you called 101 at 14:05",
    "Your report number is 20261122-1234",
    "We are open until 10pm",
    "If you are deaf you can text 999",
    "Your local officers are listed at northumbria.police.uk",
    "The team is on a break",
    "Are officers with you?",
    "Is an ambulance on its way?",
    "Has someone called an ambulance?",
    "The station is at Forth Banks",
    "",
]


def found(text: str) -> list[Finding]:
    return GUARD.find(text)


def marked(text: str) -> list[tuple[str, str]]:
    return [(one.kind, text[one.start : one.end]) for one in found(text)]


@pytest.mark.parametrize(
    ("kind", "text", "phrase"),
    [(kind, text, phrase) for kind, table in FOUND.items() for text, phrase in table],
)
def test_what_must_not_leave_is_found_and_marked(kind: str, text: str, phrase: str) -> None:
    of_kind = [words for one, words in marked(text) if one == kind]
    assert of_kind, marked(text)
    if phrase:
        assert of_kind == [phrase]
    assert all(one.severity == "block" and one.says.endswith(".") for one in found(text))


@pytest.mark.parametrize("text", PASS)
def test_what_staff_write_every_day_passes(text: str) -> None:
    assert marked(text) == []


def test_the_tables_are_long_enough_to_mean_something() -> None:
    assert sum(map(len, FOUND.values())) >= 100
    assert len(PASS) >= 90


@pytest.mark.parametrize(("kind", "text"), [(rule.kind, text) for rule in LISTS.rules for text in rule.wrong])
def test_every_rule_finds_its_own_examples(kind: str, text: str) -> None:
    assert kind in {one.kind for one in GUARD._told(0, text)}


@pytest.mark.parametrize("text", [text for rule in LISTS.rules for text in rule.right])
def test_no_rule_finds_what_is_right(text: str) -> None:
    assert marked(text) == []


def test_every_approved_answer_sentence_and_reply_passes() -> None:
    texts = {f"answer {slug}": CONTENT.answer(slug) or "" for slug in CONTENT.faqs}
    texts |= {f"sentence {key}": CONTENT.render(text) for key, text in CONTENT.lines.items()}
    texts |= {f"reply {key}": CONTENT.reply(key, "FC-7KQ2M4XN") for key in CONTENT.replies}
    assert len(texts) > 300
    assert {name: marked(text) for name, text in texts.items() if marked(text)} == {}


def test_every_number_of_the_register_passes_however_it_is_spaced() -> None:
    for key, contact in CONTENT.contacts.items():
        for value in [contact.get("tel", ""), contact["say"], *contact.get("parts", {}).values()]:
            digits = "".join(letter for letter in str(value) if letter.isdigit())
            if str(value).replace(" ", "").lstrip("+").isdigit():
                for shown in (str(value), digits, " ".join(digits), f"{digits[:4]} {digits[4:]}"):
                    written = shown if not str(value).startswith("+") else f"+{shown.lstrip('+')}"
                    assert marked(f"You can call {written} or write.") == [], key


def test_a_number_passes_once_the_register_in_force_has_it() -> None:
    register = {"ONE": {"say": "0191 496 0123"}}
    live = LiveGuard(LISTS, lambda: register)
    assert live.current.find("Call 0191 496 0123.") == []
    assert live.current is live.current
    register = {"ONE": {"say": "0191 496 0124"}}
    assert kinds_of(live.current.find("Call 0191 496 0123.")) == ["phone"]


def test_addresses_of_the_register_pass() -> None:
    guard = Guard(LISTS, {"HQ": {"say": "Forth Banks", "parts": {"address": "1 Forth Street, NE1 3PH"}}})
    assert guard.find("We are at 1 Forth Street, NE1 3PH.") == []
    assert kinds_of(guard.find("We are at 2 Forth Street, NE1 3PG.")) == ["address", "postcode"]


def test_findings_stand_where_the_words_stand_and_never_overlap() -> None:
    text = "Hi.\nJohn Smith stole it.\nHe lives at 12 Raby Street, NE6 2AB. Call 07700 900123, we will catch him."
    places = found(text)
    assert kinds_of(places) == ["accusation", "address", "phone", "postcode", "promise"]
    assert all(one.end <= other.start for one, other in pairwise(places))
    assert text[places[0].start : places[0].end] == "John Smith"
    assert held_back(places) == tuple(places)


def test_hints_are_handed_in_and_hold_nothing_back() -> None:
    hint = Finding("jargon", 4, 7, "hint", "Many people do not know this word.")
    double = Finding("wording", 0, 13, "hint", "A promise.")
    guard = Guard(LISTS, CONTENT.contacts, hints=lambda _text: [hint, double])
    assert guard.find("The OIC rang.") == [double, hint]
    assert held_back(guard.find("The OIC rang.")) == ()
    assert kinds_of(guard.find("We will catch")) == ["jargon", "promise"]


@pytest.mark.parametrize(
    "letters", ["a", "1 ", "Aa ", "12 raby ", "one ", "0", "he was ", "a@", "call ", "(", "A1 "]
)
def test_no_text_keeps_the_desk_waiting(letters: str) -> None:
    """A pattern that takes ever longer on such a text would never come to its end here."""
    guarded = found(letters * (20_000 // len(letters)))
    assert isinstance(guarded, list)


def test_the_same_text_always_gives_the_same_findings() -> None:
    text = " ".join(text for table in FOUND.values() for text, _ in table)
    assert found(text) == found(text) != []


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("kinds:", "kindz:", "outbound.yml"),
        ("checks:\n", "checks: [\n", "outbound.yml, line"),
        ("- kind: promise", "- kind: promises", "promises"),
        ("operational: [D1,", "operational: [D99,", "D99"),
    ],
)
def test_a_list_that_is_wrong_is_told_with_its_file(tmp_path: Path, old: str, new: str, named: str) -> None:
    shutil.copytree(ROOT / "data" / "plain", tmp_path / "plain")
    path = tmp_path / "plain" / "outbound.yml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(ContentError, match=named):
        Lists.load(tmp_path / "plain")
