"""The four roles, and the parts of the desk that each has."""

from __future__ import annotations

from collections.abc import Mapping

from bot.handover.ownership import ANSWERING_ROLES

ROLES: tuple[str, ...] = ("moderator", "comms", "supervisor", "admin")

ANSWERS = ANSWERING_ROLES
"""Roles that may open conversations and answer people."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "moderator": ("Queue", "Chats", "Frequent answers to send"),
    "supervisor": ("Queue", "Chats", "Taking over a chat", "Blocking a person", "Alarm paths"),
    "comms": ("Answers and wording",),
    "admin": ("Staff accounts", "Alarm paths"),
}
"""What a role's own page says that it may use."""
