"""The list of criteria is whole, and the statement does not claim more than it."""

from __future__ import annotations

import re

from bot.settings import ROOT

LIST = ROOT / "docs" / "accessibility" / "wcag-2.2-aa.md"
CRITERIA = (
    "1.1.1 1.2.1 1.2.2 1.2.3 1.2.4 1.2.5 1.3.1 1.3.2 1.3.3 1.3.4 1.3.5 1.4.1 1.4.2 1.4.3 1.4.4 1.4.5 1.4.10 "
    "1.4.11 1.4.12 1.4.13 2.1.1 2.1.2 2.1.4 2.2.1 2.2.2 2.3.1 2.4.1 2.4.2 2.4.3 2.4.4 2.4.5 2.4.6 2.4.7 "
    "2.4.11 2.5.1 2.5.2 2.5.3 2.5.4 2.5.7 2.5.8 3.1.1 3.1.2 3.2.1 3.2.2 3.2.3 3.2.4 3.2.6 3.3.1 3.3.2 3.3.3 "
    "3.3.4 3.3.7 3.3.8 4.1.2 4.1.3"
).split()
"""WCAG 2.2, levels A and AA (https://www.w3.org/TR/WCAG22/)."""


def rows() -> dict[str, list[str]]:
    """Criterion: level, public, desk, how."""
    found = re.findall(r"^\| (\d\.\d\.\d+) [^|]+\|(.+)\|$", LIST.read_text("utf-8"), re.MULTILINE)
    return {number: [cell.strip() for cell in rest.split("|")] for number, rest in found}


def test_every_criterion_has_a_verdict_and_a_way_it_was_checked() -> None:
    assert len(CRITERIA) == 55
    found = rows()
    assert list(found) == CRITERIA
    for number, (level, public, desk, how) in found.items():
        assert level in ("A", "AA"), number
        assert {public, desk} <= {"met", "partly", "n/a"}, number
        assert how, number


def test_every_check_is_one_of_those_explained() -> None:
    text = LIST.read_text("utf-8")
    explained = set(re.findall(r"^\| (\w+) \| [^|]+ \| [^|]*\|$", text, re.MULTILINE)) - {"mark"}
    for number, (*_, how) in rows().items():
        named = re.findall(r"\w+", re.sub(r"\([^)]*\)", "", how.split(".")[0].split(" at ")[0]))
        assert set(named[:1]) <= explained, (number, how)


def test_the_statement_does_not_call_the_chat_fully_compliant_while_parts_are_not() -> None:
    partly = [number for number, (_, public, _, _) in rows().items() if public == "partly"]
    statement = (ROOT / "force" / "northumbria" / "pages.yml").read_text("utf-8")
    assert partly
    assert "partially compliant" in statement
    for number in partly:
        assert number in statement, number
