"""What can be pressed in a message, and what cannot."""

from __future__ import annotations

import pytest

from bot.assistant import content_from_files
from bot.channels.webchat.links import Linker
from bot.settings import ROOT

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def linker() -> Linker:
    """The links of the shipped register."""
    return Linker(content_from_files(ROOT / "force" / "northumbria", ROOT / "data"))


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("In danger, call 999.", {"999": "tel:999"}),
        ("Call 101, or 18001 101 with Relay UK.", {"101": "tel:101", "18001 101": "tel:18001101"}),
        ("Samaritans: 116 123, or 116123", {"116 123": "tel:116123", "116123": "tel:116123"}),
        ("From abroad: +44 1661 872 555", {"+44 1661 872 555": "tel:+441661872555"}),
        ("Use 999 BSL (999bsl.co.uk).", {"999bsl.co.uk": "https://999bsl.co.uk"}),
        ("Go to gov.uk/ACT.", {"gov.uk/ACT": "https://gov.uk/ACT"}),
        ("See https://www.northumbria.police.uk/ro/report/.", {
            "https://www.northumbria.police.uk/ro/report/": "https://www.northumbria.police.uk/ro/report/"
        }),
    ],
)  # fmt: skip
def test_a_number_or_address_of_the_register_can_be_pressed(
    linker: Linker, text: str, links: dict[str, str]
) -> None:
    """Numbers dial, addresses open."""
    pieces = linker.pieces(text)
    assert {piece.text: piece.href for piece in pieces if piece.href} == links
    assert "".join(piece.text for piece in pieces) == text


@pytest.mark.parametrize(
    "text",
    [
        "Or text 999 if you have registered.",
        "It cost £999, or 1,999 with tax.",
        "My reference is 99912 and 12101.",
        "Write to me@999bsl.co.uk.example",
        "http://northumbria.police.uk.example.com/",
        "See police.uk.example.com for more",
        "javascript:alert(999999)",
        "It is 10.101 or 101.5",
    ],
)
def test_what_only_looks_alike_cannot_be_pressed(linker: Linker, text: str) -> None:
    """A number for texts is not dialled, and a part of another word is not a link."""
    assert [piece.href for piece in linker.pieces(text) if piece.href] == []


def test_markup_in_a_message_stays_text(linker: Linker) -> None:
    """No piece ever holds markup of ours."""
    text = '<img src=x onerror="alert(1)"> https://a.example/"><script>'
    pieces = linker.pieces(text)
    assert "".join(piece.text for piece in pieces) == text
    assert [piece.href for piece in pieces if piece.href] == ["https://a.example/"]
