"""Answers made of everything that has ever broken a file: for tests of export and import.

`python -m tests.support.odd FOLDER SEED COUNT` writes answers of that seed as an export would, and beside
them `expected.json`, for tests of Rasa's own environment, which cannot import the gateway.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any, Final

from bot.assistant.content import Faq, faq_from
from bot.knowledge.files import faq_file

PARTS: Final = (
    "it's", '"quoted"', "a: b", "key:", ": ", " #", "# no comment", "- ", "- - x", "* a", "&a", "*a", "<<: *a",
    "!!python/object:os.system", "!tag", "%TAG", "%", "@x", "`x`", "|", ">", "|-", "?", "? a", "{{ x }}", "{% if %}",
    "{", "}", "[", "[a, b", "]", "${HOME}", "${NOT_SET}", "$x", "\\", "\\n", "\\u0041", "\\u00zz", "\\U0001F600", "\\x41",
    "yes", "no", "null", "~", "0o14", "012", "1e3", "0x1f", "1_000", "12:30:45", "2026-11-22", ".inf", ".nan", "=",
    "rules:", "stories:", "nlu:", "responses:", "nlu: - intent: x", "---", "...", "--- x", "<b>bold</b>", "&amp;",
    "<script>alert(1)</script>", "<!-- x -->", "😀", "👨‍👩‍👧", "🇬🇧", "مرحبا", "שלום", "\u200f", "\u202e", "\u200b", "żółć",
    "ß", "e\u0301", "\u00a0", "日本語", "a  b", "\t", "x" * 3000, "word " * 600, "\ufeff", "\x7f", "\x85", "\u2028", "\u2029",
    "\ufffe", "\x0b", "\x1b[31m", "\x00", "plain words", "Call [P101].", "P1, P2", "'", '"', "''", '\\"',
)  # fmt: skip
LINES: Final = (
    "\n",
    "\n\n",
    "\n\n\n",
    "\r\n",
    " \n",
    "\n ",
    "\n\t",
    "\nrules: x\n",
    "\n  stories:\n",
    "\n\u00a0nlu:\n",
    "\n# x\n",
)
_MARKS: Final = ("](", "]{", "][")


def odd_text(random_: random.Random, *, lines: bool = True) -> str:
    """A text of some odd parts."""
    parts = []
    for _ in range(random_.randint(1, 6)):
        parts.append(random_.choice(PARTS))
        parts.append(random_.choice((*LINES, " ", "") if lines else (" ", "", "  ")))
    return "".join(parts)


def odd_phrase(random_: random.Random) -> str:
    """A training phrase that Rasa can take: on one line, with words, without marks of entities."""
    while True:
        text = " ".join(odd_text(random_, lines=False).replace("\x00", "").split())
        if text.strip(" -") and not any(mark in text for mark in _MARKS):
            return text


def odd_body(random_: random.Random) -> dict[str, Any]:
    """What a release holds of an answer, with odd texts wherever there is a text."""
    body: dict[str, Any] = {
        "title": odd_text(random_, lines=False),
        "group": odd_text(random_, lines=False),
        "owner": "Desk",
        "mode": random_.choice("AHE"),
        "contacts": [odd_text(random_, lines=False) for _ in range(random_.randint(0, 3))],
        "source": [],
        "last_checked": "2026-11-22",
        "review_by": "2027-05-22",
        "answer": odd_text(random_),
        # Rasa learns a phrase that stands twice once.
        "examples": list(dict.fromkeys(odd_phrase(random_) for _ in range(random_.randint(1, 12)))),
    }
    if random_.random() < 0.3:
        body["note"] = odd_text(random_)
    return body


def odd_answers(seed: int, count: int) -> list[Faq]:
    """That many answers; the same for the same seed."""
    random_ = random.Random(seed)
    return [faq_from(f"odd-{number}", odd_body(random_)) for number in range(count)]


def main(folder: Path, seed: int, count: int) -> None:
    """Write answers and what they hold."""
    (folder / "faq").mkdir()
    expected = {}
    for faq in odd_answers(seed, count):
        path = folder / "faq" / f"{faq.slug}.yml"
        path.write_bytes(faq_file(faq, path))
        body = {key: value for key, value in faq.body.items() if key != "examples"}
        expected[faq.slug] = {"metadata": body, "answer": faq.answer, "examples": faq.body["examples"]}
    (folder / "expected.json").write_text(json.dumps(expected), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
