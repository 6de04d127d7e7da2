"""The one door of Rasa: our input channel, which only the gateway may call.

    POST /webhooks/gateway/turn        run a turn of a conversation
    POST /webhooks/gateway/understand  say what texts mean; no conversation is touched
    POST /webhooks/gateway/forget      delete a conversation
    GET  /webhooks/gateway/status      which model is loaded

All ask for the header X-Front-Counter-Secret. Errors are true: a turn that did not work out answers
4xx or 5xx with {"error": ...} and changes nothing, so that the gateway can repeat it. Rasa's own
channels answer 200 with nothing instead, and Rasa swallows the errors of custom actions; how those
are noticed here is told at `_WatchedEndpoint`.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, Final

import redis
from rasa.core.agent import Agent
from rasa.core.channels.channel import CollectingOutputChannel, InputChannel, UserMessage
from rasa.core.processor import MessageProcessor
from rasa.core.tracker_store import InMemoryTrackerStore
from rasa.shared.core.events import SessionStarted
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.exceptions import RasaException
from rasa.utils.endpoints import ClientResponseError, EndpointConfig
from sanic import Blueprint, Sanic
from sanic.request import Request
from sanic.response import HTTPResponse
from sanic.response import json as json_response
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from bot.nlu.payloads import UNDERSTANDING, PayloadError, button_parse_data, without_command
from bot.nlu.runner import run_straight
from bot.nlu.tracker_store import FrontCounterTrackerStore
from bot.nlu.turns import (
    Answer,
    OneAtATime,
    RecentAnswers,
    RequestError,
    TurnRequest,
    is_secret,
    read_conversation,
    read_texts,
    read_turn,
)

_LOG = logging.getLogger(__name__)
_HEADER: Final = "X-Front-Counter-Secret"
_SECRET_LENGTH: Final = 16
# The action server is next door and its actions take milliseconds; the gateway waits 10 s at most.
_ACTION_TIMEOUT_SECONDS: Final = 4
_ACTION_REJECTED: Final = 400
_BODY_LIMIT: Final = 512 * 1024

Handler = Callable[..., Coroutine[Any, Any, HTTPResponse]]

_failed_actions: ContextVar[list[str] | None] = ContextVar("failed_actions", default=None)


class GatewayChannel(InputChannel):  # type: ignore[misc]
    """The channel that credentials.yml names."""

    def __init__(self, secret: str) -> None:
        """Keep the shared secret."""
        self._secret = secret
        self._answers = RecentAnswers()
        self._turns = OneAtATime()
        self._loaded: tuple[MessageProcessor, str] | None = None

    @classmethod
    def name(cls) -> str:
        """Return the part of the address that is ours."""
        return "gateway"

    @classmethod
    def from_credentials(cls, credentials: Mapping[str, Any] | None) -> GatewayChannel:
        """Make the channel from credentials.yml.

        Raises:
            RasaException: if the secret is missing or shorter than 16 characters.
        """
        secret = str((credentials or {}).get("secret") or "")
        if len(secret) < _SECRET_LENGTH:
            raise RasaException(
                "The gateway channel needs `secret` in credentials.yml, "
                f"at least {_SECRET_LENGTH} characters long."
            )
        return cls(secret)

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """Return the four routes. Rasa's own handler is not used: it swallows errors."""
        routes = Blueprint("gateway_channel")
        for path, handler, methods in (
            ("/turn", self._turn, ["POST"]),
            ("/understand", self._understand, ["POST"]),
            ("/forget", self._forget, ["POST"]),
            ("/status", self._status, ["GET"]),
        ):
            routes.add_route(self._guarded(handler), path, methods=methods, name=path.strip("/"))
        routes.listener("after_server_start")(self._warm_up)
        return routes

    def _guarded(self, handler: Handler) -> Handler:
        """Check the secret and turn every error into an answer that says so."""

        @wraps(handler)
        async def guarded(request: Request) -> HTTPResponse:
            if not is_secret(request.headers.get(_HEADER), self._secret):
                return _error("wrong or missing secret", 401)
            if len(request.body) > _BODY_LIMIT:
                return _error("the body is too large", 413)
            try:
                return await handler(request)
            except RequestError as error:
                return _error(str(error), error.status)
            except Exception as error:
                # Where it happened, but not the error's own words: they may be the person's.
                trace = "".join(traceback.format_tb(error.__traceback__))
                _LOG.error("A request to the gateway channel failed: %s\n%s", type(error).__name__, trace)
                return _error("the assistant failed", 500)

        return guarded

    async def _warm_up(self, app: Sanic, *_: object) -> None:
        """Load what the first message would otherwise wait for, and hash the model's file now.

        The hash must be of the file that was loaded, not of one that replaced it later.
        """
        # One message is too small to share out: more threads only wait for each other.
        threadpool_limits(1, user_api="blas")
        try:
            processor = _processor(app.ctx.agent)
            self._release(processor)
            await _parse(processor, "where is the police station")
        except RequestError:
            _LOG.warning("No model is loaded.")
        # Rasa and TensorFlow leave half a million objects that live as long as the process. Without
        # this, each full collection would walk through them all in the middle of somebody's turn.
        gc.collect()
        gc.freeze()

    async def _turn(self, request: Request) -> HTTPResponse:
        turn = read_turn(_body(request))
        agent: Agent = request.app.ctx.agent
        processor = _processor(agent)
        store = _tracker_store(agent)

        async def run_once() -> Answer:
            async with self._turns.alone(turn.conversation):
                kept = (
                    store.kept_answer(turn.conversation, turn.key)
                    if isinstance(store, FrontCounterTrackerStore)
                    else self._answers.get(turn.key)
                )
                if kept is not None:
                    return kept
                tracker, answer = await self._run_turn(agent, processor, turn)
                if isinstance(store, FrontCounterTrackerStore):
                    store.save_turn(tracker, turn.key, answer)
                else:
                    await processor.save_tracker(tracker)
                    self._answers.keep(turn.key, answer)
                return answer

        return json_response(await self._turns.run(turn.key, run_once))

    async def _run_turn(
        self, agent: Agent, processor: MessageProcessor, turn: TurnRequest
    ) -> tuple[DialogueStateTracker, Answer]:
        """Run one turn as Rasa's `handle_message` does, and save nothing yet.

        Raises:
            RequestError: 400 for a button that is not ours, 502 if a custom action failed.
        """
        _watch_actions(agent, processor)
        failed: list[str] = []
        _failed_actions.set(failed)
        output = CollectingOutputChannel()
        message = UserMessage(
            text=turn.button or without_command(turn.text),
            output_channel=output,
            sender_id=turn.conversation,
            parse_data=_button(processor, turn.button) if turn.button else None,
            input_channel=self.name(),
            message_id=turn.turn,
        )
        started = time.time()
        tracker = await processor.log_message(message, should_save_tracker=False)
        fresh = any(
            isinstance(event, SessionStarted) and event.timestamp >= started for event in tracker.events
        )
        # Read now: "start again" empties the tracker.
        understanding = _understanding(tracker.latest_message.parse_data)
        tracker = await processor.run_action_extract_slots(output, tracker)
        await processor._run_prediction_loop(output, tracker)
        if failed:
            raise RequestError(f"the action server failed: {', '.join(failed)}", 502)
        answer: Answer = {
            "turn": turn.turn,
            "release": self._release(processor),
            **understanding,
            "messages": [*_messages(output), *_further_questions(understanding, output)],
            "form": tracker.active_loop_name,
            "fresh": fresh,
        }
        if not answer["messages"] and not str(answer["intent"]).startswith("risk_"):
            raise RequestError("the assistant found nothing to say", 500)
        return tracker, answer

    async def _understand(self, request: Request) -> HTTPResponse:
        texts = read_texts(_body(request))
        processor = _processor(request.app.ctx.agent)
        results = []
        for text in texts:
            results.append(_understanding(await _parse(processor, text)))
            await asyncio.sleep(0)  # a turn that came in meanwhile need not wait for all texts
        return json_response({"release": self._release(processor), "results": results})

    async def _forget(self, request: Request) -> HTTPResponse:
        conversation = read_conversation(_body(request))
        store = _tracker_store(request.app.ctx.agent)
        async with self._turns.alone(conversation):
            if isinstance(store, FrontCounterTrackerStore):
                try:
                    store.forget(conversation)
                except redis.RedisError as error:
                    raise RequestError("trackers cannot be reached", 503) from error
            elif isinstance(store, InMemoryTrackerStore):
                store.store.pop(conversation, None)
            else:
                raise RequestError("this tracker store cannot forget", 501)
        return json_response({"forgotten": True})

    async def _status(self, request: Request) -> HTTPResponse:
        agent = getattr(request.app.ctx, "agent", None)
        if agent is None or not agent.is_ready():
            return json_response({"release": "", "ready": False}, status=503)
        return json_response({"release": self._release(agent.processor), "ready": True})

    def _release(self, processor: MessageProcessor) -> str:
        """Return the first 12 hex digits of the sha256 of the loaded model's file."""
        if self._loaded is None or self._loaded[0] is not processor:
            path = Path(processor.model_path)
            if path.is_dir():
                path = path / processor.model_filename
            self._loaded = (processor, hashlib.sha256(path.read_bytes()).hexdigest()[:12])
        return self._loaded[1]


class _WatchedEndpoint(EndpointConfig):  # type: ignore[misc]
    """The action server, with a short patience and a note of each call that failed.

    Rasa logs the failure of a custom action and goes on without it (`MessageProcessor._run_action`,
    `ActionExtractSlots._run_custom_action`), which the public would see as silence. The note is
    kept for the turn that made the call: a ContextVar is one for each request.
    """

    def __init__(self, endpoint: EndpointConfig | None) -> None:
        """Wrap an endpoint; None stands for one that is not configured."""
        super().__init__()
        if endpoint is not None:
            self.__dict__.update(vars(endpoint))

    async def request(self, *args: Any, **kwargs: Any) -> Any:
        """Call the action server (see parent class)."""
        action = (kwargs.get("json") or {}).get("next_action", "?")
        kwargs["timeout"] = _ACTION_TIMEOUT_SECONDS
        try:
            result = await super().request(*args, **kwargs)
            if not isinstance(result, dict) or not isinstance(result.get("events"), list):
                raise TypeError("not an answer of an action server")
        except ClientResponseError as error:
            # 400 is how an action says that it does not want to run; Rasa deals with it.
            if error.status != _ACTION_REJECTED:
                _note_failure(action)
            raise
        except Exception:
            _note_failure(action)
            raise
        return result


def _note_failure(action: str) -> None:
    noted = _failed_actions.get()
    if noted is not None:
        noted.append(action)


def _watch_actions(agent: Agent, processor: MessageProcessor) -> None:
    """Put our watch around the action server, again after each change of model."""
    if not isinstance(processor.action_endpoint, _WatchedEndpoint):
        watched = _WatchedEndpoint(processor.action_endpoint)
        agent.action_endpoint = processor.action_endpoint = watched


def _processor(agent: Agent | None) -> MessageProcessor:
    """Return what runs the turns.

    Raises:
        RequestError: 503 while no model is loaded.
    """
    if agent is None or not agent.is_ready():
        raise RequestError("no model is loaded", 503)
    run_straight(agent.processor)
    return agent.processor


def _tracker_store(agent: Agent) -> object:
    """Return the tracker store itself, without the wrappers that Rasa puts around it."""
    store = agent.tracker_store
    while hasattr(store, "_tracker_store"):
        store = store._tracker_store
    return store


async def _parse(processor: MessageProcessor, text: str) -> Mapping[str, Any]:
    """Understand a text without any conversation."""
    found: Mapping[str, Any] = await processor.parse_message(UserMessage(without_command(text)))
    return found


def _button(processor: MessageProcessor, payload: str) -> dict[str, Any]:
    domain = processor.domain
    try:
        return button_parse_data(payload, set(domain.intents), set(domain.responses), set(domain.entities))
    except PayloadError as error:
        raise RequestError(str(error)) from error


def _understanding(parse_data: Mapping[str, Any]) -> dict[str, Any]:
    """Return our part of the parse data, as it leaves."""
    found = dict(parse_data[UNDERSTANDING])
    found.pop("offer", None)
    return found


def _further_questions(
    understanding: Mapping[str, Any], output: CollectingOutputChannel
) -> list[dict[str, Any]]:
    """Return what else the message asked, after an answer: the dialogue knows one question a turn."""
    answered = [said["answer"] for said in _messages(output) if "answer" in said]
    also = [slug for slug in understanding.get("also", ()) if slug not in answered]
    return [{"also": also}] if answered and also else []


def _messages(output: CollectingOutputChannel) -> list[dict[str, Any]]:
    """Return what the dialogue said: data for the gateway, `nothing` left out."""
    said = [message["custom"] for message in output.messages if message.get("custom")]
    return [message for message in said if "nothing" not in message]


def _body(request: Request) -> object:
    """Return a request's JSON.

    Raises:
        RequestError: 400 if it is none.
    """
    try:
        return request.json
    except Exception as error:
        raise RequestError("the body is not JSON") from error


def _error(reason: str, status: int) -> HTTPResponse:
    return json_response({"error": reason}, status=status)
