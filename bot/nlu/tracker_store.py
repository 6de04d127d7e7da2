"""Where Rasa keeps its trackers: Redis or Valkey, with a short life.

Rasa's own Redis store has no timeouts and merges a conversation's older sessions on each save. Ours
keeps the newest session only, gives up quickly, and loses a tracker rather than a turn: the channel
then reports `fresh`, and a half-done form starts again. It also keeps the answers of finished turns,
so that any replica can repeat one.
"""

from __future__ import annotations

import json
import logging
from typing import Any, Final

import redis
from rasa.core.brokers.broker import EventBroker
from rasa.core.tracker_store import SerializedTrackerAsText, TrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.trackers import DialogueStateTracker

_LOG = logging.getLogger(__name__)
_TIMEOUT_SECONDS: Final = 0.5
_LIFE_SECONDS: Final = 1800
ANSWER_LIFE_SECONDS: Final = 600


class FrontCounterTrackerStore(TrackerStore, SerializedTrackerAsText):  # type: ignore[misc]
    """Trackers and finished turns in Redis; `url` and `record_exp` come from the endpoints file."""

    def __init__(
        self,
        domain: Domain,
        host: str | None = None,
        event_broker: EventBroker | None = None,
        *,
        record_exp: float = _LIFE_SECONDS,
        prefix: str = "frontcounter:rasa:",
        **kwargs: Any,
    ) -> None:
        """Prepare the connection (it is made when first needed).

        Args:
            domain: the assistant's domain.
            host: the endpoint's `url`, a redis:// address with user, password and database if need be.
            event_broker: Rasa's; unused here.
            record_exp: life of a tracker after its last turn, in seconds.
            prefix: start of every key.
            kwargs: whatever else Rasa passes.
        """
        self._redis = redis.Redis.from_url(
            host or "redis://127.0.0.1:6379/0",
            decode_responses=True,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            health_check_interval=30,
        )
        self._life_seconds = int(record_exp)
        self._prefix = prefix
        super().__init__(domain, event_broker)

    async def save(self, tracker: DialogueStateTracker) -> None:
        """Keep a tracker; when Redis is away it is lost."""
        try:
            self._redis.set(
                self._tracker_key(tracker.sender_id),
                self.serialise_tracker(tracker),
                ex=self._life_seconds,
            )
        except redis.RedisError as error:
            _LOG.error("A tracker could not be kept: %s", type(error).__name__)

    async def retrieve(self, sender_id: str) -> DialogueStateTracker | None:
        """Return a tracker; None when there is none or Redis is away."""
        try:
            kept = self._redis.get(self._tracker_key(sender_id))
        except redis.RedisError as error:
            _LOG.error("A tracker could not be read: %s", type(error).__name__)
            return None
        return self.deserialise_tracker(sender_id, kept) if kept else None

    async def keys(self) -> list[str]:
        """Return the conversations that have a tracker."""
        start = self._tracker_key("")
        return [key.removeprefix(start) for key in self._redis.scan_iter(f"{start}*")]

    def forget(self, conversation: str) -> None:
        """Delete a tracker.

        Raises:
            redis.RedisError: if Redis is away: the tracker then dies with its `record_exp`.
        """
        self._redis.delete(self._tracker_key(conversation))

    def save_turn(self, tracker: DialogueStateTracker, key: str, answer: dict[str, Any]) -> None:
        """Keep a tracker and the answer of the turn that made it, both or neither."""
        both = self._redis.pipeline(transaction=True)
        both.set(
            self._tracker_key(tracker.sender_id),
            self.serialise_tracker(tracker),
            ex=self._life_seconds,
        )
        both.set(f"{self._prefix}turn:{key}", json.dumps(answer), ex=ANSWER_LIFE_SECONDS)
        try:
            both.execute()
        except redis.RedisError as error:
            _LOG.error("A turn could not be kept: %s", type(error).__name__)

    def kept_answer(self, key: str) -> dict[str, Any] | None:
        """Return the answer of a finished turn, if there is one."""
        try:
            kept = self._redis.get(f"{self._prefix}turn:{key}")
        except redis.RedisError:
            return None
        return json.loads(kept) if kept else None

    def _tracker_key(self, conversation: str) -> str:
        return f"{self._prefix}tracker:{conversation}"
