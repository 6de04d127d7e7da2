"""Keeps X calling us: the address, that it is valid, and that the force's account is subscribed to it.

docs.x.com/x-api/webhooks/quickstart; docs.x.com/x-api/activity/quickstart for the subscriptions, and for those
of the older Account Activity API, until it ends, docs.x.com/x-api/account-activity/introduction. A
subscription to private events wants the account's own consent by OAuth 2.0, which this system does not
hold: where X refuses ours, an administrator makes them once (docs/channels/x.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from bot.channels.x.api import XApi, XError
from bot.channels.x.options import Options

log = structlog.get_logger(__name__)

Json = Mapping[str, Any]

NEEDED = ("dm.received", "dm.sent")
"""Without these nothing of value comes."""
WANTED = (*NEEDED, "dm.read", "chat.received", "chat.sent")
MENTIONED = "post.mention.create"
"""A post that mentions us, where those are read (docs.x.com/x-api/activity/event-payloads). Looks find it too."""

UNSUBSCRIBED = "X does not tell our address of messages: nobody has subscribed the account"


class Registration:
    """What X knows of our address."""

    def __init__(self, api: XApi, options: Options) -> None:
        self._api = api
        self._options = options
        self._wanted = (*WANTED, MENTIONED) if options.mentions else WANTED

    async def look(self) -> str | None:
        """Look, and mend what can be mended. None: X calls us; else why not, in words for staff.

        Raises:
            XError: X could not be asked.
        """
        webhook = await self._webhook()
        if webhook is None:
            return "X did not take our address: the proof that it asked for may be wrong"
        if webhook.get("valid") is not True:
            return "X asked our address for proof, and did not get the right answer"
        return await self._subscribed(str(webhook.get("id")))

    async def stands(self) -> str | None:
        """As `look`, but nothing is mended.

        Raises:
            XError: X could not be asked.
        """
        webhook = await self._known()
        if webhook is None:
            return "X does not know our address"
        if webhook.get("valid") is not True:
            return "X asked our address for proof, and did not get the right answer"
        if self._held(await self._subscriptions(), str(webhook.get("id"))).issuperset(NEEDED):
            return None
        path = f"2/account_activity/webhooks/{webhook.get('id')}/subscriptions/all"
        try:
            if _one(await self._api.get(path)).get("subscribed") is True:
                return None
        except XError as error:
            if error.kind not in ("plan", "refused", "gone"):
                raise
        return UNSUBSCRIBED

    async def _known(self) -> Json | None:
        """What X has under our address."""
        known = _listed(await self._api.as_app("GET", "2/webhooks"))
        return next((one for one in known if one.get("url") == self._options.webhook_url), None)

    async def _webhook(self) -> Json | None:
        ours = await self._known()
        try:
            if ours is None:
                made = await self._api.as_app("POST", "2/webhooks", {"url": self._options.webhook_url})
                ours = _one(made)
                log.info("x.webhook_set")
            elif ours.get("valid") is not True:
                tried = await self._api.as_app("PUT", f"2/webhooks/{ours.get('id')}")
                ours = {**ours, **_one(tried)}
        except XError as error:
            if error.kind not in ("refused", "gone"):
                raise
            # X came to see, and was not satisfied; or it takes no more addresses.
            log.warning("x.webhook_not_set", reason=str(error))
        return ours

    async def _subscribed(self, webhook_id: str) -> str | None:
        held = self._held(await self._subscriptions(), webhook_id)
        for event in self._wanted:
            try:
                if event not in held and await self._subscribe(event, webhook_id):
                    held.add(event)
            except XError:
                # X asks us to wait. Without the rest of them, all is well enough until the next look.
                if held.issuperset(NEEDED):
                    break
                raise
        if held.issuperset(NEEDED) or await self._subscribed_to_all(webhook_id):
            return None
        return UNSUBSCRIBED

    def _held(self, known: Sequence[Json], webhook_id: str) -> set[str]:
        """The kinds of event that our account is subscribed to there."""
        return {
            str(one.get("event_type"))
            for one in known
            if str(one.get("webhook_id")) == webhook_id
            and isinstance(one.get("filter"), dict)
            and str(one["filter"].get("user_id")) == self._options.user_id
        }

    async def _subscriptions(self) -> Sequence[Json]:
        try:
            return _listed(await self._api.as_app("GET", "2/activity/subscriptions"))
        except XError as error:
            if error.kind not in ("plan", "refused"):
                raise
            # A plan without the newer of the two.
            return []

    async def _subscribe(self, event: str, webhook_id: str) -> bool:
        body = {
            "event_type": event, "filter": {"user_id": self._options.user_id}, "webhook_id": webhook_id,
            "tag": "front counter",
        }  # fmt: skip
        try:
            await self._api.post("2/activity/subscriptions", body)
        except XError as error:
            if error.kind == "busy":
                raise
            log.info("x.not_subscribed", kind=event, reason=str(error))
            return False
        return True

    async def _subscribed_to_all(self, webhook_id: str) -> bool:
        """The Account Activity API: all kinds of event at once."""
        path = f"2/account_activity/webhooks/{webhook_id}/subscriptions/all"
        try:
            if _one(await self._api.get(path)).get("subscribed") is True:
                return True
            return _one(await self._api.post(path, {})).get("subscribed") is True
        except XError as error:
            if error.kind == "busy":
                raise
            log.warning("x.not_subscribed", kind="all", reason=str(error))
            return False


def _listed(answer: Json) -> Sequence[Json]:
    data = answer.get("data")
    return [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []


def _one(answer: Json) -> Json:
    data = answer.get("data")
    if isinstance(data, list):
        data = data[0] if data else None
    return data if isinstance(data, dict) else {}
