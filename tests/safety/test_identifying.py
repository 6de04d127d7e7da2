"""What may be hidden under a post: personal data and who a victim is. Never what anybody thinks."""

from __future__ import annotations

import pytest

from bot.assistant import content_from_files
from bot.safety.guard import Guard, Lists
from bot.safety.identifying import RULES, identifying
from bot.settings import ROOT

pytestmark = pytest.mark.unit

CONTENT = content_from_files(ROOT / "force" / "northumbria", ROOT / "data")
GUARD = Guard(Lists.load(ROOT / "data" / "plain"), CONTENT.contacts, names=CONTENT.own_names)

HIDDEN = [
    ("ring me on 07700 900123 i saw it", "phone"),
    ("his number is 0191 498 0123 give him a call", "phone"),
    ("+44 7700 900123 is the lad you want", "phone"),
    ("my mams number 07700-900-123", "phone"),
    ("call oh seven seven double oh nine double oh one two three", "phone"),
    ("he lives at 12 Raby Street, Byker", "address"),
    ("its 14 heaton park road where they deal", "address"),
    ("flat 12, Raby Cross is where to look", "address"),
    ("her dob is 03/04/1998", "birth"),
    ("born 12 March 2009 so hes only 17", "birth"),
    ("the car was NK21 ABC", "plate"),
    ("nk21abc went past at 4", "plate"),
    ("reg is P123 ABC black audi", "plate"),
    ("the victim is Sarah Jones from Blyth", "victim"),
    ("Sarah Jones was the victim", "victim"),
    ("the lass who was raped is called Katie Smith", "victim"),
    ("the witness, Paul Brown, told me", "victim"),
    ("the victim's name is Katie", "victim"),
    ("Katie Smith is the one who gave evidence", "victim"),
    ("email me at jon.smith@example.com", "email"),
]
SHOWN = [
    # Criticism, complaints, anger and swearing.
    "you lot are useless",
    "absolute disgrace, two hours on 101 and nobody came",
    "call 101 then and wait all day",
    "PC Smith was rude to me and lied",
    "Chief Constable Vanessa Jardine should resign",
    "Kim McGuinness is a joke",
    "bunch of f***ing clowns",
    "you are corrupt bastards",
    "ACAB",
    "shite force, shite officers, shite answers",
    "I want to make a complaint about your officers",
    "my son was a victim of your incompetence",
    "The victim was let down",
    "the victim is Always let down",
    "The witness was ignored by Northumbria Police",
    "the police in Newcastle are the victim of cuts",
    "Nobody has been arrested for the murder of Lee Jones",
    "what a waste of my council tax",
    "racist institution, always was",
    "your officer broke my door and laughed",
    # What looks like personal data and is none.
    "why was the A19 SHUT all night and nobody told us",
    "THE A1 NOW A CAR PARK. THANKS FOR NOTHING",
    "M25 JAM again",
    "since 12/03/1998 the police have done nothing on our estate",
    "I reported it on 21/11/2026 at 14:30",
    "NE1 4ST is full of drug dealers and you do nothing",
    "@jane.doe look at this",
    "ref 123456789012 still no answer",
    "crime number NP-20261123-0456 nothing done",
    "0300 123 2023 and get nowhere",
    "0800 555 111 is a joke",
    "0191 221 9800 is the number of the PCC",
    "See https://www.northumbria.police.uk",
    "12 people were there and 3 cars",
    "my nana is 92 and waited 3 hours",
    "My name is Dave and I pay your wages",
    "rip Sarah xx",
    "Thinking of the family of Sarah Jones",
    "great work lads",
    "",
]


@pytest.mark.parametrize(("text", "rule"), HIDDEN)
def test_personal_data_is_found(text: str, rule: str) -> None:
    assert rule in identifying(GUARD, text)


@pytest.mark.parametrize("text", SHOWN)
def test_nobody_is_hidden_for_what_they_think(text: str) -> None:
    assert identifying(GUARD, text) == ()


@pytest.mark.parametrize("words", [text for text in SHOWN[:20] if text])
def test_anger_beside_personal_data_is_hidden_for_the_data_alone(words: str) -> None:
    assert identifying(GUARD, f"{words}. he lives at 12 Raby Street, Byker") == ("address",)


def test_the_worst_rule_comes_first() -> None:
    text = "ring 07700 900123, the victim is Sarah Jones of 12 Raby Street"
    assert identifying(GUARD, text) == ("victim", "address", "phone")
    assert set(identifying(GUARD, text)) <= set(RULES)


def test_every_rule_has_words_for_the_public() -> None:
    assert all(CONTENT.line(f"comment_rule_{rule}") for rule in RULES)
    assert CONTENT.line("comment_hidden")
