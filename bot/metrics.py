"""What one gateway counts, for Prometheus. No label ever holds anything about a person.

Plain counters and a few functions, called in one line where something happens. What stands in the
database (queue, outbox, clocks) is read by `bot/monitor.py` when somebody asks.
https://prometheus.github.io/client_python/
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

STAGES = ("door", "understand", "turn", "in_to_sent")
_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_FORGET_SECONDS = 120.0
_REMEMBERED = 10_000

MESSAGES_IN = Counter(
    "frontcounter_messages_in", "Messages of the public that were stored.", ["channel"], registry=REGISTRY
)
DUPLICATES = Counter(
    "frontcounter_duplicates", "Messages that a platform delivered again.", ["channel"], registry=REGISTRY
)
DOOR_CLOSED = Counter(
    "frontcounter_door_closed", "Batches answered 503 because nothing could be stored.", registry=REGISTRY
)
LAST_IN = Gauge(
    "frontcounter_channel_last_in_timestamp_seconds",
    "When this gateway last stored a new message of a channel.",
    ["channel"],
    registry=REGISTRY,
)
LAST_OUT = Gauge(
    "frontcounter_channel_last_out_timestamp_seconds",
    "When this gateway last sent a reply on a channel.",
    ["channel"],
    registry=REGISTRY,
)
CHAT_PAGES = Counter(
    "frontcounter_chat_pages",
    "What pages with the web chat said of themselves: shown to staff, or why not.",
    ["result"],
    registry=REGISTRY,
)
SCREEN_HITS = Counter(
    "frontcounter_screen_hits", "Messages in which the screen found a risk.", ["grade"], registry=REGISTRY
)
STAGE_SECONDS = Histogram(
    "frontcounter_stage_seconds",
    "How long each stage took: the door, understanding, a whole turn, from the door to the first reply.",
    ["stage"],
    buckets=_BUCKETS,
    registry=REGISTRY,
)
TURNS = Counter("frontcounter_turns", "Turns that ended, by how.", ["result"], registry=REGISTRY)
TURNS_RUNNING = Gauge("frontcounter_turns_running", "Turns that run in this gateway now.", registry=REGISTRY)
SENDS = Counter(
    "frontcounter_sends",
    "Attempts to send: sent, failed, unknown, later (the platform asked to wait).",
    ["channel", "result"],
    registry=REGISTRY,
)
RETRIES = Counter("frontcounter_send_retries", "Attempts after the first.", ["channel"], registry=REGISTRY)
RESPONSES = Counter(
    "frontcounter_http_responses", "Answers to requests.", ["listener", "status"], registry=REGISTRY
)
STREAMS = Gauge(
    "frontcounter_event_streams", "Pages that listen for events now.", ["listener"], registry=REGISTRY
)
LOG_LINES = Counter("frontcounter_log_lines", "Lines logged.", ["level"], registry=REGISTRY)
READY = Gauge("frontcounter_ready", "1 while this gateway is ready to serve.", registry=REGISTRY)
UP = Gauge("frontcounter_up", "1 while the gateway reaches this.", ["what"], registry=REGISTRY)
RESTING = Gauge(
    "frontcounter_assistant_resting",
    "1 while a replica of the assistant is left alone after failures.",
    ["replica"],
    registry=REGISTRY,
)

_EARLY_SECONDS = 1.0
_arrived: OrderedDict[int, float] = OrderedDict()
_early: OrderedDict[int, float] = OrderedDict()


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Note how long the block took, however it ended."""
    started = time.perf_counter()
    try:
        yield
    finally:
        STAGE_SECONDS.labels(stage).observe(time.perf_counter() - started)


def took(channel: str, is_repeated: bool, conversation_id: int | None, grade: str | None) -> None:
    """A message went through the door; `grade` is the worst that the screen found in it."""
    if is_repeated:
        DUPLICATES.labels(channel).inc()
        return
    MESSAGES_IN.labels(channel).inc()
    LAST_IN.labels(channel).set_to_current_time()
    if grade is not None:
        SCREEN_HITS.labels(grade).inc()
    if conversation_id is not None:
        moment = time.monotonic()
        if moment - _early.pop(conversation_id, -_EARLY_SECONDS) < _EARLY_SECONDS:
            return  # its words left with the commit that stored it: the stage `door` has that time
        if moment - _arrived.get(conversation_id, 0.0) > _FORGET_SECONDS:
            _arrived[conversation_id] = moment
        while len(_arrived) > _REMEMBERED:
            _arrived.popitem(last=False)


def turned(started: float, *, is_unavailable: bool) -> None:
    """A turn ended; `started` is a time of `time.perf_counter`."""
    STAGE_SECONDS.labels("turn").observe(time.perf_counter() - started)
    TURNS.labels("assistant_away" if is_unavailable else "done").inc()


def tried(channel: str, result: str, number: int) -> None:
    """An attempt to send ended; `number` counts the attempts for this row from 1."""
    SENDS.labels(channel, result).inc()
    if result == "sent":
        LAST_OUT.labels(channel).set_to_current_time()
    if number > 1:
        RETRIES.labels(channel).inc()


def replied(conversation_id: int, kind: str) -> None:
    """The first automatic reply after a message left; counted where this gateway did both."""
    if kind not in ("assistant", "safety"):
        return
    since = _arrived.pop(conversation_id, None)
    if since is None:
        _early[conversation_id] = time.monotonic()
        while len(_early) > _REMEMBERED:
            _early.popitem(last=False)
    if since is not None and (seconds := time.monotonic() - since) < _FORGET_SECONDS:
        STAGE_SECONDS.labels("in_to_sent").observe(seconds)
