"""The figures of the last accepted model, and what changed since: `recall.json`.

A change of phrases, examples or code that lets more urgent messages through must be somebody's
decision. `make evaluate ARGS=--accept` writes the file anew; its difference is what a reviewer reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.understanding.figures import Report, Share, short
from bot.errors import ContentError

PATH: Final = Path(__file__).parent / "recall.json"
GATED: Final = ("P1", "P2")
"""Grades whose recall must not fall."""
ACCEPT: Final = "make evaluate ARGS=--accept"
_NAMES: Final = {"together": "both nets together", "screen": "the screen alone"}

Missed = Mapping[str, Mapping[str, Sequence[str]]]
"""Net ("together", "screen"), then grade: the messages that were not escalated."""


@dataclass(frozen=True, slots=True)
class Change:
    """One net's recall of one grade, before and now."""

    net: str
    grade: str
    before: Share
    now: Share
    newly_missed: tuple[str, ...]
    newly_caught: tuple[str, ...]

    @property
    def fell(self) -> bool:
        """Whether fewer are caught than were accepted."""
        return self.now.count < self.before.count

    def __str__(self) -> str:
        """For people: the figures, then each message that changed sides."""
        verb = "fell" if self.fell else "rose" if self.now.count > self.before.count else "is as it was"
        lines = [
            f"{self.grade}, {_NAMES[self.net]}: {verb}, {short(self.before)} before, {short(self.now)} now"
        ]
        lines += [f"  newly missed: {text}" for text in self.newly_missed]
        lines += [f"  newly caught: {text}" for text in self.newly_caught]
        return "\n".join(lines)


def missed_of(report: Report) -> dict[str, dict[str, list[str]]]:
    """What the accepted figures keep of a report: the messages that each net let through."""
    return {net: {grade: sorted(report.missed[net][grade]) for grade in GATED} for net in _NAMES}


def accept(report: Report, digest: str, path: Path = PATH) -> None:
    """Write the figures of this model as the accepted ones."""
    kept = {
        "held_out": digest,
        "figures": {figure.key: figure.share.as_json() for figure in report.figures},
        "messages": {grade: report.recall[grade]["together"].n for grade in GATED},
        "missed": missed_of(report),
    }
    path.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", "utf-8")


def accepted(digest: str, path: Path = PATH) -> dict[str, Any]:
    """The accepted figures of this held-out set.

    Raises:
        ContentError: there are none, or they are of another set.
    """
    try:
        kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ContentError(f"{path.name} cannot be read. Run `{ACCEPT}` to write it anew.") from error
    if kept.get("held_out") != digest:
        raise ContentError(f"The held-out set is not the one of {path.name}. Run `{ACCEPT}` and review it.")
    return kept


def changes(kept: Mapping[str, Any], missed: Missed) -> list[Change]:
    """How each net's recall of each grade differs from the accepted one."""
    found = []
    for net in _NAMES:
        for grade in GATED:
            n = int(kept["messages"][grade])
            before, now = set(kept["missed"][net][grade]), set(missed[net][grade])
            found.append(
                Change(
                    net, grade, Share(n - len(before), n), Share(n - len(now), n),
                    tuple(sorted(now - before)), tuple(sorted(before - now)),
                )
            )  # fmt: skip
    return found
