"""Say whether somebody is at the desk now."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import yaml
from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher
from rasa_sdk.types import DomainDict

from actions.hours import HoursError, desk_is_open, force_folder, load_hours

_LOG = logging.getLogger(__name__)


class ActionOpeningHours(Action):  # type: ignore[misc]
    """Answer "is anyone there?" from the force's desk hours and the clock."""

    def name(self) -> str:
        """Return the name that domain.yml uses."""
        return "action_opening_hours"

    def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: DomainDict
    ) -> list[dict[str, Any]]:
        """Say the line that fits."""
        dispatcher.utter_message(json_message={"line": hours_line(datetime.now(UTC))})
        return []


def hours_line(now: datetime) -> str:
    """Return the key of the wording for this moment; `hours_unknown` if hours cannot be read."""
    path = force_folder() / "hours.yml"
    try:
        is_open = desk_is_open(load_hours(path, path.stat().st_mtime), now)
    except (OSError, HoursError, yaml.YAMLError):
        _LOG.exception("The desk's hours cannot be read.")
        return "hours_unknown"
    return "hours_open_now" if is_open else "hours_closed_now"
