"""What differs between the two platforms of the Graph API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bot.channels.render import Layout

WINDOW: Final = timedelta(hours=24)
"""How long after a person's message anything may be sent to them
(developers.facebook.com/docs/messenger-platform/policy/policy-overview, "standard messaging window")."""
HUMAN_AGENT_WINDOW: Final = timedelta(days=7)
"""How long a person of the staff may answer with the tag HUMAN_AGENT (the same page)."""


@dataclass(frozen=True, slots=True)
class Traits:
    """One platform. `of_letter` says how it counts the length of a text."""

    name: str
    title: str
    object: str
    """What a webhook's `object` says."""
    longest: int
    of_letter: Callable[[str], int]
    unit: str
    """What it counts: characters or bytes."""
    account: str
    """The setting that names our account there."""
    fields: tuple[str, ...]
    """What we ask Meta to tell us (`subscribed_fields`)."""
    permissions: tuple[str, ...]
    """What the token must be allowed to do."""
    has_silent: bool
    """A message can be sent that makes no sound (`notification_type`)."""
    id_field: str
    """What the token's own node calls our account."""

    @property
    def layout(self) -> Layout:
        """What it can show: quick replies, few and short
        (developers.facebook.com/docs/messenger-platform/send-messages/quick-replies; Instagram has the
        same). Longer ones stand in the text; their numbers can be pressed, and typed.
        """
        return Layout(
            self.name, self.longest, self.of_letter, self.unit, most_buttons=13, longest_button=20,
            beside_numbers="numbers", person_button=True, discloses=True,
        )  # fmt: skip

    @property
    def variable(self) -> str:
        """How the names of its settings begin."""
        return f"FRONTCOUNTER_{self.name.upper()}_"

    @property
    def path(self) -> str:
        """Where Meta calls us."""
        return f"/{self.name}/webhook"
