"""Renders the pages: templates, styles and scripts, all read once at the start."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bot.assistant import LiveContent
from bot.assistant.content import ALWAYS_SHOWN
from bot.channels.webchat.inbound import NAME
from bot.channels.webchat.links import Linker, Piece
from bot.channels.webchat.pages import Notices, address, blocks
from bot.errors import ContentError

log = structlog.get_logger(__name__)

_HERE = Path(__file__).resolve().parent
_BUILT = _HERE.parents[1] / "console" / "static" / "build" / "webchat.css"
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_PLAIN_COLOUR = "#1d3557"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

OTHER_WAYS = tuple(
    zip(
        ALWAYS_SHOWN,
        (
            "chat_way_emergency",
            "chat_way_bsl",
            "chat_way_relay_emergency",
            "chat_way_101",
            "chat_way_relay",
            "chat_way_online",
        ),
        strict=True,
    )
)
"""Contacts of the register, and the sentence that stands before each."""


@dataclass(frozen=True, slots=True)
class File:
    """One file that the page loads; its hash is in its address, so it may be kept for long."""

    body: bytes
    type: str
    hash: str
    packed: bytes
    """The same, made small for the way (gzip)."""


class Pages:
    """The templates, bound to the words in force at the moment of rendering."""

    def __init__(self, content: LiveContent, notices: Notices, *, demo: bool) -> None:
        self._content = content
        # A release from before a sentence or a contact was added lends the file's.
        self._files = content.current
        self._notices = notices
        self._demo = demo
        self._linker: Linker | None = None
        self._jinja = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._jinja.filters["linked"] = self._linked
        self._jinja.globals["asset"] = self.address
        self.files = {path.name: _file(path) for path in sorted((_HERE / "static").iterdir())}
        if _BUILT.is_file():
            self.files[_BUILT.name] = _file(_BUILT)
        else:
            log.warning("webchat.no_styles", do="make assets")

    @property
    def linker(self) -> Linker:
        """The register's links, of the release in force."""
        content = self._content.current
        if self._linker is None or self._linker.sha256 != content.sha256:
            self._linker = Linker(content)
        return self._linker

    def address(self, name: str) -> str:
        """Where a file is, with its hash; the force's colour is a file too."""
        if name == "colour.css":
            return f"/chat/static/colour.css?v={_hash(self.colour())}"
        file = self.files.get(name)
        return f"/chat/static/{name}?v={file.hash if file else 'missing'}"

    def colour(self) -> bytes:
        """The force's colour as a style sheet: the page allows no style inside itself."""
        return f":root{{--force-colour:{self.force_colour()}}}\n".encode()

    def force_colour(self) -> str:
        """The colour of the force, as `#rrggbb`."""
        colour = str(self._content.current.force.get("colour", ""))
        return colour if _COLOUR.fullmatch(colour) else _PLAIN_COLOUR

    def render(self, template: str, **values: Any) -> str:
        """One page as text."""
        content = self._content.current
        zone = ZoneInfo(str(content.force.get("timezone", "Europe/London")))

        def clock(at: datetime) -> str:
            return at.astimezone(zone).strftime("%H:%M")

        return self._jinja.get_template(template).render(
            force=content.force,
            language=content.force.get("language", "en-GB"),
            line=self.line,
            desk=content.desk_name,
            demo=self._demo,
            clock=clock,
            other_ways=self._other_ways(),
            notices=self._links(values.get("name")),
            **{"embedded": False, **values},
        )

    def notice(self, name: str, **known: object) -> str:
        """One of the pages that do not change with a chat.

        Raises:
            ContentError: it names a fact or a contact that nobody knows.
        """
        notice = self._notices.pages[name]
        return self.render(
            "page_text.html",
            name=name,
            notice=notice,
            sections=[(one.heading, blocks(self._fill(one.text, known))) for one in notice.sections],
        )

    def line(self, key: str, **values: object) -> str:
        """One sentence of the release in force."""
        try:
            return self._content.current.for_channel(NAME).line(key, **values)
        except ContentError:
            return self._files.for_channel(NAME).line(key, **values)

    def _fill(self, text: str, known: Mapping[str, object]) -> str:
        content = self._content.current
        force = content.force
        filled = self._notices.fill(
            text,
            force=force.get("name", ""),
            desk=content.desk_name,
            hours=content.hours.get("desk", {}).get("said", ""),
            site=force.get("public_site", ""),
            **known,
        )
        try:
            return content.render(filled)
        except ContentError:
            return self._files.render(filled)

    def _links(self, here: object) -> list[tuple[str, str, bool]]:
        force = self._content.current.force
        return [
            (address(name, force), notice.link, name == here) for name, notice in self._notices.pages.items()
        ]

    def _other_ways(self) -> Sequence[tuple[str, str]]:
        contacts = self._content.current.contacts
        return [(self.line(key), str(contacts[name]["say"])) for name, key in OTHER_WAYS if name in contacts]

    def _linked(self, text: str) -> Markup:
        new_tab = self.line("chat_new_tab")
        return Markup("").join(_anchor(piece, new_tab) for piece in self.linker.pieces(text))


def _anchor(piece: Piece, new_tab: str) -> Markup:
    if piece.href is None:
        return Markup("{}").format(piece.text)
    if piece.is_web:
        return Markup(
            '<a class="govuk-link" href="{}" target="_blank" rel="noopener noreferrer">{}'
            '<span class="govuk-visually-hidden"> {}</span></a>'
        ).format(piece.href, piece.text, new_tab)
    return Markup('<a class="govuk-link" href="{}">{}</a>').format(piece.href, piece.text)


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:12]


def _file(path: Path) -> File:
    body = path.read_bytes()
    kind = _TYPES.get(path.suffix, "application/octet-stream")
    return File(body, kind, _hash(body), gzip.compress(body, mtime=0))
