"""How much the screen alone finds in the training messages, and where it raises a false alarm.

    .venv/bin/python scripts/screen_figures.py [--by-category] [--missed P1] [--raised harmless]

Reads `data/risk/`, `data/nlu/` and `data/faq/` only: the held-out sets measure, they are not read here.
A message of a grade counts as found at any grade; "too low" is the share found at a lower one.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bot.messages import GRADES  # noqa: E402
from bot.safety import Screen  # noqa: E402

URGENT: Final = ("P1", "P2")
_LABEL: Final = re.compile(r"\[([^\]]*)\][({][^)}]*[)}]")


@dataclass(slots=True)
class Tally:
    """What became of one kind of message."""

    messages: int = 0
    grades: Counter[str] = field(default_factory=Counter)
    texts: list[tuple[str, str]] = field(default_factory=list)
    """Text, and the words that fired or nothing."""

    def take(self, text: str, grade: str | None, why: str) -> None:
        """Count one message."""
        self.messages += 1
        if grade is not None:
            self.grades[grade] += 1
        self.texts.append((text, f"{grade} {why}" if grade else ""))

    def share(self, grades: Sequence[str] = GRADES) -> float:
        """Per cent raised at one of these grades."""
        return 100 * sum(self.grades[grade] for grade in grades) / max(self.messages, 1)


def messages(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """The examples of a file of training data, each with its block's metadata."""
    for block in yaml.safe_load(path.read_text("utf-8"))["nlu"]:
        for line in str(block.get("examples", "")).splitlines():
            if line.strip().startswith("- "):
                yield block.get("metadata") or {}, _LABEL.sub(r"\1", line.strip()[2:])


def tallies(screen: Screen) -> dict[str, Tally]:
    """All kinds: grades and categories of risk, harmless messages, questions by mode of answer."""
    found: dict[str, Tally] = {}

    def take(kinds: Sequence[str], text: str) -> None:
        worst = screen.check(text).worst
        why = "" if worst is None else f"{worst.rule.split(':')[0]} {' '.join(worst.words)}"
        for kind in kinds:
            found.setdefault(kind, Tally()).take(text, None if worst is None else worst.priority, why)

    for path in sorted((ROOT / "data" / "nlu").glob("*.yml")):
        kind = path.stem.split("_")[0]
        if kind not in ("risk", "harmless", "small", "out"):
            continue
        for data, text in messages(path):
            if kind == "risk":
                grade = data["grade"]
                take((f"risk {grade}", f"{path.stem.removeprefix('risk_')} {grade}"), text)
            else:
                take(("harmless" if kind == "harmless" else path.stem,), text)
    for path in sorted((ROOT / "data" / "faq").glob("*.yml")):
        for data, text in messages(path):
            take((f"faq {data.get('mode', '?')}",), text)
    return found


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--by-category", action="store_true", help="also every category and grade")
    arguments.add_argument("--missed", metavar="GRADE", help="list the risk messages that raise nothing")
    arguments.add_argument("--raised", metavar="KIND", help="list what is raised, e.g. harmless or 'faq A'")
    chosen = arguments.parse_args()
    found = tallies(Screen.load(ROOT / "data" / "risk"))
    print(f"{'':12} {'messages':>8} {'raised':>7} {'P1':>6} {'P1+P2':>6} {'too low':>8}")
    for kind, tally in sorted(found.items()):
        if re.match(r"R\d\d ", kind) and not chosen.by_category:
            continue
        low = "" if kind[-2:] not in GRADES else f"{tally.share([g for g in GRADES if g > kind[-2:]]):7.1f}%"
        print(
            f"{kind:12} {tally.messages:8} {tally.share():6.1f}% {tally.share(['P1']):5.1f}% "
            f"{tally.share(URGENT):5.1f}% {low:>8}"
        )
    if chosen.missed:
        for text, why in found[f"risk {chosen.missed}"].texts:
            if not why:
                print("missed:", text)
    if chosen.raised:
        for text, why in found[chosen.raised].texts:
            if why:
                print(f"{why} | {text}")


if __name__ == "__main__":
    main()
