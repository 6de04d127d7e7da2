"""Words for one channel: said there and nowhere else, and the general ones right everywhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bot.assistant import Content, LiveContent, sources
from bot.assistant.content import content_from_files
from bot.errors import ContentError
from bot.knowledge.releases import publish
from bot.knowledge.wording import check, texts_of
from bot.messages import CHANNELS, Actor
from bot.safety import Screen
from bot.settings import ROOT
from tests.support.world import P2_HIDDEN, World, read_content

FORCE = ROOT / "force" / "northumbria"
DATA = ROOT / "data"
ELSEWHERE = [name for name in CHANNELS if name != "webchat"] + ["site-forum"]
ONLY_ON_A_PAGE = re.compile(
    r"\b(this|the|a) (window|tab|screen)\b|\bthis page\b|\bbuttons?\b|\bbelow\b|\bclick (here|below)\b|\bbrowser\b",
    re.I,
)
OF_THE_PAGE = re.compile(r"(chat|page)_|.*_title$|demo_banner$")


def files() -> Content:
    return read_content(FORCE, DATA)


def saying(lines: Mapping[str, str], content: Content | None = None) -> Content:
    """The shipped words with these sentences."""
    known = content or files()
    return replace(known, lines={**known.lines, **lines})


# ---- which words are said ------------------------------------------------------------------------


@pytest.mark.unit
def test_the_nearest_words_are_said() -> None:
    """A site's own, those of all sites, the general ones; a comment has those of the chats beside it."""
    words = {"goodbye@site": "S", "goodbye@site-forum": "F", "goodbye@messenger": "M", "goodbye@x": "X"}
    content = saying(words)
    said = {
        name: content.for_channel(name).line("goodbye") for name in (*CHANNELS, "site-forum", "site-blog")
    }
    general = files().line("goodbye")
    assert said == {
        "webchat": general, "telegram": general, "whatsapp": general, "instagram": general,
        "instagram-comments": general, "messenger": "M", "facebook-comments": "M", "x": "X", "x-mentions": "X",
        "site-forum": "F", "site-blog": "S",
    }  # fmt: skip
    assert content.line("goodbye") == general
    both = saying({"goodbye@facebook-comments": "C"}, content)
    assert both.for_channel("facebook-comments").line("goodbye") == "C"


@pytest.mark.unit
def test_values_and_contacts_are_filled_in_as_in_any_sentence() -> None:
    content = saying({"closed@x": "Ended, {reference}, {desk}. Call [P101]."})
    assert (
        content.for_channel("x").line("closed", reference="FC-1")
        == f"Ended, FC-1, {content.desk_name}. Call 101."
    )


@pytest.mark.unit
@pytest.mark.parametrize("channel", ELSEWHERE)
def test_only_in_web_chat_a_window_is_closed(channel: str) -> None:
    """Sentences, an answer, a ready-made reply, and what is said after the safe check."""
    screen = Screen.load(DATA / "risk")
    for name in ("webchat", channel):
        content = files().for_channel(name)
        said = [
            content.line("safe_no_reply"), content.answer("da-help") or "",
            content.reply("ask_safe_to_write", "FC-1"), *screen.words("R03", name).after_safe_check,
        ]  # fmt: skip
        found = [bool(ONLY_ON_A_PAGE.search(words)) for words in said]
        assert found == ([True, True, True, True, False] if name == "webchat" else [False] * 5)


@pytest.mark.unit
def test_general_words_name_nothing_that_only_a_page_has() -> None:
    """Whatever is said in a chat has to be right on every channel."""
    wrong = [
        f"{text.file}, line {text.line} ({text.key}): {found[0]}"
        for text in texts_of(FORCE, DATA)
        if text.kind in ("answer", "sentence", "reply", "risk")
        and "@webchat" not in text.key
        and not OF_THE_PAGE.match(text.key)
        and (found := ONLY_ON_A_PAGE.search(text.body))
    ]
    assert wrong == []


@pytest.mark.integration
async def test_a_chat_hears_the_words_of_its_channel(world: World) -> None:
    """From the sentence that says what the assistant is to the last one."""
    core = world.core.content
    core.current = saying(
        {"safe_no_reply@test": "Own words. Call 999.", "safe_no_reply@x": "Others."}, core.current
    )
    await world.say(P2_HIDDEN)
    await world.say("no")
    assert world.texts()[-1] == "Own words. Call 999."


@pytest.mark.integration
async def test_a_release_of_before_keeps_its_own_words(world: World) -> None:
    """Words for one channel belong to the general words beside them: those of another sentence are not said."""
    old = {key: text for key, text in files().lines.items() if "@" not in key}
    before = replace(files(), lines={**old, "safe_no_reply": "As before. Call 999."}, sha256="before")
    await publish(world.store, before, Actor("Comms"))
    live = LiveContent(files())
    assert await live.refresh(world.store) is True
    assert {live.current.for_channel(name).line("safe_no_reply") for name in CHANNELS} == {
        "As before. Call 999."
    }

    await publish(world.store, files(), Actor("Comms"))
    assert await live.refresh(world.store) is True
    assert live.current.for_channel("webchat").line("safe_no_reply").startswith("You can close this window")
    assert live.current.for_channel("webchat").answer("da-help") == files().for_channel("webchat").answer(
        "da-help"
    )


# ---- what is refused ------------------------------------------------------------------------------


WRONG = [
    ("goodbye@fax", "Bye. In danger, call 999.", "No channel 'fax'"),
    ("goodbye@site-nowhere", "Bye. In danger, call 999.", "No channel 'site-nowhere'"),
    ("nothing@x", "Bye.", "There is no 'nothing' for the other channels"),
    ("closed@x", "This chat is closed.", "other values than the general words: {reference}"),
    ("triage_non_urgent@x", "You can use [NPWEB].", "other contacts than the general words: [P101]"),
    ("goodbye@x", "Bye.", "other numbers than the general words: 999"),
    (
        "goodbye@x",
        "Goodbye. You can come back here any time. In danger, call 999.",
        "what the general words say",
    ),
    ("block_999@x", "Call 999.", "Words of danger are the same everywhere"),
]


@pytest.mark.unit
@pytest.mark.parametrize(("key", "words", "says"), WRONG)
def test_the_check_names_the_line(tmp_path: Path, key: str, words: str, says: str) -> None:
    force = tmp_path / "force" / "northumbria"
    shutil.copytree(FORCE, force)
    (tmp_path / "data" / "faq").mkdir(parents=True)
    shutil.copytree(DATA / "plain", tmp_path / "data" / "plain")
    path = force / "wording.yml"
    line = path.read_text("utf-8").count("\n") + 1
    with path.open("a", encoding="utf-8") as file:
        file.write(f'{key}: "{words}"\n')
    found = [one for one in check(force, tmp_path / "data") if one.check == "channel"]
    assert [(one.line, one.key) for one in found] != []
    assert {(one.file, one.line, one.key) for one in found} == {("force/northumbria/wording.yml", line, key)}
    assert any(says in str(one) for one in found)


@pytest.mark.integration
async def test_nothing_wrong_is_published(world: World) -> None:
    """A site that is not joined is known to the files' check alone."""
    for key, words, says in WRONG:
        if key == "goodbye@site-nowhere":
            continue
        with pytest.raises(ContentError, match=re.escape(says)):
            await publish(world.store, saying({key: words}), Actor("Comms"))


@pytest.mark.unit
def test_answers_and_replies_are_checked_as_sentences_are(tmp_path: Path) -> None:
    """What they say in one channel names the contacts that they name everywhere."""
    for what in ("force", "data"):
        shutil.copytree(ROOT / what / ("northumbria" if what == "force" else "faq"),
                        tmp_path / what / ("northumbria" if what == "force" else "faq"))  # fmt: skip
    faq, replies = tmp_path / "data/faq/da-help.yml", tmp_path / "force/northumbria/replies.yml"
    whole, _, rest = faq.read_text("utf-8").partition('    "answer@webchat": |')
    assert rest
    faq.write_text(whole + '    "answer@webchat": |' + rest.replace("[GALOP]", "[MEN]", 1), "utf-8")
    replies.write_text(replies.read_text("utf-8").replace("text@webchat:", "text@nowhere:"), "utf-8")
    found = content_from_files(tmp_path / "force" / "northumbria", tmp_path / "data").faults()
    assert sum("other contacts than the general words: [GALOP]" in fault for fault in found) == 1
    assert sum("No channel 'nowhere'" in fault for fault in found) == 1
    assert len(found) == 2

    faq.write_text(
        whole + '    "answer@webchat": 7\n' + "  examples: |" + rest.partition("  examples: |")[2], "utf-8"
    )
    (fault,) = [one for one in sources.faults(tmp_path / "data") if "answer@webchat" in one]
    assert fault.endswith("'answer@webchat' must be the words for that channel, as text.")
