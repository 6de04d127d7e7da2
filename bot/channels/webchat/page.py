"""Renders the pages: templates, styles and scripts, all read once at the start."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bot.assistant import LiveContent
from bot.assistant.content import Content
from bot.channels.webchat.links import Linker, Piece

log = structlog.get_logger(__name__)

_HERE = Path(__file__).resolve().parent
_BUILT = _HERE.parents[1] / "console" / "static" / "build" / "webchat.css"
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_PLAIN_COLOUR = "#1d3557"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

OTHER_WAYS = (
    ("EMERG", "In an emergency, call"),
    ("BSL999", "Deaf, in an emergency: 999 BSL"),
    ("RELAY999", "Relay UK, in an emergency"),
    ("P101", "Not an emergency, call"),
    ("RELAY101", "Relay UK, not an emergency"),
    ("NPWEB", "Online"),
)


@dataclass(frozen=True, slots=True)
class File:
    """One file that the page loads; its hash is in its address, so it may be kept for long."""

    body: bytes
    type: str
    hash: str


class Pages:
    """The templates, bound to the words in force at the moment of rendering."""

    def __init__(self, content: LiveContent, *, demo: bool) -> None:
        self._content = content
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
        colour = str(self._content.current.force.get("colour", ""))
        if not _COLOUR.fullmatch(colour):
            colour = _PLAIN_COLOUR
        return f":root{{--force-colour:{colour}}}\n".encode()

    def render(self, template: str, **values: Any) -> str:
        """One page as text."""
        content = self._content.current
        zone = ZoneInfo(str(content.force.get("timezone", "Europe/London")))

        def clock(at: datetime) -> str:
            return at.astimezone(zone).strftime("%H:%M")

        return self._jinja.get_template(template).render(
            force=content.force,
            language=content.force.get("language", "en-GB"),
            line=content.line,
            desk=content.desk_name,
            demo=self._demo,
            clock=clock,
            other_ways=_other_ways(content),
            **values,
        )

    def _linked(self, text: str) -> Markup:
        return Markup("").join(_anchor(piece) for piece in self.linker.pieces(text))


def _anchor(piece: Piece) -> Markup:
    if piece.href is None:
        return Markup("{}").format(piece.text)
    if piece.is_web:
        return Markup(
            '<a class="govuk-link" href="{}" target="_blank" rel="noopener noreferrer">{}'
            '<span class="govuk-visually-hidden"> (opens in a new tab)</span></a>'
        ).format(piece.href, piece.text)
    return Markup('<a class="govuk-link" href="{}">{}</a>').format(piece.href, piece.text)


def _other_ways(content: Content) -> Sequence[tuple[str, str]]:
    found = []
    for key, label in OTHER_WAYS:
        contact = content.contacts.get(key)
        if contact is not None:
            found.append((label, str(contact["say"])))
    return found


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:12]


def _file(path: Path) -> File:
    body = path.read_bytes()
    return File(body, _TYPES.get(path.suffix, "application/octet-stream"), _hash(body))
