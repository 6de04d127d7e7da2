"""One voice: whatever is said, and wherever, nothing is lost, nothing is too long, and all can be chosen."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bot.channels.cut import cut, one_each, size, utf8_bytes, utf16_units
from bot.channels.layouts import LAYOUTS
from bot.channels.render import NOTHING, Around, Layout, Shown, first_part, names_999, render
from bot.channels.sites.options import Site
from bot.channels.sites.outbound import layout_of
from bot.conversations.words import PERSON, WITHDRAW
from bot.messages import CHANNELS, Button, Outgoing

pytestmark = pytest.mark.unit

SITE = layout_of(Site("forum", "Forum", "message_board", "https://forum.example/in", 500, False, ()))
ALL = [*LAYOUTS.values(), SITE]
AROUND = Around(
    person="Talk to a person", person_line='To talk to a person, write "Talk to a person".',
    opens_list="Choose an answer", danger="If you or someone else is in danger, call 999 now.",
)  # fmt: skip

WORDS = st.text(alphabet="abcdefgåßñ漢\U0001f600", min_size=1, max_size=12)
NUMBERS = st.sampled_from(
    ["999", "101", "18001 101", "0808 2000 247", "+44 191 221 9800", "116 123", "0800 555 111"]
)
LINKS = st.sampled_from(
    ["www.force.example/report", "https://force.example/a/very/long/way?to=go&and=on#here", "999bsl.co.uk"]
)
PIECES = st.one_of(WORDS, WORDS, NUMBERS, LINKS)
JOINS = st.sampled_from([" ", " ", " ", ". ", "? ", ".\n", "\n\n", ", "])
TITLES = st.text(alphabet="abcdef ?é\U0001f600", min_size=1, max_size=90).map(str.strip).filter(bool)


@st.composite
def texts(draw: st.DrawFn, most: int = 400) -> tuple[str, list[str]]:
    """A text, and the pieces of it that must stay whole."""
    pieces = draw(st.lists(PIECES, min_size=1, max_size=most))
    text = pieces[0]
    for piece in pieces[1:]:
        # Two numbers with a space between them are one number to whoever reads them.
        join = draw(JOINS)
        text += (", " if text[-1].isdigit() and piece[0] in "+0123456789" else join) + piece
    return text, pieces


def squeezed(text: str) -> str:
    """A text without its space."""
    return "".join(text.split())


def outgoing(text: str, titles: list[str] | None = None, kind: str = "assistant", **more: object) -> Outgoing:
    """A row, and what it offers."""
    buttons = tuple(Button(title, f"fc:{n}", f"7.{n}") for n, title in enumerate(titles or []))
    return Outgoing(7, kind, text, buttons, **more)  # type: ignore[arg-type]


def all_of(shown: Shown) -> list[str]:
    """Every part, what a channel of one message leaves out too."""
    return [*shown.parts, *shown.lost]


def is_reached(shown: Shown, number: int, title: str) -> bool:
    """Whether somebody can choose this: by a press, or by a number that stands before the words."""
    text = "\n".join(all_of(shown))
    listed = squeezed(f"{number}. {title}") in squeezed(text)
    pressed = any(
        one.token == f"7.{number - 1}" and title in (one.title, one.beside) for one in shown.choices
    )
    return pressed or listed


# ---- cutting -------------------------------------------------------------------------------------


@given(texts(), st.sampled_from([one_each, utf16_units, utf8_bytes]), st.integers(60, 300))
def test_nothing_but_space_is_lost_and_no_part_is_too_long(
    given_text: tuple[str, list[str]], of: object, limit: int
) -> None:
    text, _ = given_text
    parts = cut(text, limit, of)  # type: ignore[arg-type]
    assert all(0 < size(part, of) <= limit for part in parts)  # type: ignore[arg-type]
    assert all(part == part.strip() for part in parts)
    assert squeezed("".join(parts)) == squeezed(text)


@given(texts(), st.sampled_from([one_each, utf16_units, utf8_bytes]), st.integers(70, 300))
def test_links_numbers_and_words_stay_whole(
    given_text: tuple[str, list[str]], of: object, limit: int
) -> None:
    """Each of them stands in one part, from its beginning to its end."""
    text, pieces = given_text
    parts = cut(text, limit, of)  # type: ignore[arg-type]
    rest = 0
    for piece in pieces:
        while piece not in parts[rest]:
            rest += 1
            assert rest < len(parts), f"{piece!r} was cut"
        parts[rest] = parts[rest][parts[rest].index(piece) + len(piece) :]


@pytest.mark.parametrize(
    ("text", "limit", "parts"),
    [
        # The only pause in the second half stands in the number.
        ("Please call 0808 2000 247 now", 22, ["Please call", "0808 2000 247 now"]),
        # Without any pause in the second half, the last one before it: the link stays whole.
        ("Go to www.force.example/a/long/way", 32, ["Go to", "www.force.example/a/long/way"]),
        ("Yes?\n12. Where is my bike", 9, ["Yes?", "12. Where", "is my", "bike"]),
        # Longer than a part by itself: there is no other way.
        ("1234567890", 4, ["1234", "5678", "90"]),
        ("12 34 56 78 90", 6, ["12 34", "56 78", "90"]),
    ],
)  # fmt: skip
def test_what_belongs_together_is_not_cut(text: str, limit: int, parts: list[str]) -> None:
    assert cut(text, limit, one_each) == parts


# ---- every channel ---------------------------------------------------------------------------------


def test_every_channel_states_what_it_can_show() -> None:
    """A new one is shown to those who write the words as well."""
    assert set(LAYOUTS) == set(CHANNELS)


@pytest.mark.parametrize("layout", ALL, ids=lambda layout: layout.name)
@given(given_text=texts(60), repeat=st.integers(1, 30), titles=st.lists(TITLES, max_size=20, unique=True),
       kind=st.sampled_from(["assistant", "safety", "staff", "notice"]), has_words=st.booleans())  # fmt: skip
@example(given_text=("Which?", ["Which?"]), repeat=1, titles=[f"Choice {n}" for n in range(12)],
         kind="assistant", has_words=True)  # fmt: skip
def test_all_of_an_answer_arrives_and_all_can_be_chosen(
    layout: Layout,
    given_text: tuple[str, list[str]],
    repeat: int,
    titles: list[str],
    kind: str,
    has_words: bool,
) -> None:
    """Parts within the limit, nothing but space lost, each choice in reach."""
    text = "\n\n".join([given_text[0]] * repeat)
    around = AROUND if has_words else NOTHING
    shown = render(outgoing(text, titles, kind), layout, around)

    limit = layout.longest
    assert all(part and (limit is None or layout.counted(part) <= limit) for part in all_of(shown))
    if shown.choices and layout.longest_above is not None:
        assert layout.counted(shown.parts[-1]) <= layout.longest_above
    assert squeezed(text) in squeezed("".join(all_of(shown)))
    if layout.most_parts is None:
        # Under a comment nothing is offered: see `bot/conversations/comment_words.py`.
        assert shown.lost == ()
        for number, title in enumerate(titles, 1):
            assert is_reached(shown, number, title)
        assert shown.numbered == layout.has_numbers(titles, has_list=bool(around.opens_list))
    else:
        assert len(shown.parts) == layout.most_parts


@pytest.mark.parametrize("layout", ALL, ids=lambda layout: layout.name)
@given(titles=st.lists(TITLES, max_size=20, unique=True))
def test_no_more_is_pressed_than_the_platform_takes(layout: Layout, titles: list[str]) -> None:
    """Neither more of them, nor with longer words."""
    shown = render(outgoing("Which?", titles), layout, AROUND)
    if shown.opens_list:
        rows = layout.rows
        assert rows is not None
        assert len(shown.choices) <= rows.most
        assert len(shown.opens_list) <= rows.opener
        assert all(len(one.title) <= rows.longest for one in shown.choices)
        assert all(len(one.beside) <= rows.beside for one in shown.choices)
    elif layout.beside_numbers != "titles":
        assert len(shown.choices) <= layout.most_buttons
        assert all(layout.fits_button(one.title) for one in shown.choices)


# ---- the 999 line ------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [one for one in ALL if one.longest], ids=lambda layout: layout.name)
def test_the_999_line_is_in_the_first_part(layout: Layout) -> None:
    """An answer that names it at its end has it at its beginning as well, where it leaves in parts."""
    assert layout.longest is not None
    long = "This is a plain sentence. " * (layout.longest // 20) + "In danger, call 999."
    for kind in ("assistant", "safety", "notice"):
        shown = render(outgoing(long, kind=kind), layout, AROUND)
        assert shown.parts[0].startswith(AROUND.danger)
    # What staff write stays theirs; what begins with 999 is left alone.
    assert not render(outgoing(long, kind="staff"), layout, AROUND).parts[0].startswith(AROUND.danger)
    first = f"Call 999 now. {long}"
    assert render(outgoing(first), layout, AROUND).parts[0].startswith("Call 999 now. This")
    assert render(outgoing("In danger, call 999."), layout, AROUND).parts[0].startswith("In danger")
    assert render(outgoing(long.replace("999", "101")), layout, AROUND).parts[0].startswith("This")
    assert first_part(long, layout, AROUND.danger).startswith(AROUND.danger)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Call 999.", True), ("call 999, now", True), ("999", True), ("In danger, 999!", True),
        ("Use 999 BSL.", False), ("Text 999 first.", False), ("999bsl.co.uk", False), ("£999", False),
        ("call 1999", False), ("101", False), ("999.50", False),
    ],
)  # fmt: skip
def test_what_names_999(text: str, named: bool) -> None:
    assert names_999(text) is named


# ---- what stands beside an answer -------------------------------------------------------------------


@pytest.mark.parametrize("layout", ALL, ids=lambda layout: layout.name)
def test_a_person_is_in_reach_under_the_assistants_words_only(layout: Layout) -> None:
    """And not where the row offers that already."""
    shown = render(outgoing("Words."), layout, AROUND)
    assert any(one.token == "person" for one in shown.choices) is layout.person_button
    for kind in ("safety", "staff", "notice"):
        other = render(outgoing("Words.", kind=kind), layout, AROUND)
        assert (other.parts, other.choices) == (("Words.",), ())
    for payload in (PERSON, WITHDRAW):
        row = replace(outgoing("Words."), buttons=(Button("Yes", payload, "7.0"),))
        there = render(row, layout, AROUND)
        assert "person" not in [one.token for one in there.choices]
        assert AROUND.person_line not in "".join(there.parts)


def test_staff_are_named_before_their_words() -> None:
    """The desk's name, and never a person's."""
    shown = render(outgoing("Hello.", kind="staff", author="The desk"), LAYOUTS["telegram"], AROUND)
    assert shown.parts == ("The desk:\n\nHello.",)


@given(st.lists(TITLES, min_size=1, max_size=20, unique=True))
def test_numbers_are_what_the_list_says(titles: list[str]) -> None:
    """From 1, in the order offered, each on a line of its own."""
    assume(all("\n" not in title for title in titles))
    text = render(outgoing("Which?", titles), LAYOUTS["x"]).parts[0]
    assert re.findall(r"^(\d+)\. (.*)$", text, re.MULTILINE) == [(str(n), t) for n, t in enumerate(titles, 1)]
