"""Reads one update. Whatever a person sent in a private chat becomes a message, or there is a reason.

Pictures, voices and files are named, never fetched. A contact's number is not kept. Groups, channels
and other bots are no conversations: nothing of theirs is stored. What is what:
core.telegram.org/bots/api#update and #message.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog
from telegram import CallbackQuery, Chat, ChatMember, ChatMemberUpdated, Message, Update
from telegram.warnings import PTBDeprecationWarning

from bot.channels.telegram.outbound import NAME, identity_of
from bot.errors import BadRequestError
from bot.messages import Arrival, InboundKind, Incoming, Reach

log = structlog.get_logger(__name__)

ALLOWED = ("message", "edited_message", "callback_query", "my_chat_member")
"""What we ask Telegram for."""
POSITION_SECONDS = 60
"""Of a position that moves, one is kept for each such span."""
PERSON_COMMAND = "/person"
LONGEST_NAME = 64

_START = re.compile(r"/start(?: [A-Za-z0-9_-]{1,64})?")
_KINDS: tuple[tuple[str, InboundKind], ...] = (
    # An animation comes as a document too, a venue as a location too: the order matters.
    ("animation", "video"),
    ("photo", "image"),
    ("video", "video"),
    ("video_note", "video"),
    ("voice", "voice"),
    ("sticker", "sticker"),
    ("audio", "file"),
    ("document", "file"),
    ("location", "location"),
)
_NO_MESSAGE = (
    "chat_background_set", "chat_shared", "connected_website", "delete_chat_photo", "forum_topic_created",
    "gift", "message_auto_delete_timer_changed", "new_chat_photo", "new_chat_title", "pinned_message",
    "proximity_alert_triggered", "refunded_payment", "successful_payment", "unique_gift", "users_shared",
    "video_chat_ended", "video_chat_started", "web_app_data", "write_access_allowed",
)  # fmt: skip
"""Telegram's own notes in a chat: nobody has said anything."""


@dataclass(frozen=True, slots=True)
class Press:
    """A button was pressed: to be answered, or the person's app waits for it."""

    callback_id: str
    chat: int | None = None
    message: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Somebody put the bot into a group: it takes no part. `text` is what was said there."""

    chat: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What is in one update. Empty: nothing that we act on."""

    arrivals: tuple[Arrival, ...] = ()
    presses: tuple[Press, ...] = ()
    groups: tuple[Group, ...] = field(default=())


def parse(raw: Mapping[str, Any], bot_id: str) -> Parsed:
    """Read one update. One that the library cannot read is kept as far as its words can be told.

    Each bot counts its messages anew, so its own number belongs to their ids: a force that changes
    its bot must not take the first messages for repeats.

    Raises:
        BadRequestError: it has no number, so it is no update.
    """
    update_id = raw.get("update_id")
    if not isinstance(update_id, int) or isinstance(update_id, bool):
        raise BadRequestError("this is no update of Telegram's")
    try:
        with warnings.catch_warnings():
            # The library warns of changes to come in fields that it reads by itself.
            warnings.simplefilter("ignore", PTBDeprecationWarning)
            return _read(Update.de_json(dict(raw), None), bot_id)
    except Exception as error:
        # Whatever it is, it must not stop the updates behind it. No text: only its kind and number.
        log.error(
            "telegram.unreadable",
            update=update_id,
            kind=[key for key in raw if key in ALLOWED],
            error=type(error).__name__,
        )
        return _salvaged(raw, update_id, bot_id)


def _read(update: Update, bot_id: str) -> Parsed:
    if update.message is not None:
        return _message(update.message, update.update_id, bot_id)
    if update.edited_message is not None:
        return _message(update.edited_message, update.update_id, bot_id, edited=True)
    if update.callback_query is not None:
        return _press(update.callback_query, update.update_id, bot_id)
    if update.my_chat_member is not None:
        return _membership(update.my_chat_member)
    return Parsed()


# ---- messages ------------------------------------------------------------------------------------


def _message(message: Message, update_id: int, bot_id: str, *, edited: bool = False) -> Parsed:
    text = message.text or message.caption or ""
    if message.chat.type in (Chat.GROUP, Chat.SUPERGROUP):
        left = message.left_chat_member is not None or message.migrate_to_chat_id is not None
        return Parsed() if left else Parsed(groups=(Group(message.chat.id, text),))
    if message.chat.type != Chat.PRIVATE:
        return Parsed()
    if message.from_user is not None and message.from_user.is_bot:
        return Parsed()
    kind = _kind(message)
    if kind is None:
        return Parsed()
    if message.poll is not None:
        text = message.poll.question
    place = message.location if kind == "location" else None
    name = message.from_user.first_name if message.from_user is not None else message.chat.first_name
    identity = identity_of(bot_id, message.chat.id, message.message_id)
    incoming = Incoming(
        channel=NAME,
        person=str(message.chat.id),
        message_id=_version(identity, message, kind, text) if edited else identity,
        text=text,
        kind=kind,
        name=name[:LONGEST_NAME] if name else None,
        platform_time=(message.edit_date if edited else None) or message.date,
        platform_sequence=update_id,
        latitude=None if place is None else place.latitude,
        longitude=None if place is None else place.longitude,
        edit_of=identity if edited else None,
        button=None if edited else _command(text),
    )
    return Parsed((_as_button(incoming) if incoming.button else incoming,))


def _kind(message: Message) -> InboundKind | None:
    """What was sent; None: nothing was."""
    if message.text is not None:
        return "text"
    for name, kind in _KINDS:
        if getattr(message, name):
            return kind
    if any(getattr(message, name, None) for name in _NO_MESSAGE):
        return None
    return "unsupported"


def _version(identity: str, message: Message, kind: InboundKind, text: str) -> str:
    """The id of a new version. Two edits may share a second, so the words count too."""
    moment = int((message.edit_date or message.date).timestamp())
    if kind == "location":
        return f"{identity}.m{moment // POSITION_SECONDS}"
    return f"{identity}.e{moment}.{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"


def _command(text: str) -> str | None:
    """The two commands that are buttons of ours; any other slash is text."""
    if _START.fullmatch(text):
        return "start"
    return "person" if text == PERSON_COMMAND else None


def _as_button(incoming: Incoming) -> Incoming:
    return Incoming(
        incoming.channel, incoming.person, incoming.message_id, incoming.text, "button", incoming.button,
        incoming.name, incoming.platform_time, incoming.platform_sequence,
    )  # fmt: skip


# ---- buttons -------------------------------------------------------------------------------------


def _press(query: CallbackQuery, update_id: int, bot_id: str) -> Parsed:
    """A press. A second one of the same button is the same message: the id is the button's."""
    message = query.message
    if message is None or message.chat.type != Chat.PRIVATE or query.from_user.is_bot:
        return Parsed(presses=(Press(query.id),))
    data = query.data or ""
    title = ""
    if isinstance(message, Message) and message.reply_markup is not None:
        buttons = (button for row in message.reply_markup.inline_keyboard for button in row)
        title = next((button.text for button in buttons if button.callback_data == data), "")
    incoming = Incoming(
        channel=NAME,
        person=str(message.chat.id),
        message_id=f"{identity_of(bot_id, message.chat.id, message.message_id)}.b{data[:64]}",
        text=title,
        kind="button",
        button=data,
        name=query.from_user.first_name[:LONGEST_NAME] or None,
        # A press carries no time. Whole seconds, as messages have: a finer one would seem later.
        platform_time=datetime.now(UTC).replace(microsecond=0),
        platform_sequence=update_id,
    )
    return Parsed((incoming,), (Press(query.id, message.chat.id, message.message_id),))


# ---- blocked, added to a group -------------------------------------------------------------------


def _membership(change: ChatMemberUpdated) -> Parsed:
    status = change.new_chat_member.status
    away = status in (ChatMember.BANNED, ChatMember.LEFT)
    if change.chat.type == Chat.PRIVATE:
        return Parsed((Reach(NAME, str(change.chat.id), reachable=not away, at=change.date),))
    if change.chat.type in (Chat.GROUP, Chat.SUPERGROUP, Chat.CHANNEL) and not away:
        return Parsed(groups=(Group(change.chat.id),))
    return Parsed()


# ---- what cannot be read -------------------------------------------------------------------------


def _salvaged(raw: Mapping[str, Any], update_id: int, bot_id: str) -> Parsed:
    """Person and words of an update that the library cannot read, if they are where they should be."""
    edited = "edited_message" in raw
    message = raw.get("edited_message") if edited else raw.get("message")
    if not isinstance(message, Mapping):
        return Parsed()
    chat, number = message.get("chat"), message.get("message_id")
    if not isinstance(chat, Mapping) or chat.get("type") != "private":
        return Parsed()
    if not isinstance(chat.get("id"), int) or not isinstance(number, int):
        return Parsed()
    poll = message.get("poll")
    words = (message.get("text"), message.get("caption"), isinstance(poll, Mapping) and poll.get("question"))
    text = next((one for one in words if isinstance(one, str)), "")
    is_text = isinstance(message.get("text"), str)
    identity = identity_of(bot_id, chat["id"], number)
    return Parsed(
        (
            Incoming(
                NAME,
                str(chat["id"]),
                f"{identity}.e{update_id}" if edited else identity,
                text,
                "text" if is_text else "unsupported",
                platform_sequence=update_id,
                edit_of=identity if edited else None,
            ),
        )
    )
