"""The screen through its door: one message, joined messages, hostile texts, wrong files."""

from __future__ import annotations

import shutil
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.errors import ContentError
from bot.messages import is_higher
from bot.safety import Screen

RISK_FOLDER = Path(__file__).parents[2] / "data" / "risk"
SCREEN = Screen.load(RISK_FOLDER)
DANGERS = [example.text for category in SCREEN.categories.values() for example in category.examples]
LAUGHTER = [" lol", " 😂", " haha", "\nlmao", " 🤣🤣", " xx", " jk lol", " ;)", " 😜 lol"]
HARMLESS = [
    "\nthanks pet", "\nwhat time do you open", ". have a nice day", "\nthe match was on the telly",
    "\n\nthe film was mint", "\nhow do i pay a fine", "! sorry to bother you", "\nmy phone is dead",
]  # fmt: skip


def test_a_hit_says_which_words_and_which_rule_fired() -> None:
    worst = SCREEN.check("Lad outside school has a MACHETE").worst

    assert worst is not None
    assert ("R08", "P1") == (worst.category, worst.priority)
    assert "machete" in worst.words
    assert worst.rule.startswith("R08: ")


def test_hits_are_one_for_each_category_and_the_worst_comes_first() -> None:
    result = SCREEN.check("someone nicked my bike yesterday and now i want to kill myself")

    assert ["R02", "R13"] == [hit.category for hit in result.hits]
    assert "P1" == result.priority


def test_a_plain_question_raises_nothing() -> None:
    result = SCREEN.check("what time does the front counter open on saturday")

    assert (None, None, None) == (result.worst, result.priority, result.ask)


def test_a_friend_counts_like_the_writer() -> None:
    assert "P1" == SCREEN.check("asking for a friend how many tablets would kill you").priority


@pytest.mark.parametrize("text", ["", " ", "\n", "\u200b", "\x00"])
def test_nothing_typed_asks_nothing(text: str) -> None:
    assert () == SCREEN.check(text).hits


@pytest.mark.parametrize("text", [".", "...", "?", "!!", " . "])
def test_a_message_without_words_asks_whether_the_person_is_safe(text: str) -> None:
    result = SCREEN.check(text)

    assert ("ask_safe", "R01", "P2") == (result.ask, result.ask_category, result.ask_priority)


class TestJoined:
    def test_a_word_cut_in_two(self) -> None:
        assert SCREEN.check("he has a kn").worst is None
        result = SCREEN.check_joined(["he has a kn"], "ife at my throat")

        assert "P1" == result.priority
        assert "R03" in {hit.category for hit in result.hits}

    def test_a_sentence_sent_word_by_word(self) -> None:
        words = "i have decided to end my life".split()
        before = SCREEN.check_joined(words[:-2], words[-2])
        after = SCREEN.check_joined(words[:-1], words[-1])

        assert "P1" != before.priority
        assert "P1" == after.priority

    def test_a_sentence_cut_in_the_middle(self) -> None:
        result = SCREEN.check_joined(["my husband has", "got hold of"], "a knife and he is")

        assert "P1" == result.priority

    def test_what_was_raised_before_is_not_raised_again(self) -> None:
        result = SCREEN.check_joined(["i want to kill myself"], "ok thanks")

        assert () == result.hits

    def test_saying_it_again_counts_again(self) -> None:
        result = SCREEN.check_joined(["i want to kill myself"], "i want to kill myself")

        assert "P1" == result.priority

    def test_the_newest_message_counts_alone(self) -> None:
        assert SCREEN.check("he has a gun").hits == SCREEN.check_joined([], "he has a gun").hits
        assert "P1" == SCREEN.check_joined(["hello", "are you there"], "he has a gun").priority

    def test_harmless_messages_stay_harmless(self) -> None:
        result = SCREEN.check_joined(
            ["hello", "how do i pay a speeding fine", "ok"], "and where is the nearest station"
        )

        assert () == result.hits

    def test_an_earlier_long_story_does_not_hide_the_join(self) -> None:
        story = "it was a long day and we went to the shops. " * 60
        result = SCREEN.check_joined([story, "i want to"], "kill myself")

        assert "P1" == result.priority

    @pytest.mark.parametrize(
        "parts",
        [
            ["he has", "a knife", "in the kitchen"],
            ["im 9", "my dad", "hits me"],
            ["i want", "to", "die"],
            ["my husband", "has locked me", "in the flat"],
        ],
    )
    def test_danger_sent_in_three_messages(self, parts: list[str]) -> None:
        raised = [SCREEN.check_joined(parts[:number], parts[number]).priority for number in range(3)]

        assert "P1" in raised

    @pytest.mark.parametrize(
        ("earlier", "newest"),
        [
            (["noise complaint"], "are you a robot"),
            (["noise complaint", "my neighbour plays music", "every night"], "are you a robot"),
            (["i want to complain", "about the wheelie bins"], "is this a real officer"),
            (["hello", "my dad"], "what time do you open"),
        ],
    )
    def test_words_of_two_sentences_are_no_complaint(self, earlier: list[str], newest: str) -> None:
        assert () == SCREEN.check_joined(earlier, newest).hits

    def test_a_calm_sentence_that_runs_on_is_read_as_one(self) -> None:
        result = SCREEN.check_joined(["hello", "i want to make a"], "complaint about an officer")

        assert {"R16": "P3"} == {hit.category: hit.priority for hit in result.hits}


class TestCompany:
    """What the rest of a sentence is about."""

    @pytest.mark.parametrize(
        "text",
        ["he stabbed her in emmerdale last night", "wor lad shot the boss on fortnite and i scored",
         "the seagull attacked me for me chips", "a man with a knife cut the birthday cake"],
    )  # fmt: skip
    def test_play_raises_nothing(self, text: str) -> None:
        assert () == SCREEN.check(text).hits

    @pytest.mark.parametrize(
        "text",
        ["is corrie on tonight also my husband is hitting me",
         "we were watching corrie. my husband is hitting me",
         "watching corrie\nmy husband is hitting me",
         "how do i renew my licence btw there is a man with a knife outside"],
    )  # fmt: skip
    def test_it_ends_with_the_sentence_or_a_turn_of_talk(self, text: str) -> None:
        assert "P1" == SCREEN.check(text).priority

    @pytest.mark.parametrize(
        "text",
        ["how do i stop burglars", "walking home alone", "i saw the crash on the coast road",
         "is it safe to walk home alone at night", "do i need a licence for an air gun",
         "which number do i ring 999 or 101"],
    )  # fmt: skip
    def test_a_question_of_every_day_is_no_danger(self, text: str) -> None:
        assert SCREEN.check(text).priority not in ("P1", "P2")

    def test_routine_business_still_reaches_a_person(self) -> None:
        assert "P3" == SCREEN.check("someone hit my parked car and drove off last week").priority


class TestSeveralCategories:
    def test_each_is_raised_once_and_the_highest_leads(self) -> None:
        result = SCREEN.check(
            "my husband has a knife and the kids are upstairs, also my bike was stolen last week"
        )

        assert "P1" == result.priority
        assert {"R03", "R08", "R13"} <= {hit.category for hit in result.hits}
        assert sorted(hit.priority for hit in result.hits) == [hit.priority for hit in result.hits]

    def test_a_weapon_here_and_now_is_no_stalking(self) -> None:
        raised = {hit.category for hit in SCREEN.check("there is a man with a knife here now").hits}

        assert {"R01", "R08"} <= raised
        assert "R07" not in raised


class TestLongText:
    def test_danger_is_found_anywhere_in_twenty_thousand_characters(self) -> None:
        filler = "we went to the shops and had a lovely walk by the church. "
        for place in (0, 100, 172, 300):
            parts = [filler] * 340
            parts.insert(place, "he is strangling her. ")
            text = "".join(parts)

            assert len(text) >= 19_000
            assert "P1" == SCREEN.check(text).priority, place

    def test_work_grows_with_length_and_no_faster(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Counted in words looked up and patterns tried, so that a slow machine cannot fail it."""
        from bot.safety.phrases import Reading

        work = [0]
        trail = Reading.trail

        def counted(self: Reading, phrase: object) -> list[int]:
            # A window's numbers are as long as it has words: that is what one step costs.
            work[0] += len(self.words)
            return trail(self, phrase)  # type: ignore[arg-type]

        monkeypatch.setattr(Reading, "trail", counted)
        sentence = "he said the lads are outside now and i am scared to go home with my bairn "

        def cost(times: int) -> int:
            work[0] = 0
            SCREEN.check(sentence * times)
            return work[0]

        assert cost(240) < 5 * cost(60)

    @pytest.mark.parametrize(
        "text",
        ["a" * 20_000, "a " * 10_000, "!" * 20_000, "k" * 19_999 + "!", "💊" * 5_000,
         "9" * 20_000, "kn*fe*" * 3_000, "\x00" * 20_000, "he " * 6_000, "she he " * 3_000],
    )  # fmt: skip
    def test_no_text_is_too_strange(self, text: str) -> None:
        SCREEN.check(text)
        SCREEN.check_joined([text], text)


class TestWhateverIsTyped:
    @given(st.text())
    @settings(max_examples=300, deadline=None)
    def test_never_raises(self, text: str) -> None:
        SCREEN.check(text)

    @given(st.lists(st.text(max_size=40), max_size=5), st.text(max_size=80))
    @settings(max_examples=150, deadline=None)
    def test_joined_never_raises(self, earlier: list[str], newest: str) -> None:
        SCREEN.check_joined(earlier, newest)

    @given(st.sampled_from(DANGERS), st.sampled_from(LAUGHTER))
    @settings(max_examples=400, deadline=None)
    def test_a_joke_never_lowers_the_grade(self, danger: str, joke: str) -> None:
        assert not is_higher(SCREEN.check(danger).priority, SCREEN.check(danger + joke).priority)

    @given(st.sampled_from(DANGERS), st.sampled_from(LAUGHTER))
    @settings(max_examples=200, deadline=None)
    def test_a_joke_before_it_never_lowers_the_grade(self, danger: str, joke: str) -> None:
        assert not is_higher(SCREEN.check(danger).priority, SCREEN.check(joke + " " + danger).priority)

    @given(st.sampled_from(DANGERS), st.lists(st.sampled_from(HARMLESS), max_size=3))
    @settings(max_examples=400, deadline=None)
    def test_harmless_text_after_it_never_lowers_the_grade(self, danger: str, more: list[str]) -> None:
        longer = danger + "".join(more)

        assert not is_higher(SCREEN.check(danger).priority, SCREEN.check(longer).priority)

    @given(st.sampled_from(DANGERS))
    @settings(max_examples=200, deadline=None)
    def test_upper_case_changes_nothing(self, danger: str) -> None:
        assert SCREEN.check(danger).hits == SCREEN.check(danger.upper()).hits

    @given(st.text(alphabet=string.printable, max_size=200))
    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_upper_case_changes_nothing_in_any_plain_text(self, text: str) -> None:
        assert SCREEN.check(text.upper()) == SCREEN.check(text.lower())


class TestWrongFiles:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        copy = tmp_path / "risk"
        shutil.copytree(RISK_FOLDER, copy)
        return copy

    def _break(self, folder: Path, name: str, old: str, new: str) -> int:
        file = folder / name
        text = file.read_text(encoding="utf-8")
        assert old in text
        at = text.index(old)
        file.write_text(text[:at] + new + text[at + len(old) :], encoding="utf-8")
        return text[:at].count("\n") + 1

    @pytest.mark.parametrize(
        ("name", "old", "new", "says"),
        [
            ("R08.yml", "<someone>", "<sumone>", "family <sumone>"),
            ("R08.yml", "id: R08", "id: R80", "id must be R08"),
            ("R01.yml", "priority: P1}", "priority: P7}", "priority must be P1"),
            ("R01.yml", "handover:", "hand_over:", "unknown key 'hand_over'"),
            ("R02.yml", '"<end_it>"', '"(kill|murder"', "do not close"),
            ("R02.yml", '"<end_it>"', '"kill ..99 me"', "a gap must be"),
            ("R02.yml", '"<end_it>"', '"kill || me"', "is not a word"),
            ("R02.yml", '"<end_it>"', "no", "in quotes"),
            ("R09.yml", "id: R09", "id: R09\nid: R09", "stands twice"),
            ("words.yml", '"no": ', "no: ", "needs quotes"),
            ("ambiguous.yml", "category: R02", "category: R99", "unknown category"),
            ("words.yml", "families:", "famlies:", "unknown key"),
        ],
    )
    def test_the_error_names_the_file(self, folder: Path, name: str, old: str, new: str, says: str) -> None:
        self._break(folder, name, old, new)

        with pytest.raises(ContentError) as caught:
            Screen.load(folder)

        assert name in str(caught.value)
        assert says in str(caught.value)

    def test_the_error_names_the_line(self, folder: Path) -> None:
        line = self._break(folder, "R08.yml", "<hard_weapon>", "<hard_wepon>")

        with pytest.raises(ContentError, match=f"line {line}:"):
            Screen.load(folder)

    def test_broken_yaml_names_the_line(self, folder: Path) -> None:
        line = self._break(folder, "R08.yml", "team: ", "team: [")

        with pytest.raises(ContentError, match=r"R08\.yml, line \d+:") as caught:
            Screen.load(folder)

        assert int(str(caught.value).split("line ")[1].split(":")[0]) >= line

    def test_a_missing_file_is_named(self, folder: Path) -> None:
        (folder / "R13.yml").unlink()

        with pytest.raises(ContentError, match=r"R13\.yml"):
            Screen.load(folder)

    def test_a_missing_key_is_named(self, folder: Path) -> None:
        self._break(folder, "R13.yml", "understanding_threshold: 0.35\n", "")

        with pytest.raises(ContentError, match="understanding_threshold"):
            Screen.load(folder)


@pytest.mark.parametrize("text", ["going to kill my self tonight", "help my self assessment", "me self harm"])
def test_words_that_stand_for_each_other_are_read(screen: Screen, text: str) -> None:
    """Families that hold each other must not send the reading round in circles."""
    screen.check(text)
    hits = screen.check("going to kill my self tonight").hits
    assert ("R02", "P1") in [(hit.category, hit.priority) for hit in hits]
