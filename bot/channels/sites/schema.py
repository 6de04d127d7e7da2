"""What a site may tell us, as a model: docs/channels/webhook.schema.json is made from it.

Each event stands by itself: one that is wrong is named, and does not take the others with it. Nothing is
guessed: a number in quotes is no number, and a field that nobody knows may be a slip of the pen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from bot.errors import BadRequestError

VERSION = 1
MOST_EVENTS = 100
MOST_PROBLEMS = 20
LONGEST_TEXT = 20_000
LONGEST_NUMBER = 30
"""Digits. Python refuses to read a number of thousands, and the whole call with it."""
MOST_PIECES = 5 * MOST_EVENTS
MOST_TRIES = 2 * MOST_PIECES
"""Of a call that is refused whole: events that are looked at, and places where one may begin."""

_TIME = (
    r"^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
Identity = Annotated[str, Field(pattern=r"^[!-~]{1,200}$", description="An id of the site's: visible ASCII.")]
Who = Annotated[
    str,
    Field(
        pattern=r"^[!-~]{1,100}$",
        description="The site's own mark for a person: visible ASCII, no name, no address.",
    ),
]
Thread = Annotated[
    str,
    Field(
        pattern=r"^[!-~]{1,100}$",
        description="Only where replies belong to a thread: a person then has one chat for each.",
    ),
]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT, description="Plain text.")]


def _day(written: str) -> str:
    # The pattern lets the 30th of February through.
    datetime.fromisoformat(written)
    return written


Time = Annotated[
    str,
    Field(pattern=_TIME, description="When it was written, with its time zone."),
    AfterValidator(_day),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Attachment(_Strict):
    """Something that came along. It is named, never fetched."""

    kind: Literal["image", "voice", "video", "file", "sticker", "other"]


class Location(_Strict):
    """A place, in degrees."""

    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)


class _Said(_Strict):
    """What every event about a person has."""

    person: Who
    thread: Thread = ""
    sent_at: Time = ""


class Message(_Said):
    """Somebody wrote: the person, or somebody of the site's or the force's own to that person."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": [key]} for key in ("text", "attachments", "location", "choice")]
        }
    )

    type: Literal["message"]
    id: Identity = Field(description="Never used again for anything else.")
    author: Literal["visitor", "staff"] = Field(
        "visitor",
        description="staff: said to the person in the force's name, outside Front Counter or by it.",
    )
    text: Text = ""
    choice: str = Field(
        "", min_length=1, max_length=100, description="The token of the choice that was pressed."
    )
    reply_to: Identity = Field("", description="The id of the message or reply that this one answers.")
    reply: Identity = Field("", description="With author staff: the id of our reply, where it was ours.")
    attachments: list[Attachment] = Field([], min_length=1, max_length=10)
    location: Location = Location(latitude=0, longitude=0)
    page: str = Field(
        "", min_length=1, max_length=120, description="What the page is about. Shown to staff only."
    )
    sequence: int = Field(0, ge=0, le=2_147_483_647, description="Order among messages of the same time.")

    @property
    def place(self) -> Location | None:
        """Where they are, if they said so."""
        return self.location if "location" in self.model_fields_set else None

    @model_validator(mode="after")
    def _says_something(self) -> Message:
        if not (self.text or self.attachments or self.place or self.choice):
            raise PydanticCustomError("says_nothing", "says nothing")
        return self


class Edit(_Said):
    """A new version of a message. Both stay on record."""

    type: Literal["edit"]
    message: Identity = Field(description="The id of the message.")
    text: Text
    version: int = Field(
        0, ge=1, le=999_999_999, description="Counts up; without it, versions are told apart by their words."
    )


class Delete(_Said):
    """A message was taken back. What was stored stays on record."""

    type: Literal["delete"]
    message: Identity = Field(description="The id of the message.")


class ReceiptEvent(_Strict):
    """What became of a reply of ours. A state never goes back."""

    type: Literal["receipt"]
    reply: Identity = Field(description="The id of our reply.")
    state: Literal["delivered", "read", "failed"]


Event = Annotated[Message | Edit | Delete | ReceiptEvent, Field(discriminator="type")]


class Batch(_Strict):
    """What one call brings."""

    version: Literal[1]
    events: list[Event] = Field(min_length=1, max_length=MOST_EVENTS)


_EVENT: TypeAdapter[Message | Edit | Delete | ReceiptEvent] = TypeAdapter(Event)
_TYPES = frozenset({"message", "edit", "delete", "receipt"})
_NAMES = frozenset(
    name
    for model in (Message, Edit, Delete, ReceiptEvent, Attachment, Location)
    for name in model.model_fields
)
_SAYS = {
    "missing": "is missing",
    "says_nothing": "holds no text, no choice, no attachment and no location",
    "extra_forbidden": "is no field of ours",
    "string_too_short": "is empty",
    "string_too_long": "is too long",
    "too_short": "is empty",
    "too_long": "holds too many",
    "string_pattern_mismatch": "is not of the form that the schema names",
    "literal_error": "is none of those that the schema lists",
    "union_tag_invalid": "is none of those that the schema lists",
    "union_tag_not_found": "is missing",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with what was sent, and where: never what stood there."""

    at: str
    says: str


@dataclass(frozen=True, slots=True)
class Read:
    """What a call holds: the events that are right, with their places, and what is wrong with the others."""

    events: tuple[tuple[int, Message | Edit | Delete | ReceiptEvent], ...]
    problems: tuple[Problem, ...]
    unread: tuple[Mapping[str, Any], ...] = ()
    """Events that are wrong, as they came: somebody in danger may stand in one."""


def read_batch(body: bytes) -> Read:
    """Read every event of a call.

    Raises:
        BadRequestError: it is no call of ours at all. `pieces_of` has what can be read of it.
    """
    loaded, is_damaged = _loaded(body)
    if not isinstance(loaded, dict):
        raise BadRequestError("the body is no JSON object")
    if type(loaded.get("version")) is not int or loaded["version"] != VERSION:
        raise BadRequestError(f"version must be {VERSION}")
    events = loaded.get("events")
    if not isinstance(events, list) or not 1 <= len(events) <= MOST_EVENTS:
        raise BadRequestError(f"events must be a list of 1 to {MOST_EVENTS}")
    if len(loaded) > 2:
        raise BadRequestError("beside version and events nothing is known")
    found: list[tuple[int, Message | Edit | Delete | ReceiptEvent]] = []
    problems: list[Problem] = []
    unread: list[Mapping[str, Any]] = []
    for place, event in enumerate(events):
        whole = _whole(event)
        if is_damaged and _DAMAGE in json.dumps(event, ensure_ascii=False):
            problems.append(Problem(f"events[{place}]", "is not UTF-8"))
            if isinstance(whole, dict):
                unread.append(whole)
            continue
        try:
            found.append((place, _EVENT.validate_json(json.dumps(whole))))
        except ValidationError as error:
            problems += _problems(place, error)
            if isinstance(whole, dict):
                unread.append(whole)
    return Read(tuple(found), tuple(problems[:MOST_PROBLEMS]), tuple(unread))


def pieces_of(body: bytes) -> Iterator[Mapping[str, Any]]:
    """Events that can be read in a call that is refused whole: cut off, badly written, or too many.

    Nothing of them is kept, but somebody in danger may stand in one.
    """
    text = body.decode("utf-8", "replace")
    reader = json.JSONDecoder(strict=False, parse_constant=_no_number, parse_int=_whole_number)
    at, pieces, tries = text.find("{"), 0, 0
    while at >= 0 and tries < MOST_TRIES and pieces < MOST_PIECES:
        tries += 1
        try:
            found, end = reader.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            inner = found.get("events") if isinstance(found, dict) else None
            for one in inner if isinstance(inner, list) else [found]:
                if isinstance(one, dict) and pieces < MOST_PIECES:
                    pieces += 1
                    yield _whole(one)
        at = text.find("{", end)


def time_of(written: str) -> datetime | None:
    """A time of the site's; None: it told none."""
    return datetime.fromisoformat(written).astimezone(UTC) if written else None


def published() -> dict[str, Any]:
    """The schema that sites are given."""
    schema = Batch.model_json_schema()
    _tidy(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Front Counter, plain inbound webhook, version 1",
        **schema,
    }


def _tidy(part: Any) -> None:
    """Take out what only Python needs: titles that repeat names, and defaults that mean "not there"."""
    if isinstance(part, dict):
        if "type" in part or "$ref" in part or "const" in part or "enum" in part:
            part.pop("title", None)
            part.pop("default", None)
        for value in part.values():
            _tidy(value)
    elif isinstance(part, list):
        for value in part:
            _tidy(value)


_DAMAGE = "\ufffd"
"""Stands in the place of bytes that are no letter."""


def _loaded(body: bytes) -> tuple[Any, bool]:
    """The JSON of a call, and whether bytes stood in it that are no letters: then one event is wrong."""
    options: dict[str, Any] = {"parse_constant": _no_number, "parse_int": _whole_number}
    try:
        try:
            return json.loads(body, **options), False
        except UnicodeDecodeError:
            return json.loads(body.decode("utf-8", "replace"), **options), True
    except (ValueError, RecursionError) as error:
        raise BadRequestError("the body is not JSON") from error


def _no_number(_word: str) -> None:
    """NaN and its like, which no field takes: the event is wrong, and no other."""


def _whole_number(word: str) -> int | None:
    """A number; one that is longer than any field of ours is none."""
    return int(word) if len(word) <= LONGEST_NUMBER else None


def _whole(event: Any) -> Any:
    """An event whose text holds whole letters: half of a pair is nothing that can be kept."""
    if isinstance(event, dict) and isinstance(text := event.get("text"), str):
        return {**event, "text": text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")}
    return event


def _problems(place: int, error: ValidationError) -> Iterator[Problem]:
    for one in error.errors(include_input=False, include_url=False, include_context=False):
        steps = one["loc"][1:] if one["loc"] and one["loc"][0] in _TYPES else one["loc"]
        at = f"events[{place}]"
        for step in steps:
            if isinstance(step, int):
                at += f"[{step}]"
            else:
                at += f".{step}" if step in _NAMES else ".(another field)"
        if one["type"].startswith("union_tag"):
            at += ".type"
        yield Problem(at, _SAYS.get(one["type"], "is not as the schema says"))
