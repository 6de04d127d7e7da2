"""Words that add up: what several small signs say together, where no phrase says it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import ContentError
from bot.messages import is_higher
from bot.safety import Screen
from bot.safety.content import load
from bot.safety.points import MOST_SENTENCES, MOST_WORDS, Scale, Sign, signs_of, speaks_against, weigh

RISK_FOLDER = Path(__file__).parents[2] / "data" / "risk"
SIGNS = """\
  zorp = 3 2 R09 1
  blick = 3.5 -7 R03 1.5
  zorp blick = 0.5 0 R09 1
  glorp = 4 4 R08 9
  <weapon> = 1 0 R08 1
  kettle = -4 0
"""


def _scale(**signs: float) -> Scale:
    return Scale({name: Sign(points, points, {"R09": points}) for name, points in signs.items()},
                 danger_base=-1.0, mark=1.0)  # fmt: skip


def _piece(*words: str, first: int = 0) -> list[tuple[str, int]]:
    return signs_of(words, first, ())


@pytest.fixture
def taught(tmp_path: Path) -> Screen:
    """The screen that ships, with points of our own for words that nobody uses."""
    folder = tmp_path / "risk"
    shutil.copytree(RISK_FOLDER, folder)
    marks = "mark: 1.0\nmark_now: 0\nmark_phrase: -1.0\nmark_sure: 1.5\nmark_pressing: 2.5\n"
    text = f"danger_base: -0.5\nnow_base: 0\n{marks}signs: |\n{SIGNS}"
    (folder / "points.yml").write_text(text, encoding="utf-8")
    return Screen.load(folder)


class TestAdding:
    def test_signs_are_words_pairs_and_families(self) -> None:
        found = signs_of(["a", "b", "", "c"], 5, [("<weapon>", 6)])

        assert found == [("a", 5), ("b", 6), ("c", 8), ("a b", 5), ("<weapon>", 6)]

    def test_several_small_signs_reach_what_one_does_not(self) -> None:
        scale = _scale(one=1.5, two=1.5, three=1.5)

        assert weigh(scale, [_piece("one")]) is None
        found = weigh(scale, [_piece("one", "two", "three")])
        assert found is not None
        assert found.places == (0, 1, 2)

    def test_a_sign_against_danger_counts_too(self) -> None:
        scale = _scale(one=4.0, play=-3.0)

        assert weigh(scale, [_piece("one")]) is not None
        assert weigh(scale, [_piece("one", "play")]) is None

    def test_neighbouring_sentences_add_up(self) -> None:
        scale = _scale(one=1.5, two=1.5, three=1.5)
        apart = [_piece("one"), _piece("two", first=1), _piece("three", first=2)]

        assert weigh(scale, apart) is not None
        others = [_piece("x")] * MOST_SENTENCES
        assert weigh(scale, [apart[0], *others, apart[1], *others, apart[2]]) is None

    def test_what_is_less_sure_is_now_only_where_it_says_so(self) -> None:
        signs = {"maybe": Sign(3.0, -0.5), "surely": Sign(5.0, -0.5), "soon": Sign(3.0, 0.5)}
        scale = Scale(signs, mark=1.0, mark_now=-1.0, mark_sure=4.0, mark_pressing=0.0)
        maybe, surely, soon = (weigh(scale, [_piece(word)]) for word in signs)

        assert maybe is not None
        assert surely is not None
        assert soon is not None
        assert [False, True, True] == [maybe.is_now, surely.is_now, soon.is_now]
        assert not any(found.is_pressing for found in (maybe, surely, soon))

    def test_words_speak_against_a_phrase_only_where_no_run_of_them_speaks_for_it(self) -> None:
        scale = replace(_scale(one=4.0, play=-3.0), mark_phrase=-1.5)

        assert speaks_against(scale, [_piece("play", "x")], 0, 1)
        assert not speaks_against(scale, [_piece("play"), _piece("one", first=1)], 0, 0)
        assert not speaks_against(scale, [_piece("never", "heard")], 0, 1)
        assert not speaks_against(scale, [_piece("one", "play", "play")], 0, 0), "by its own words"
        assert not speaks_against(scale, [], 0, 0)

    def test_nothing_known_is_nothing(self) -> None:
        assert weigh(_scale(one=9.0), [_piece("two"), []]) is None
        assert weigh(_scale(one=9.0), []) is None

    @given(st.lists(st.lists(st.sampled_from(["one", "two", "play", "x"]), max_size=4), max_size=5),
           st.lists(st.lists(st.sampled_from(["play", "x", "two"]), max_size=4), max_size=4))  # fmt: skip
    @settings(max_examples=300, deadline=None)
    def test_more_sentences_never_make_it_less(self, said: list[list[str]], more: list[list[str]]) -> None:
        scale = _scale(one=4.0, two=0.5, play=-3.0)
        before = weigh(scale, [_piece(*words) for words in said])
        after = weigh(scale, [_piece(*words) for words in said + more])

        if before is not None:
            assert after is not None
            assert after.score >= before.score


class TestInTheScreen:
    def test_they_raise_what_no_phrase_raises(self, taught: Screen) -> None:
        (hit,) = taught.check("the ZORP went yesterday").hits

        assert (hit.category, hit.priority, hit.words) == ("R09", "P1", ("zorp",))
        assert hit.rule == "R09: several signs together"

    def test_what_may_be_over_is_p2(self, taught: Screen) -> None:
        assert [("R03", "P2")] == [(h.category, h.priority) for h in taught.check("a blick").hits]

    def test_a_phrase_knows_better_how_urgent_it_is(self, taught: Screen) -> None:
        alone = taught.check("no point in owt any more").hits
        both = taught.check("no point in owt any more zorp").hits

        assert {hit.priority for hit in alone} == {"P2"}
        assert alone == both

    def test_clear_danger_now_is_p1_even_where_a_phrase_says_p2(self, taught: Screen) -> None:
        raised = {hit.category: hit.priority for hit in taught.check("no point in owt any more glorp").hits}

        assert {"R02": "P2", "R08": "P1"} == raised

    def test_a_phrase_among_words_of_something_else_raises_nothing(self, taught: Screen) -> None:
        assert taught.check("smell gas in the house").priority == "P1"
        assert taught.check("smell kettle gas in the house").hits == ()
        assert taught.check("smell kettle gas in the house. zorp").priority == "P1"

    def test_a_phrase_with_nothing_beside_it_holds(self, taught: Screen) -> None:
        assert taught.check("can smell gas").priority == "P1"

    def test_clear_words_hold_whatever_stands_beside_them(self, taught: Screen) -> None:
        assert taught.check("what happens if i take too many paracetamol kettle").priority == "P1"

    def test_an_outweighed_phrase_does_not_come_back_with_the_next_message(self, taught: Screen) -> None:
        calm = "smell kettle gas in the house"

        assert taught.check_joined(["hello there"], calm).hits == ()
        assert taught.check_joined([calm], "ok thanks").hits == ()

    def test_a_calm_phrase_does_not_hide_them(self, taught: Screen) -> None:
        hits = taught.check("someone nicked my bike last week and the zorp").hits

        assert ["R09", "R13"] == [hit.category for hit in hits]

    def test_a_question_that_is_to_be_asked_is_asked(self, taught: Screen) -> None:
        result = taught.check("what age can you leave home zorp")

        assert result.ask == "ask_safe"
        assert "R09" not in {hit.category for hit in result.hits}

    def test_an_idiom_has_no_points(self, taught: Screen) -> None:
        assert taught.check("zorp the kettle").hits == ()

    def test_what_was_said_before_is_not_raised_again(self, taught: Screen) -> None:
        assert taught.check_joined(["the zorp"], "ok thanks").hits == ()

    def test_danger_is_found_in_the_middle_of_a_long_sentence(self, taught: Screen) -> None:
        filler = " we went on" * MOST_WORDS
        for before in (0, 3, 11):
            text = "so" + " we went on" * before + " zorp blick zorp" + filler

            assert taught.check(text).priority in ("P1", "P2"), before

    @given(
        st.sampled_from(["the zorp went", "zorp blick"]),
        st.sampled_from([" lol", "\nthanks pet", ". kettle"]),
    )
    @settings(max_examples=20, deadline=None)
    def test_later_words_never_lower_the_grade(self, danger: str, more: str) -> None:
        screen = SHIPPED_WITH_OURS

        assert not is_higher(screen.check(danger).priority, screen.check(danger + more).priority)


def _ours() -> Screen:
    content = load(RISK_FOLDER)
    signs = {"zorp": Sign(3, 2, {"R09": 1}), "kettle": Sign(-4, 0)}
    content.reader._scale = replace(Scale(signs, -0.5), mark=1.0)  # a private part: the public way is a file
    return Screen(content)


SHIPPED_WITH_OURS = _ours()


class TestWhatShips:
    @pytest.mark.parametrize(
        "cry",
        ["i want to die", "i want to kill myself after work", "someone has been stabbed", "i cant breathe",
         "my house is on fire", "i need police now", "my nana with dementia is missing", "he raped me",
         "no reason to live", "burglars in my house", "my teacher touches me", "im going to stab a police officer",
         "car crash people trapped", "theres a man with a gun in the library"],
    )  # fmt: skip
    @pytest.mark.parametrize("more", ["", " thanks pet", " and the kettle is on for the football tea"])
    def test_harmless_words_beside_a_clear_cry_never_hide_it(
        self, screen: Screen, cry: str, more: str
    ) -> None:
        assert screen.check(cry + more).priority in ("P1", "P2")

    def test_the_lines_that_points_learn_from_are_told_apart(self, screen: Screen) -> None:
        """Fitted, so no measure of unseen messages: it fails when points.yml is older than its lines."""
        found = {"P1": [0, 0], "P2": [0, 0], "calm": [0, 0]}
        for path in sorted(RISK_FOLDER.glob("lines*.yml")):
            lines = yaml.safe_load(path.read_text("utf-8"))
            blocks = [(title.split()[1], block) for title, block in lines["risk"].items()]
            for kind, block in [*blocks, ("calm", lines["calm"])]:
                for text in block.splitlines():
                    found[kind][0] += screen.check(text).priority in ("P1", "P2")
                    found[kind][1] += 1
        share = {kind: raised / messages for kind, (raised, messages) in found.items()}

        assert share["P1"] > 0.93, share
        assert share["P2"] > 0.8, share
        assert share["calm"] < 0.03, share

    def test_nearly_every_point_is_of_a_danger(self) -> None:
        text = (RISK_FOLDER / "points.yml").read_text("utf-8")

        assert " R15 " not in text, "no danger to anybody: these have phrases only"
        assert text.count(" = ") > 1_000

    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            ("mark:", "marc:", "unknown key 'marc'"),
            ("mark: 1", "mark: high # 1", "must be a number"),
            (" = ", " is ", "is no sign with its points"),
            (" R0", " R9", "is no sign with its points"),
        ],
    )
    def test_a_wrong_file_names_the_line(self, tmp_path: Path, old: str, new: str, says: str) -> None:
        folder = tmp_path / "risk"
        shutil.copytree(RISK_FOLDER, folder)
        file = folder / "points.yml"
        text = file.read_text("utf-8")
        start = text.index("\nsigns:") if old.startswith(" ") else text.index("\ndanger_base")
        at = text.index(old, start)
        file.write_text(text[:at] + new + text[at + len(old) :], encoding="utf-8")

        with pytest.raises(ContentError) as caught:
            Screen.load(folder)

        assert says in str(caught.value)
        line = text[:at].count("\n") + 1
        assert f"points.yml, line {line}" in str(caught.value)


def test_what_people_say_in_any_chat_is_no_danger() -> None:
    """Hello, thanks, goodbye, "here I am": of a hundred such messages one at most is raised."""
    lines = yaml.safe_load((RISK_FOLDER / "lines_talk.yml").read_text("utf-8"))["calm"].splitlines()
    screen = Screen.load(RISK_FOLDER)
    raised = [line for line in lines if screen.check(line).priority in ("P1", "P2")]
    assert len(lines) > 300
    assert len(raised) <= len(lines) // 100, raised
    assert not {"goodbye", "thank you, and one more thing", "here i am", "i live in blyth"} & set(raised)
