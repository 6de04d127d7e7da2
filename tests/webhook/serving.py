"""A gateway with one joined site, and the loopback board that it talks to."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bot.channels.sites import JoinedSite
from bot.channels.sites.options import PREFIX
from tests.meta.serving import MetaSide
from tests.platforms.site import OTHER_SECRET, SECRET, Board, SiteServer, Visitor, build, headers_of
from tests.platforms.site.server import CALLBACK
from tests.support.sides import Json, Served, side_of

_people = itertools.count(1)
_LIKE = {"4:99": "429", "613:1": "429", "80006:1": "429", "1200:1": "503", "100:33": "400"}
"""What a plain site answers where the Graph API has a code of its own."""


def settings_of(folder: Path, callback: str, secrets: Any = SECRET, **values: Any) -> dict[str, Any]:
    """The settings that join one board; values are fields of its entry."""
    site = {
        "name": "forum", "title": "North East forum", "kind": "message_board", "callback": callback, **values,
    }  # fmt: skip
    file = folder / "sites.yml"
    # JSON is YAML, too.
    file.write_text(json.dumps({"sites": [site]}), "utf-8")
    return {
        "sites_file": file,
        "site_secrets": json.dumps({"forum": secrets}),
        "site_hosts_inside": ("127.0.0.1",),
    }


@dataclass(slots=True)
class SiteSide(MetaSide):
    """A joined board, and what a test does there."""

    server: SiteServer | None = None

    @property
    def board(self) -> SiteServer:
        """The board itself; its state is read, never written, from here."""
        assert self.server is not None
        return self.server

    @property
    def site(self) -> JoinedSite:
        """The channel of the first gateway."""
        found = next(p for p in self.first.gateway.platforms if p.channel.name == self.channel)
        assert isinstance(found, JoinedSite)
        return found

    @property
    def has_window(self) -> bool:
        """A board takes a reply at any time."""
        return False

    @property
    def other_secret(self) -> str:
        """A key that the gateway does not hold."""
        return OTHER_SECRET

    def person(self, thread: str = "") -> Visitor:
        """Somebody new."""
        return Visitor(next(_people), thread)

    def calls(self, person: Any, path: str = "me/messages") -> list[Json]:
        """The calls that were about a person."""
        return [c for c in self.state(person)["calls"] if c["path"] == "reply"]

    def buttons(self, message: Json) -> dict[str, str]:
        """The choices under a message: what stands on each, and what it gives back."""
        return {choice["title"]: choice["token"] for choice in message["choices"]}

    def fault(self, kind: str, path: str = "callback", **options: Any) -> None:
        """What the next call does."""
        self.faults({"path": "callback", "kind": _LIKE.get(kind, kind), **options})

    def body(self, *given: Json) -> bytes:
        """The body of a call."""
        return json.dumps({"version": 1, "events": list(given)}).encode()

    def signed(self, body: bytes, secret: str | None = None) -> Any:
        """The headers of a call by hand."""
        return headers_of(body, secret or self.app.app_secret)

    def post(self, body: bytes, signature: Any = "") -> httpx.Response:
        """Post a call; the right headers unless others are given (None: no signature)."""
        headers = headers_of(body) if signature in ("", None) or isinstance(signature, str) else signature
        if signature is None:
            headers.pop("webhook-signature")
        elif isinstance(signature, str) and signature:
            headers["webhook-signature"] = signature
        encoded = {key.encode(): value.encode("latin-1") for key, value in headers.items()}
        return httpx.post(
            f"{self.first.base}/webhook/{self.app.name}", content=body, headers=encoded, trust_env=False,
            timeout=30,
        )  # fmt: skip

    def bare(self) -> None:
        """Echoes without the id that we gave."""
        self.mode(bare_echoes=True)

    def sends(self, person: Any, what: str, text: str = "") -> Json:
        """Something that is no words: image, voice or location, maybe with some."""
        words = {"text": text} if text else {}
        if what == "location":
            return dict(person.is_at(54.97, -1.61, **words))
        return dict(person.sends(what, **words))


@contextlib.contextmanager
def site_side(database_url: str, gateways: int = 1, **values: Any) -> Iterator[SiteSide]:
    """Serve until the block ends. Values that begin with an underscore are fields of the site's entry."""
    board = Board()
    own = {key[1:]: value for key, value in values.items() if key.startswith("_")}
    others = {key: value for key, value in values.items() if not key.startswith("_")}
    made: list[SiteServer] = []

    with tempfile.TemporaryDirectory(prefix="frontcounter-site-") as folder:

        def platform() -> Served:
            server = SiteServer(board, [])
            made.append(server)
            return Served(
                build(server, f"site-{id(server)}-{time.monotonic_ns()}"),
                lambda api: settings_of(Path(folder), api + CALLBACK, **own),
                server.gateways.append,
                server.close,
            )

        make = functools.partial(SiteSide, PREFIX + board.name, app=board)
        with side_of(make, platform, database_url, gateways, **others) as side:
            side.server = made[0]
            yield side
