"""What Meta says of our token, and whether it calls us.

developers.facebook.com/docs/graph-api/reference/debug_token: how long a token holds, and its permissions
(`scopes`); developers.facebook.com/docs/graph-api/reference/page/subscribed_apps: which apps get a Page's
webhooks, and of what.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.channels.checks import Check, unknown, unless
from bot.channels.meta.api import Graph, GraphError
from bot.store.record import now

SOON = timedelta(days=14)
"""A token that ends within so long has to be made anew now."""


async def token_checks(graph: Graph, token: str, needed: Collection[str]) -> tuple[list[Check], str]:
    """How long the token holds, what it may do, and the id of the app that it belongs to ("": unknown).

    The token stands in the address of this one call, to Meta alone: the API takes it in no other way.
    """
    try:
        answer = await graph.get("debug_token", input_token=token)
    except GraphError as error:
        return [unknown("token", str(error))], ""
    data = answer.get("data")
    told: Mapping[str, Any] = data if isinstance(data, dict) else {}
    if told.get("is_valid") is not True:
        return [Check("token", "Meta says that the token is not valid.", "Make a new one at Meta.")], ""
    return [_lasting(told), _permissions(told, needed)], str(told.get("app_id") or "")


def _lasting(told: Mapping[str, Any]) -> Check:
    """`expires_at` is in seconds since 1970, 0 where the token holds for good."""
    ends = told.get("expires_at")
    if not isinstance(ends, int) or isinstance(ends, bool):
        return Check("token", "Meta does not say how long the token holds.", "Look at Meta.", unsure=True)
    if ends <= 0:
        return Check("token")
    moment = datetime.fromtimestamp(min(ends, 32503680000), UTC)
    if moment - now() > SOON:
        return Check("token")
    return Check(
        "token",
        f"The token ends on {moment.day} {moment:%B %Y}. Nothing is sent or received after that.",
        "Make a new one at Meta that does not run out, and put it into the settings.",
    )


def _permissions(told: Mapping[str, Any], needed: Collection[str]) -> Check:
    scopes = told.get("scopes")
    held = {str(one) for one in scopes} if isinstance(scopes, list) else set()
    missing = sorted(set(needed) - held)
    if not missing:
        return Check("permissions")
    return Check(
        "permissions",
        f"The token lacks {', '.join(missing)}.",
        "Ask Meta for them (App Review), then make the token again.",
    )


async def webhook_check(graph: Graph, app_id: str, fields: Sequence[str]) -> Check:
    """Whether the Page tells our app of what we need."""

    async def look() -> Check:
        answer = await graph.get("me/subscribed_apps")
        ours = next((one for one in listed(answer) if str(one.get("id")) == app_id), None)
        if ours is None:
            return Check(
                "webhook",
                "Our app does not get the Page's messages: the Page is not subscribed to it.",
                "Start the gateway, which subscribes it, or do it at Meta under Webhooks.",
            )
        told = ours.get("subscribed_fields")
        missing = sorted(set(fields) - {str(one) for one in told} if isinstance(told, list) else set())
        if missing:
            return Check(
                "webhook",
                f"Meta does not tell our app of: {', '.join(missing)}.",
                "Start the gateway anew, which asks for them, or tick them at Meta under Webhooks.",
            )
        return Check("webhook")

    return await unless("webhook", look(), GraphError)


def listed(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of an answer's `data`."""
    data = answer.get("data")
    return [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []
