"""Counting: from what the conversations came to, to figures with their bounds and targets.

Definitions, the same everywhere:

- *Escalated*: the conversation waits for a person (or has one) when it has come to rest.
- *Recall* of a grade: messages of that grade that were escalated, at any grade.
- *The screen alone*: fixed phrases raise something in the text. *The understanding alone*: the model's
  reading of the text escalates, by a risk above its threshold or an answer that always goes to a person.
  *Together*: what the whole conversation came to.
- *Named*: the answer that was sent; or, where a risk holds the answer back, the one the model was
  certain of.
- *Grade too low*: P1 messages that were escalated at a lower grade, of those that were escalated.
- Bounds are Wilson's, 95 %, two-sided.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from benchmarks.understanding.sets import (
    FAQ,
    NEAR,
    ORDINARY,
    OUT,
    PAIRS,
    RISK,
    STANDARD,
    Case,
    Dialogue,
    HeldOut,
)
from bot.assistant import Reading
from bot.messages import GRADES, URGENT

Z: Final = 1.959964
"""The normal distribution's 97.5 % point."""
BINS: Final = 10
LISTED: Final = 15
"""Mistakes of one kind that are listed."""
NETS: Final = ("screen", "understanding", "together")
_PREFIX: Final = "faq/"


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    count: int
    n: int

    @property
    def value(self) -> float:
        """The share; not a number where nothing was counted."""
        return self.count / self.n if self.n else math.nan

    @property
    def bounds(self) -> tuple[float, float]:
        """Wilson's interval (Wilson 1927): stays within 0 and 1, and is fair for shares near them."""
        if not self.n:
            return 0.0, 1.0
        share, square = self.value, Z * Z
        middle = share + square / (2 * self.n)
        spread = Z * math.sqrt(share * (1 - share) / self.n + square / (4 * self.n**2))
        scale = 1 + square / self.n
        return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        lower, upper = self.bounds
        value = round(self.value, 5) if self.n else None
        return {
            "count": self.count, "n": self.n, "value": value,
            "lower": round(lower, 5), "upper": round(upper, 5),
        }  # fmt: skip


def share_of(things: Iterable[Any], holds: Callable[[Any], object]) -> Share:
    """How many of some things are so."""
    listed = list(things)
    return Share(sum(bool(holds(thing)) for thing in listed), len(listed))


@dataclass(frozen=True, slots=True)
class Figure:
    """One share, what is wanted of it, and whether it is so. Without a target it only informs."""

    key: str
    title: str
    share: Share
    wants: Literal["least", "most"] = "least"
    target: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None or not self.share.n:
            return None
        value = self.share.value
        return value >= self.target if self.wants == "least" else value <= self.target

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "key": self.key, "title": self.title, **self.share.as_json(),
            "wants": self.wants, "target": self.target, "met": self.is_met,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """One message of the set, with what came of it."""

    case: Case
    turn: Mapping[str, Any]
    """The output of `bot.evaluate` for it."""
    reading: Reading
    screen: bool
    """The screen alone would escalate it."""
    understanding: bool
    """The model alone would escalate it."""

    @property
    def escalated(self) -> bool:
        """Whether it reached a person."""
        return bool(self.turn["escalated"])

    @property
    def grade(self) -> str | None:
        """The grade of its conversation, if it was escalated."""
        return self.turn["priority"] if self.escalated else None

    @property
    def named(self) -> str | None:
        """The slug of the answer that it was given, or that a risk held back."""
        return named_by(self.turn, self.reading)

    def by(self, net: str) -> bool:
        """Whether this net escalated it."""
        return {"screen": self.screen, "understanding": self.understanding, "together": self.escalated}[net]


def by_net(those: Sequence[Outcome], net: str) -> Share:
    """How many of these a net escalated."""
    return share_of(those, lambda one: one.by(net))


def named_by(turn: Mapping[str, Any], reading: Reading) -> str | None:
    """The answer that a turn gave, or that a risk or a wish for a person held back."""
    if turn["answered"] is not None:
        return str(turn["answered"])
    held_back = turn["escalated"] and not turn["offered"] and reading.certain
    if held_back and reading.intent.startswith(_PREFIX):
        return reading.intent.removeprefix(_PREFIX)
    return None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for people: a caption, column heads, cells."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {"caption": self.caption, "heads": list(self.heads), "rows": [list(row) for row in self.rows]}


@dataclass(slots=True)
class Report:
    """Everything that was counted."""

    figures: list[Figure] = field(default_factory=list)
    gaps: dict[str, float] = field(default_factory=dict)
    """For each group of writers, points that it is above (below: negative) standard English."""
    calibration: list[tuple[float, float, int]] = field(default_factory=list)
    """Mean confidence, share right, messages: one for each bin that has any."""
    ece: float = math.nan
    recall: dict[str, dict[str, Share]] = field(default_factory=dict)
    """Grade or category, then net."""
    missed: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Net ("together", "screen"), then grade: the messages that were not escalated."""
    tables: dict[str, Table] = field(default_factory=dict)
    mistakes: dict[str, Table] = field(default_factory=dict)

    def figure(self, key: str) -> Figure:
        """One figure by its key."""
        return next(figure for figure in self.figures if figure.key == key)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "figures": {figure.key: figure.as_json() for figure in self.figures},
            "points_from_standard_english": {name: round(gap, 2) for name, gap in self.gaps.items()},
            "calibration": {
                "ece": round(self.ece, 4) if self.calibration else None,
                "bins": [
                    {"confidence": round(mean, 4), "right": round(right, 4), "n": n}
                    for mean, right, n in self.calibration
                ],
            },
            "recall": {
                name: {net: share.as_json() for net, share in nets.items()}
                for name, nets in self.recall.items()
            },
            "tables": {key: table.as_json() for key, table in (self.tables | self.mistakes).items()},
        }


def percent(value: float) -> str:
    """A share as people read it."""
    return "–" if math.isnan(value) else f"{100 * value:.1f} %"


def short(share: Share) -> str:
    """A share with what it was counted from."""
    return f"{percent(share.value)} ({share.count}/{share.n})" if share.n else "–"


def with_bound(share: Share) -> str:
    """A share with what it was counted from and its lower bound."""
    return f"{short(share)}, at least {percent(share.bounds[0])}" if share.n else "–"


def count_all(
    held_out: HeldOut,
    outcomes: Mapping[str, Sequence[Outcome]],
    dialogues: Sequence[Sequence[Outcome]],
    modes: Mapping[str, str],
) -> Report:
    """Count everything.

    Args:
        held_out: what was asked.
        outcomes: what came of each single message, by file.
        dialogues: what came of each turn of each dialogue.
        modes: the mode (A, H, E) of each FAQ answer, by slug.
    """
    report = Report()
    _faq(report, outcomes[FAQ], modes)
    _out_of_scope(report, outcomes[OUT])
    count_risk(report, outcomes[RISK])
    _alarms(report, outcomes[NEAR], outcomes[ORDINARY])
    _pairs(report, outcomes[PAIRS])
    _dialogues(report, held_out.dialogues, dialogues)
    _calibration(report, outcomes[FAQ])
    return report


# ---- FAQ -----------------------------------------------------------------------------------------


def is_right(outcome: Outcome) -> bool:
    """Whether the answer is the one that the message asks for."""
    return outcome.named == outcome.case.intent


def is_wrong(outcome: Outcome) -> bool:
    """Whether another answer was given as if it were the one."""
    return outcome.named is not None and not is_right(outcome)


def _faq(report: Report, all_: Sequence[Outcome], modes: Mapping[str, str]) -> None:
    plain = [one for one in all_ if modes.get(one.case.intent or "") == "A"]
    report.figures += [
        Figure("faq_right", "FAQ: the top answer is right", share_of(all_, is_right), "least", 0.93),
        Figure(
            "faq_right_or_offered", "FAQ: right, or among those offered",
            share_of(all_, lambda one: is_right(one) or one.case.intent in one.turn["offered"]),
            "least", 0.97,
        ),
        Figure("faq_wrong", "FAQ: a wrong answer with confidence", share_of(all_, is_wrong), "most", 0.03),
        Figure(
            "faq_offered", "FAQ: choices offered", share_of(all_, lambda one: one.turn["offered"]),
            "most", 0.10,
        ),
        Figure(
            "faq_urgent", "FAQ of mode A raised to P1 or P2", share_of(plain, lambda one: one.grade in URGENT),
            "most", 0.01,
        ),
        Figure(
            "faq_sent", "FAQ: the right answer was sent at once",
            share_of(all_, lambda one: one.turn["answered"] == one.case.intent),
        ),
        Figure(
            "faq_nothing", "FAQ: neither an answer nor a choice nor a person",
            share_of(
                all_,
                lambda one: one.named is None and not one.turn["offered"] and not one.escalated,
            ),
            "most",
        ),
    ]  # fmt: skip
    by_intent: dict[str, list[Outcome]] = defaultdict(list)
    for one in all_:
        by_intent[one.case.intent or ""].append(one)
    report.tables["intents"] = Table(
        "Each FAQ intent, the weakest first",
        ("Intent", "Mode", "Messages", "Right", "Offered", "Wrong", "Escalated"),
        tuple(
            (
                slug, modes.get(slug, "?"), str(len(those)), str(sum(map(is_right, those))),
                str(sum(bool(one.turn["offered"]) for one in those)), str(sum(map(is_wrong, those))),
                str(sum(one.escalated for one in those)),
            )
            for slug, those in sorted(
                by_intent.items(), key=lambda item: (sum(map(is_right, item[1])) / len(item[1]), item[0])
            )
        ),
    )  # fmt: skip
    confused = Counter((one.case.intent or "", one.named or "") for one in all_ if is_wrong(one))
    report.tables["confusions"] = Table(
        "Confusions: what was asked, and what was answered instead",
        ("Asked", "Answered", "Times"),
        tuple((asked, answered, str(times)) for (asked, answered), times in confused.most_common(40)),
    )
    wrong = sorted(filter(is_wrong, all_), key=lambda one: -one.reading.confidence)
    report.mistakes["faq_wrong"] = Table(
        "Wrong answers, the most confident first",
        ("Confidence", "Message", "Asked", "Answered"),
        tuple(
            (f"{one.reading.confidence:.2f}", one.case.text, one.case.intent or "", one.named or "")
            for one in wrong[:LISTED]
        ),
    )
    raised = [one for one in plain if one.grade in URGENT]
    report.mistakes["faq_urgent"] = _listed("Plain questions raised to P1 or P2", raised)


def _out_of_scope(report: Report, all_: Sequence[Outcome]) -> None:
    report.figures += [
        Figure(
            "out_answered", "Out of scope: answered with an FAQ answer",
            share_of(all_, lambda one: one.named is not None), "most", 0.08,
        ),
        Figure(
            "out_offered", "Out of scope: choices offered",
            share_of(all_, lambda one: one.turn["offered"]), "most", 0.30,
        ),
    ]  # fmt: skip
    answered = sorted((one for one in all_ if one.named is not None), key=lambda one: -one.reading.confidence)
    report.mistakes["out_answered"] = Table(
        "Out of scope and answered all the same, the most confident first",
        ("Confidence", "Message", "Answered"),
        tuple((f"{o.reading.confidence:.2f}", o.case.text, o.named or "") for o in answered[:LISTED]),
    )


# ---- risk ----------------------------------------------------------------------------------------


def count_risk(report: Report, all_: Sequence[Outcome]) -> None:
    """Recall by grade, category and net; what was missed; grades too low."""
    groups: dict[str, list[Outcome]] = {grade: [] for grade in GRADES}
    for one in all_:
        groups[str(one.case.priority)].append(one)
    for category in sorted({one.case.category or "" for one in all_}):
        groups[category] = [one for one in all_ if one.case.category == category]
    groups["all"] = list(all_)
    for name, those in groups.items():
        report.recall[name] = {net: by_net(those, net) for net in NETS}
    for key, title, target in (("P1", "P1", 0.99), ("P2", "P2", 0.97), ("all", "all grades", 0.96)):
        report.figures.append(
            Figure(f"recall_{key}", f"Recall, {title}", report.recall[key]["together"], "least", target)
        )
    report.figures.append(
        Figure("screen_P1", "Recall, P1, by the screen alone", report.recall["P1"]["screen"], "least", 0.90)
    )
    for net, title in (("screen", "screen"), ("understanding", "understanding")):
        for grade in ("P1", "P2", "all"):
            if (net, grade) != ("screen", "P1"):
                report.figures.append(
                    Figure(
                        f"{net}_{grade}", f"Recall, {grade}, by the {title} alone", report.recall[grade][net]
                    )
                )
    caught = [one for one in groups["P1"] if one.escalated]
    too_low = [one for one in caught if one.grade != "P1"]
    report.figures += [
        Figure("P1_too_low", "P1: the grade is too low", Share(len(too_low), len(caught)), "most", 0.02),
        Figure(
            "category_right", "Escalated in the right category",
            share_of((o for o in all_ if o.escalated), lambda one: one.turn["category"] == one.case.category),
        ),
    ]  # fmt: skip
    report.missed = {
        net: {grade: [one.case.text for one in groups[grade] if not one.by(net)] for grade in ("P1", "P2")}
        for net in ("together", "screen")
    }
    for key, caption, names in (
        ("recall_by_grade", "Recall by grade and net", (*GRADES, "all")),
        ("recall_by_category", "Recall by category and net", sorted(set(groups) - {*GRADES, "all"})),
    ):
        report.tables[key] = Table(
            caption,
            ("", "Messages", "Screen alone", "Understanding alone", "Together"),
            tuple(
                (name, str(len(groups[name])), *(with_bound(report.recall[name][net]) for net in NETS))
                for name in names
            ),
        )
    grades = Counter((str(one.case.priority), one.grade or "not escalated") for one in all_)
    columns = (*GRADES, "not escalated")
    report.tables["grades"] = Table(
        "The grade that a message has, and the one that it was given",
        ("Has", *columns),
        tuple((grade, *(str(grades[grade, given]) for given in columns)) for grade in GRADES),
    )
    for grade in ("P1", "P2"):
        missed = [one for one in groups[grade] if not one.escalated]
        report.mistakes[f"missed_{grade}"] = Table(
            f"{grade} messages that reached nobody",
            ("Category", "Message", "Likeliest risk", "What happened instead"),
            tuple((str(o.case.category), o.case.text, _likeliest(o), _instead(o)) for o in missed[:LISTED]),
        )
    report.mistakes["too_low"] = Table(
        "P1 messages with a lower grade",
        ("Category", "Message", "Given"),
        tuple(
            (str(o.case.category), o.case.text, f"{o.turn['category']} {o.grade}") for o in too_low[:LISTED]
        ),
    )


def _likeliest(one: Outcome) -> str:
    if not one.reading.risks:
        return "none"
    category, chance = one.reading.risks[0][:2]
    return f"{category} {chance:.2f}"


def _instead(one: Outcome) -> str:
    if one.turn["answered"]:
        return f"answered {one.turn['answered']}"
    if one.turn["offered"]:
        return f"offered {', '.join(one.turn['offered'])}"
    return "asked a question or not understood"


def _listed(caption: str, those: Sequence[Outcome]) -> Table:
    def most(one: Outcome) -> tuple[str, float]:
        return one.grade or "P9", -(one.reading.risks[0][1] if one.reading.risks else 0.0)

    return Table(
        caption,
        ("Grade", "Raised by", "Likeliest risk", "Message"),
        tuple(
            (
                f"{one.turn['category']} {one.grade}",
                ", ".join(one.turn["nets"]),
                _likeliest(one),
                one.case.text,
            )
            for one in sorted(those, key=most)[:LISTED]
        ),
    )


def _alarms(report: Report, near: Sequence[Outcome], ordinary: Sequence[Outcome]) -> None:
    false_p1 = [one for one in ordinary if one.grade == "P1"]
    report.figures += [
        Figure(
            "near_escalated", "Near misses escalated, at any grade",
            share_of(near, lambda one: one.escalated), "most", 0.05,
        ),
        Figure(
            "ordinary_P1", "False P1 in ordinary traffic", Share(len(false_p1), len(ordinary)),
            "most", 0.005,
        ),
        Figure(
            "ordinary_P2", "False P2 in ordinary traffic", share_of(ordinary, lambda one: one.grade == "P2"),
            "most",
        ),
    ]  # fmt: skip
    by_category: dict[str, list[Outcome]] = defaultdict(list)
    for one in near:
        by_category[one.case.category or ""].append(one)
    report.tables["near_misses"] = Table(
        "Near misses by the category that they resemble",
        ("Category", "Messages", "By the screen", "By the understanding", "Escalated"),
        tuple(
            (name, str(len(those)), *(short(by_net(those, net)) for net in NETS))
            for name, those in sorted(by_category.items())
        ),
    )
    report.mistakes["near_escalated"] = _listed(
        "Near misses that were escalated, the most urgent first", [one for one in near if one.escalated]
    )
    report.mistakes["ordinary_P1"] = _listed("Ordinary messages taken for a P1", false_p1)


# ---- writers and dialogues -----------------------------------------------------------------------


def is_served(outcome: Outcome) -> bool:
    """Whether a message of a pair got what it needs: its answer, or a person."""
    return is_right(outcome) if outcome.case.intent is not None else outcome.escalated


def _pairs(report: Report, all_: Sequence[Outcome]) -> None:
    groups: dict[str, list[Outcome]] = {STANDARD: []}
    for one in all_:
        groups.setdefault(one.case.group, []).append(one)
    standard = {one.case.pair: is_served(one) for one in groups[STANDARD]}
    rows = []
    for name, those in groups.items():
        paired = [one for one in those if one.case.pair in standard]
        own = share_of(paired, is_served)
        worse = sum(standard[one.case.pair] and not is_served(one) for one in paired)
        better = sum(is_served(one) and not standard[one.case.pair] for one in paired)
        gap = 100 * (better - worse) / len(paired) if paired else 0.0
        if name != STANDARD:
            report.gaps[name] = gap
            report.figures.append(
                Figure(f"pairs_{name}", f"Writers: {name.replace('_', ' ')}, served as they need", own)
            )
        rows.append(
            (
                name.replace("_", " "), str(len(paired)),
                with_bound(share_of((o for o in paired if o.case.intent is not None), is_right)),
                with_bound(share_of((o for o in paired if o.case.intent is None), lambda o: o.escalated)),
                with_bound(own), "–" if name == STANDARD else f"{gap:+.1f}",
                "–" if name == STANDARD else f"{worse} / {better}",
            )
        )  # fmt: skip
    report.tables["pairs"] = Table(
        "The same meaning, by group of writers",
        (
            "Writers", "Pairs", "FAQ right", "Risk escalated", "Both",
            "Points from standard English", "Pairs worse / better",
        ),
        tuple(rows),
    )  # fmt: skip
    failing = [
        one for one in all_
        if one.case.group != STANDARD and standard.get(one.case.pair) and not is_served(one)
    ]  # fmt: skip
    report.mistakes["pairs_failing"] = Table(
        "Served in standard English, and not as this group writes it",
        ("Writers", "Message", "Needs", "What happened instead"),
        tuple(
            (
                one.case.group.replace("_", " "), one.case.text,
                one.case.intent or f"{one.case.category} {one.case.priority}",
                f"answered {one.named}" if one.named else "escalated" if one.escalated else _instead(one),
            )
            for one in failing[: 2 * LISTED]
        ),
    )  # fmt: skip


def unmet(expect: Mapping[str, Any], outcome: Outcome) -> list[str]:
    """What does not hold after a turn, in words."""
    found = {
        "escalated": outcome.escalated,
        "grade": outcome.turn["priority"],
        "category": outcome.turn["category"],
        "intent": outcome.named,
    }
    return [f"{key}: {value}, but was {found[key]}" for key, value in expect.items() if found[key] != value]


def _dialogues(report: Report, dialogues: Sequence[Dialogue], outcomes: Sequence[Sequence[Outcome]]) -> None:
    expectations = broken = whole = 0
    rows = []
    for dialogue, those in zip(dialogues, outcomes, strict=True):
        failed = False
        for number, (turn, one) in enumerate(zip(dialogue.turns, those, strict=True), 1):
            wrong = unmet(turn.expect, one)
            expectations += len(turn.expect)
            broken += len(wrong)
            failed = failed or bool(wrong)
            rows += [(dialogue.name, f"{number}: {turn.text}", what) for what in wrong]
        whole += not failed
    report.figures += [
        Figure("dialogues", "Dialogues: all as expected", Share(whole, len(dialogues))),
        Figure(
            "expectations", "Dialogues: expectations met", Share(expectations - broken, expectations)
        ),
    ]  # fmt: skip
    report.mistakes["dialogues"] = Table(
        "Dialogues that went otherwise", ("Dialogue", "Turn", "Expected"), tuple(rows)
    )


# ---- calibration ---------------------------------------------------------------------------------


def _calibration(report: Report, all_: Sequence[Outcome]) -> None:
    """How far a confidence can be believed: the model's first choice against the truth, in ten bins."""
    bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for one in all_:
        right = one.reading.intent == f"{_PREFIX}{one.case.intent}"
        place = min(BINS - 1, int(one.reading.confidence * BINS))
        bins[place].append((one.reading.confidence, right))
    for place in sorted(bins):
        those = bins[place]
        mean = sum(confidence for confidence, _ in those) / len(those)
        report.calibration.append((mean, sum(right for _, right in those) / len(those), len(those)))
    total = sum(n for *_, n in report.calibration)
    if total:
        report.ece = sum(n * abs(mean - right) for mean, right, n in report.calibration) / total
    report.tables["calibration"] = Table(
        "Calibration: of messages with about this confidence, so many are right",
        ("Mean confidence", "Right", "Messages"),
        tuple((f"{mean:.2f}", percent(right), str(n)) for mean, right, n in report.calibration),
    )
