"""The evaluation as one HTML file: plain, readable without scripts, by keyboard and by screen reader."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.understanding.figures import Figure, Report, Table, percent

_STYLE: Final = """
body { font: 1.1875rem/1.35 Arial, sans-serif; color: #0b0c0c; background: #fff; margin: 0; }
main { max-width: 70rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 2rem; } h2 { font-size: 1.5rem; margin-top: 2.5rem; }
a { color: #1d70b8; } a:focus, [tabindex]:focus { outline: 3px solid #fd0; background: #fd0; color: #0b0c0c; }
.skip { position: absolute; left: -999rem; } .skip:focus { position: static; }
.scroll { overflow-x: auto; margin-bottom: 2rem; }
.scroll:focus { background: none; outline: 3px solid #0b0c0c; }
table { border-collapse: collapse; width: 100%; font-size: 1rem; }
caption { text-align: left; font-weight: bold; font-size: 1.1875rem; padding: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #b1b4b6; overflow-wrap: break-word; min-width: 4rem; }
.met { color: #005a30; font-weight: bold; } .not-met { color: #942514; font-weight: bold; }
figure { margin: 0 0 2rem; } img { max-width: 100%; height: auto; }
"""

_GROUPS: Final[Sequence[tuple[str, str, Sequence[str]]]] = (
    ("recall", "Nobody in danger missed",
     ("recall_by_grade", "recall_by_category", "grades", "missed_P1", "missed_P2", "too_low")),
    ("alarms", "False alarms",
     ("near_misses", "near_escalated", "ordinary_P1", "faq_urgent")),
    ("answers", "Answers", ("faq_wrong", "confusions", "out_answered", "intents")),
    ("calibration", "How far a confidence can be believed", ("calibration",)),
    ("writers", "How people write", ("pairs", "pairs_failing")),
    ("dialogues", "Dialogues", ("dialogues",)),
)  # fmt: skip
_PICTURES: Final = {
    "recall_by_grade": "Recall by grade for the screen alone, the understanding alone and both. The table below holds the same figures.",
    "recall_by_category": "Recall by category for the screen alone, the understanding alone and both. The table below holds the same figures.",
    "calibration": "Share of right first choices by confidence, beside the diagonal. The table below holds the same figures.",
    "pairs": "Points that each group of writers lies above or below standard English. The table below holds the same figures.",
}


def page(report: Report, facts: Mapping[str, str], pictures: Mapping[str, str], moment: str) -> str:
    """The whole file.

    Args:
        report: what was counted.
        facts: more to know, as name and value.
        pictures: SVG texts by key of the table that they stand above; may be empty.
        moment: when it was made, for people.
    """
    tables = {**report.tables, **report.mistakes}
    parts = [_targets(report), _facts(report, facts)]
    contents = ['<li><a href="#targets">Targets</a></li>']
    for key, title, names in _GROUPS:
        contents.append(f'<li><a href="#{key}">{html.escape(title)}</a></li>')
        parts.append(f'<h2 id="{key}">{html.escape(title)}</h2>')
        for name in names:
            if name in _PICTURES and pictures.get(name):
                parts.append(_picture(pictures[name], _PICTURES[name]))
            if name in tables:
                parts.append(_table(f"table-{name}", tables[name]))
    whole = (
        '<!DOCTYPE html>\n<html lang="en-GB"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Understanding, measured</title><style>{_STYLE}</style></head><body>"
        '<a class="skip" href="#main">Skip to the report</a><main id="main">'
        f"<h1>Understanding, measured</h1><p>Made {html.escape(moment)}, on the held-out set, through "
        "the code that serves the public. Bounds are Wilson’s, 95 %.</p>"
        f'<nav aria-label="Contents"><ul>{"".join(contents)}</ul></nav>{"".join(parts)}</main></body></html>\n'
    )
    return whole.replace(" %", "\u00a0%")


def verdict(figure: Figure) -> str:
    """Whether a target is met, in words."""
    return {True: "met", False: "not met", None: "–"}[figure.is_met]


def wanted(figure: Figure) -> str:
    """A target in words."""
    if figure.target is None:
        return "–"
    return f"{'at least' if figure.wants == 'least' else 'at most'} {percent(figure.target)}"


def _targets(report: Report) -> str:
    rows = []
    for figure in report.figures:
        lower, upper = figure.share.bounds
        known = bool(figure.share.n)
        mark = {True: "met", False: "not-met", None: ""}[figure.is_met]
        rows.append(
            f'<tr><th scope="row">{html.escape(figure.title)}</th>'
            f"<td>{percent(figure.share.value)}</td><td>{figure.share.count} of {figure.share.n}</td>"
            f"<td>{percent(lower) if known else '–'}</td><td>{percent(upper) if known else '–'}</td>"
            f'<td>{wanted(figure)}</td><td class="{mark}">{verdict(figure)}</td></tr>'
        )
    heads = ("Figure", "Measured", "Counted", "Lower bound", "Upper bound", "Target", "Target met")
    return '<h2 id="targets">Targets</h2>' + _framed(
        "table-targets", "What was measured, and what must be shown", heads, "".join(rows)
    )


def _facts(report: Report, facts: Mapping[str, str]) -> str:
    rows = [("Expected calibration error", f"{report.ece:.3f}"), *facts.items()]
    body = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(value)}</td></tr>'
        for name, value in rows
    )
    return _framed("table-facts", "More to know", ("What", "Value"), body)


def _table(identity: str, table: Table) -> str:
    if not table.rows:
        return f"<p><b>{html.escape(table.caption)}</b>: none.</p>"
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row">{html.escape(cell)}</th>' if place == 0 else f"<td>{html.escape(cell)}</td>"
            for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in table.rows
    )
    return _framed(identity, table.caption, [head or "Group" for head in table.heads], body)


def _framed(identity: str, caption: str, heads: Sequence[str], body: str) -> str:
    """A table that scrolls by itself on a narrow screen, which then needs the keyboard's focus."""
    columns = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in heads)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{identity}"><table>'
        f'<caption id="{identity}">{html.escape(caption)}</caption>'
        f"<thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _picture(svg: str, alternative: str) -> str:
    data = base64.b64encode(svg.encode()).decode()
    return f'<figure><img alt="{html.escape(alternative)}" src="data:image/svg+xml;base64,{data}"></figure>'
