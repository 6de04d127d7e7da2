"""A force that wants a second person to read replies of a team."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.core import Core


def second_person(
    core: Core, team: str = "digital_desk", grades: Sequence[str] = ("P2", "P3", "P4"), minutes: float = 10
) -> None:
    """From now on replies of this team in these grades are read first."""
    current = core.content.current
    teams = dict(current.teams["teams"])
    teams[team] = {**teams[team], "approval": list(grades), "approval_rises_after": minutes}
    core.content.current = replace(current, teams={**current.teams, "teams": teams})
