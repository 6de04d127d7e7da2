"""Where Rasa keeps its trackers: Redis or Valkey, with a short life.

Rasa's own Redis store has no timeouts and merges a conversation's older sessions on each save. Ours
keeps the newest session only, gives up quickly, and loses a tracker rather than a turn: the channel
then reports `fresh`, and a half-done form starts again. It also keeps the answers of finished turns,
so that any replica can repeat one.

Two things keep a turn cheap however long the talk: outside the form only the last turns are kept, which
is all that our rules look at, and a tracker that this process saved last is not built anew from its text.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict, deque
from functools import cache
from typing import Any, Final

import redis
from rasa.core.brokers.broker import EventBroker
from rasa.core.tracker_store import SerializedTrackerAsText, TrackerStore
from rasa.shared.core.constants import ACTION_LISTEN_NAME
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, Event, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

_LOG = logging.getLogger(__name__)
_TIMEOUT_SECONDS: Final = 0.5
_LIFE_SECONDS: Final = 1800
ANSWER_LIFE_SECONDS: Final = 600
KEPT_TURNS: Final = 3
_AT_HAND: Final = 200
"""Trackers that stay in the process beside their text; each takes about 30 kB."""


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
        self._at_hand: OrderedDict[str, tuple[str, DialogueStateTracker]] = OrderedDict()
        self._read_ahead: tuple[str, str | None] | None = None
        super().__init__(domain, event_broker)

    async def save(self, tracker: DialogueStateTracker) -> None:
        """Keep a tracker; when Redis is away it is lost."""
        text = self._text(tracker)
        try:
            self._redis.set(self._tracker_key(tracker.sender_id), text, ex=self._life_seconds)
        except redis.RedisError as error:
            _LOG.error("A tracker could not be kept: %s", type(error).__name__)
        else:
            self._keep_at_hand(tracker, text)

    async def retrieve(self, sender_id: str) -> DialogueStateTracker | None:
        """Return a tracker; None when there is none or Redis is away."""
        ahead, self._read_ahead = self._read_ahead, None
        if ahead is not None and ahead[0] == sender_id:
            kept = ahead[1]
        else:
            try:
                kept = self._redis.get(self._tracker_key(sender_id))
            except redis.RedisError as error:
                _LOG.error("A tracker could not be read: %s", type(error).__name__)
                return None
        # Taken away, not lent: a turn that fails leaves its tracker half changed.
        at_hand = self._at_hand.pop(sender_id, None)
        if not kept:
            return None
        if at_hand is not None and at_hand[0] == kept:
            return at_hand[1]
        return self._tracker(sender_id, kept)

    async def keys(self) -> list[str]:
        """Return the conversations that have a tracker."""
        start = self._tracker_key("")
        return [key.removeprefix(start) for key in self._redis.scan_iter(f"{start}*")]

    def forget(self, conversation: str) -> None:
        """Delete a tracker.

        Raises:
            redis.RedisError: if Redis is away: the tracker then dies with its `record_exp`.
        """
        self._at_hand.pop(conversation, None)
        self._read_ahead = None
        self._redis.delete(self._tracker_key(conversation))

    def save_turn(self, tracker: DialogueStateTracker, key: str, answer: dict[str, Any]) -> None:
        """Keep a tracker and the answer of the turn that made it, both or neither."""
        text = self._text(tracker)
        both = self._redis.pipeline(transaction=True)
        both.set(self._tracker_key(tracker.sender_id), text, ex=self._life_seconds)
        both.set(f"{self._prefix}turn:{key}", json.dumps(answer), ex=ANSWER_LIFE_SECONDS)
        try:
            both.execute()
        except redis.RedisError as error:
            _LOG.error("A turn could not be kept: %s", type(error).__name__)
        else:
            self._keep_at_hand(tracker, text)

    def kept_answer(self, conversation: str, key: str) -> dict[str, Any] | None:
        """Return the answer of a finished turn, if there is one.

        If there is none, the tracker that came in the same round trip serves the next `retrieve`.
        """
        self._read_ahead = None
        try:
            kept, tracker = self._redis.mget(f"{self._prefix}turn:{key}", self._tracker_key(conversation))
        except redis.RedisError:
            return None
        if kept:
            answer: dict[str, Any] = json.loads(kept)
            return answer
        self._read_ahead = conversation, tracker
        return None

    def _text(self, tracker: DialogueStateTracker) -> str:
        """Return a tracker as text, after dropping what no rule looks at."""
        _drop_old_turns(tracker)
        text: str = self.serialise_tracker(tracker)
        return text

    def _tracker(self, sender_id: str, text: str) -> DialogueStateTracker:
        """Build a tracker from its text (Rasa's own way looks through all classes for each event)."""
        tracker = self.init_tracker(sender_id)
        tracker.events.extend(
            _event_class(event["event"])._from_parameters(event) for event in json.loads(text)["events"]
        )
        tracker.replay_events()
        return tracker

    def _keep_at_hand(self, tracker: DialogueStateTracker, text: str) -> None:
        self._at_hand[tracker.sender_id] = (text, tracker)
        while len(self._at_hand) > _AT_HAND:
            self._at_hand.popitem(last=False)

    def _tracker_key(self, conversation: str) -> str:
        return f"{self._prefix}tracker:{conversation}"


@cache
def _event_class(name: str) -> type[Event]:
    found: type[Event] = Event.resolve_by_type(name)
    return found


def _drop_old_turns(tracker: DialogueStateTracker) -> None:
    """Keep the last turns of a talk, unless a form is under way or a slot is filled.

    Those come from earlier events, and a tracker is made from its events.
    """
    is_in_form = tracker.active_loop_name is not None
    if is_in_form or any(slot.value != slot.initial_value for slot in tracker.slots.values()):
        return
    events = list(tracker.events)
    said = [place for place, event in enumerate(events) if isinstance(event, UserUttered)]
    if len(said) <= KEPT_TURNS:
        return
    # A turn begins with the wait for it; what is no plain talk is left whole.
    start = said[-KEPT_TURNS] - 1
    if isinstance(events[start], ActionExecuted) and events[start].action_name == ACTION_LISTEN_NAME:
        tracker.events = deque(events[start:], tracker.events.maxlen)
