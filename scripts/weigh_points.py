"""Work out the points of `data/risk/points.yml` from the training examples.

    .venv-assistant/bin/python scripts/weigh_points.py [--try]

Three linear models over the signs of `bot/safety/points.py`: danger or not, now or not, and which
category. `--try` only prints what each mark would do on examples that were left out of the fit, and
writes nothing. Reads `data/risk/`, `data/nlu/` and `data/faq/` only: the held-out sets measure.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import normalize

ROOT: Final = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from screen_figures import messages  # noqa: E402

from bot.safety import Screen  # noqa: E402
from bot.safety.points import MOST_SENTENCES, Scale, Sign, weigh  # noqa: E402

MARK: Final = 1.6
"""From this much a message is raised. Chosen on left-out examples: see `--try`."""
MARK_PHRASE: Final = 0.2
"""From this much a phrase of danger counts."""
MARK_SURE: Final = 2.0
"""From this much it is sure: what is less sure is P1 only where it is clearly now."""
MARK_NOW: Final = -1.0
"""From this much what is sure is P1: too high is cheaper than too low."""
MARK_PRESSING: Final = 0.8
"""From this much what is sure is P1 even where a phrase says P2."""
DANGERS: Final = frozenset({f"R{number:02}" for number in range(1, 13)} | {"R18"})
"""Categories in which somebody may be in danger now. The others have phrases only."""
URGENT: Final = ("P1", "P2")
SIGNS_KEPT: Final = 16_000
STRENGTH: Final = 20.0
"""How closely the points follow the examples (the inverse of the regularisation)."""
SEED: Final = 7
HEAD: Final = """\
# Words that add up: see bot/safety/points.py. Written by scripts/weigh_points.py from the training
# examples; change those and run it again. A sign is a plain word, two neighbours or a family of words.yml
# ("#c" is a figure from 2 to 17, "#n" any other), then its points for danger, for danger now, and the
# categories that it speaks for.
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One training message. `grade` is empty for one without danger."""

    text: str
    kind: str
    grade: str = ""
    category: str = ""


def cases(screen: Screen) -> Iterator[Case]:
    """Danger to somebody against what is calm. Answers to emergencies (mode E) belong to neither."""
    for path in sorted((ROOT / "data" / "nlu").glob("*.yml")):
        for data, text in messages(path):
            if path.stem.startswith("risk_"):
                category = path.stem.removeprefix("risk_")
                if data["grade"] not in URGENT:
                    yield Case(text, "calm")
                elif category in DANGERS:
                    yield Case(text, "risk", data["grade"], category)
            else:
                yield Case(text, "harmless" if path.stem.startswith("harmless") else "talk")
    for path in sorted((ROOT / "data" / "faq").glob("*.yml")):
        for data, text in messages(path):
            if data.get("mode") != "E":
                yield Case(text, f"faq {data.get('mode', 'A')}")
    for category in screen.categories.values():
        if category.id in DANGERS:
            yield from (Case(e.text, "risk", e.priority, category.id) for e in category.examples
                        if e.priority in URGENT)  # fmt: skip
        yield from (Case(text, "harmless") for text in category.near_misses)
    yield from (Case(text, "harmless") for text in screen.content.examples_of_nothing)
    yield from more_lines()


def more_lines() -> Iterator[Case]:
    """The lines of `lines*.yml`: what the training examples and the examples of the categories lack."""
    for path in sorted((ROOT / "data" / "risk").glob("lines*.yml")):
        lines = yaml.safe_load(path.read_text("utf-8"))
        for title, block in lines["risk"].items():
            category, grade = title.split()
            yield from (Case(text, "risk", grade, category) for text in block.splitlines())
        yield from (Case(text, "harmless") for text in lines["calm"].splitlines())


class Weigher:
    """Fits the points."""

    def __init__(self, screen: Screen, all_: Sequence[Case]) -> None:
        self._screen = screen
        self.pieces = {case.text: screen.pieces(case.text) for case in all_}

    def runs(self, case: Case) -> list[list[str]]:
        """What of a message is learnt from: danger as a whole; of what is calm also every part, since
        a message counts by its most alarming part."""
        pieces = self.pieces[case.text]
        whole = [sorted({sign for piece in pieces for sign, _ in piece})]
        if case.grade or len(pieces) < 2:
            return whole
        return whole + [
            sorted({sign for piece in pieces[start : start + length] for sign, _ in piece})
            for length in range(1, MOST_SENTENCES + 1)
            for start in range(len(pieces) - length + 1)
        ]

    def fit(self, learnt: Sequence[Case]) -> Scale:
        """The scale that these examples come to."""
        runs = [(case, run) for case in learnt for run in self.runs(case)]
        counts = CountVectorizer(analyzer=list, binary=True, min_df=2)
        matrix = normalize(counts.fit_transform([run for _, run in runs]))
        learnt = [case for case, _ in runs]
        danger = _model(matrix, [case.grade != "" for case in learnt], STRENGTH)
        at = [place for place, case in enumerate(learnt) if case.grade]
        now = _model(matrix[at], [learnt[place].grade == "P1" for place in at], 4.0)
        kinds = sorted({learnt[place].category for place in at})
        votes = np.stack([
            _model(matrix[at], [learnt[place].category == kind for place in at], 4.0).coef_[0]
            for kind in kinds
        ])  # fmt: skip
        weights = danger.coef_[0]
        kept = set(np.argsort(-np.abs(weights))[:SIGNS_KEPT])
        signs = {}
        for sign, place in counts.vocabulary_.items():
            if place not in kept:
                continue
            best = [k for k in np.argsort(-votes[:, place])[:5] if votes[k, place] > 0.1]
            if weights[place] <= 0:
                best = best[:1]
            signs[sign] = Sign(
                round(float(weights[place]), 2),
                round(float(now.coef_[0][place]), 2),
                {kinds[k]: round(float(votes[k, place]), 2) for k in best},
            )
        return Scale(
            signs,
            danger_base=float(danger.intercept_[0]),
            now_base=float(now.intercept_[0]),
            mark=MARK,
            mark_now=MARK_NOW,
            mark_phrase=MARK_PHRASE,
            mark_sure=MARK_SURE,
            mark_pressing=MARK_PRESSING,
        )


def _model(matrix: Any, truth: Sequence[bool], strength: float) -> Any:
    model = LogisticRegression(C=strength, class_weight="balanced", solver="liblinear", max_iter=300)
    return model.fit(matrix, np.array(truth))


def left_out(weigher: Weigher, all_: Sequence[Case]) -> None:
    """Print what each mark does on examples that the points have not seen."""
    strata = [f"{case.kind} {case.grade}" for case in all_]
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    found: list[tuple[Case, float, bool, str]] = []
    for learnt, tested in folds.split(strata, strata):
        scale = weigher.fit([all_[place] for place in learnt])
        low = replace(scale, mark=-9.0)
        for place in tested:
            one = weigh(low, weigher.pieces[all_[place].text])
            found.append((all_[place], one.score if one else -9.0, bool(one and one.is_now),
                          one.category if one else ""))  # fmt: skip
    names = sorted(set(strata))
    print(f"{'mark':>6}" + "".join(f"{name:>12}" for name in names) + "   (now)")
    for mark in (0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 3.0):
        line = f"{mark:6.2f}"
        for name in names:
            mine = [one for one, stratum in zip(found, [f"{o[0].kind} {o[0].grade}" for o in found],
                                                strict=True) if stratum == name]  # fmt: skip
            line += f"{100 * np.mean([one[1] >= mark for one in mine]):12.1f}"
        raised = [one for one in found if one[1] >= mark and one[0].grade]
        low_ = np.mean([not one[2] for one in raised if one[0].grade == "P1"])
        high = np.mean([one[2] for one in raised if one[0].grade == "P2"])
        right = np.mean([one[3] == one[0].category for one in raised])
        print(f"{line}   P1 as P2 {100 * low_:.1f}, P2 as P1 {100 * high:.1f}, category {100 * right:.1f}")


def write(scale: Scale) -> None:
    """Write points.yml."""
    lines = [
        " ".join([f"{sign} =", f"{points.danger:g}", f"{points.now:g}",
                  *(f"{category} {value:g}" for category, value in points.categories.items())])
        for sign, points in sorted(scale.signs.items())
    ]  # fmt: skip
    text = (
        f"{HEAD}danger_base: {scale.danger_base:.3f}\nnow_base: {scale.now_base:.3f}\n"
        f"mark: {scale.mark}\nmark_now: {scale.mark_now}\n"
        f"mark_phrase: {scale.mark_phrase}\nmark_sure: {scale.mark_sure}\n"
        f"mark_pressing: {scale.mark_pressing}\nsigns: |\n"
    )
    path = ROOT / "data" / "risk" / "points.yml"
    path.write_text(text + "".join(f"  {line}\n" for line in lines), encoding="utf-8")
    print(f"{len(lines)} signs, {path.stat().st_size // 1024} KB")


def main() -> None:
    """Fit and write, or try."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--try", dest="only_try", action="store_true", help="print, write nothing")
    chosen = arguments.parse_args()
    screen = Screen.load(ROOT / "data" / "risk")
    all_ = list(dict.fromkeys(cases(screen)))
    weigher = Weigher(screen, all_)
    if chosen.only_try:
        left_out(weigher, all_)
    else:
        write(weigher.fit(all_))


if __name__ == "__main__":
    main()
