"""How varied the training examples are, and whether the held-out set is really held out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import yaml

from benchmarks.understanding.sets import SINGLE, HeldOut

RUN: Final = 5
"""Words in a row that two examples must not share: templates would."""
SHORTEST: Final = 2
_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def words(text: str) -> tuple[str, ...]:
    """The words of a text, without case and marks."""
    return tuple(word.replace("’", "'") for word in _WORD.findall(text.casefold()))


def examples(data: Path) -> Iterator[str]:
    """Every example that the model learns from, of `data/faq` and `data/nlu`."""
    for folder in ("faq", "nlu"):
        for path in sorted((data / folder).glob("*.yml")):
            loaded = yaml.load(path.read_text("utf-8"), Loader=_LOADER)  # noqa: S506 - a safe loader
            for block in loaded.get("nlu", []):
                for line in str(block.get("examples", "")).splitlines():
                    if text := line.strip().removeprefix("- ").strip():
                        yield text


def shared_runs(texts: Iterable[str], length: int = RUN) -> tuple[int, int, list[tuple[str, str]]]:
    """How many texts hold a run of words that another has too, of how many, and what they share."""
    parted = [(text, words(text)) for text in texts]
    seen: Counter[tuple[str, ...]] = Counter()
    for _, own in parted:
        seen.update(set(_runs(own, length)))
    sharing = []
    for text, own in parted:
        run = next((run for run in _runs(own, length) if seen[run] > 1), None)
        if run is not None:
            sharing.append((" ".join(run), text))
    return len(sharing), len(parted), sorted(sharing)


def _runs(own: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    return (tuple(own[at : at + length]) for at in range(len(own) - length + 1))


def not_held_out(held_out: HeldOut, learned: Iterable[str]) -> list[str]:
    """The single messages of the held-out set that are training examples too; there must be none.

    One or two words ("thanks", "101 please") are what everybody writes: they are in both.
    """
    known = {words(text) for text in learned}
    return [
        case.text
        for name in SINGLE
        for case in held_out.single[name]
        if len(words(case.text)) > SHORTEST and words(case.text) in known
    ]


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
