"""What the page may send: checked here, and `Incoming` from here on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.errors import BadRequestError, TooLargeError
from bot.messages import Incoming

NAME = "webchat"
MAX_CHARACTERS = 20_000
"""Characters (code points) of one message; the page counts alike."""
MAX_SEEN = 100

_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_TOKEN = re.compile(r"person|\d{1,18}\.\d{1,3}")
_CURSOR = re.compile(r"(\d{1,18})\.(\d{1,18})")
_VIEW = re.compile(r"(\d{1,15})\.(\d{1,12})")


@dataclass(frozen=True, slots=True)
class Posted:
    """One message as the page sent it; exactly one of `text` and `button` is filled."""

    id: str
    text: str = ""
    button: str | None = None
    start: str | None = None
    page: str | None = None
    """What the page around the chat says of itself, not yet checked."""


@dataclass(frozen=True, slots=True)
class Form:
    """The page's form, sent without scripts. A button keeps what was typed beside it."""

    id: str
    text: str
    button: str | None
    start: str | None
    view: str | None


def parse_message(body: bytes) -> Posted:
    """Read the JSON of one message.

    Raises:
        BadRequestError: it is not what the page sends.
        TooLargeError: the text is over the limit.
    """
    loaded = _object(body)
    identity = loaded.get("id")
    if not isinstance(identity, str) or not _ID.fullmatch(identity):
        raise BadRequestError("The message needs an id of 8 to 64 letters, digits or hyphens.")
    start = loaded.get("start")
    start = start if isinstance(start, str) else None
    page = loaded.get("page")
    page = page if isinstance(page, str) and page else None
    if loaded.get("button") is not None:
        return Posted(identity, button=_token(loaded["button"]), start=start, page=page)
    text = loaded.get("text")
    if not isinstance(text, str):
        raise BadRequestError("The message needs a text.")
    text = clean(text)
    if not text.strip():
        raise BadRequestError("The message is empty.")
    return Posted(identity, text=text, start=start, page=page)


def parse_form(fields: Mapping[str, Any]) -> Form:
    """Read the form. An empty text is left to the caller: beside a button it is fine.

    Raises:
        BadRequestError: a hidden field or a button was changed.
        TooLargeError: the text is over the limit; it is kept in the form by the caller.
    """

    def one(name: str) -> str | None:
        value = fields.get(name)
        return value if isinstance(value, str) else None

    identity = one("id") or ""
    if not _ID.fullmatch(identity):
        raise BadRequestError("The form is not complete. Open the page again.")
    button = one("button")
    return Form(
        id=identity,
        text=clean(one("text") or ""),
        button=None if button is None else _token(button),
        start=one("start"),
        view=one("view"),
    )


def parse_seen(body: bytes) -> list[int]:
    """Read which outbox rows the page has shown.

    Raises:
        BadRequestError: it is not what the page sends.
    """
    seen = _object(body).get("outbox")
    if isinstance(seen, int):
        seen = [seen]
    if not isinstance(seen, list) or not 1 <= len(seen) <= MAX_SEEN:
        raise BadRequestError(f"Name 1 to {MAX_SEEN} messages.")
    if not all(isinstance(one, int) and not isinstance(one, bool) and 0 < one < 2**62 for one in seen):
        raise BadRequestError("A message is named by a number.")
    return seen


def parse_cursor(value: str | None) -> tuple[int, int] | None:
    """A place in the event table, or None when the words are not one."""
    found = _CURSOR.fullmatch(value or "")
    return (int(found[1]), int(found[2])) if found else None


def parse_view(value: str | None) -> tuple[int, int] | None:
    """(show from, made at): milliseconds and seconds of Unix time; None when it is not one."""
    found = _VIEW.fullmatch(value or "")
    return (int(found[1]), int(found[2])) if found else None


def clean(text: str) -> str:
    """The same text, in a form that every database stores.

    A null byte and a half of a surrogate pair become the replacement character, so that a reader
    sees that something stood there. Line ends become one kind, as browsers do not agree on them.

    Raises:
        TooLargeError: more than `MAX_CHARACTERS`.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if len(text) > MAX_CHARACTERS:
        raise TooLargeError(f"The message is too long. The limit is {MAX_CHARACTERS:,} characters.")
    return text


def message_of(person: str, posted: Posted, title: str | None = None, page: str = "") -> Incoming:
    """The message as the door takes it: `title` is the words on the button, `page` the checked topic."""
    identity = f"{person}:{posted.id}"
    if posted.button is None:
        return Incoming(NAME, person, identity, posted.text, page=page)
    return Incoming(NAME, person, identity, title or "", kind="button", button=posted.button, page=page)


def messages_of(person: str, form: Form, title: str | None = None) -> Sequence[Incoming]:
    """The form as the door takes it: the text, then the button.

    The id takes in what was written. A form sent again counts once; one that the person went back
    to and changed counts as new.
    """
    found = []
    if form.text.strip():
        mark = hashlib.sha256(form.text.encode()).hexdigest()[:8]
        found.append(Incoming(NAME, person, f"{person}:{form.id}.{mark}", form.text))
    if form.button is not None:
        found.append(
            Incoming(
                NAME, person, f"{person}:{form.id}.b{form.button}", title or "",
                kind="button", button=form.button, platform_sequence=1,
            )
        )  # fmt: skip
    return found


def _token(value: object) -> str:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise BadRequestError("That answer is not one of ours.")
    return value


def _object(body: bytes) -> dict[str, Any]:
    try:
        loaded = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError("This is not JSON.") from error
    if not isinstance(loaded, dict):
        raise BadRequestError("This is not a JSON object.")
    return loaded
