"""A gateway with X, and the loopback X that it talks to."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from bot.channels.x import X
from bot.channels.x.budget import Budget
from tests.meta.serving import MetaSide
from tests.platforms.x import App, Writer, XServer, build, events, sign
from tests.platforms.x.server import CLIENT_HEADER, HEADER
from tests.support.sides import Json, OneGateway, Served, side_of

_people = itertools.count(2_310_010_001)
_KINDS = {"4:99": "429", "613:1": "429", "80006:1": "429", "1200:1": "503", "100:33": "400"}
"""What Meta says by a code, X says by a status: for the suite that every channel passes."""
PATIENT = 100_000.0


def settings_of(app: App, api: str, **values: Any) -> dict[str, Any]:
    """The settings that switch the channel on."""
    return {
        "x_consumer_key": app.consumer_key,
        "x_consumer_secret": app.app_secret,
        "x_access_token": app.access_token,
        "x_access_secret": app.access_secret,
        "x_client_secret": app.client_secret,
        "x_api_url": api,
        "x_mode": "webhook",
        "x_poll_seconds": 1.0,
        **{f"x_{key}": value for key, value in values.items()},
    }


@dataclass(slots=True)
class XSide(MetaSide):
    """X, and what a test does there."""

    app: App = field(default_factory=App)  # type: ignore[assignment]

    @property
    def has_window(self) -> bool:
        """X names no time after which a reply is refused."""
        return False

    @property
    def platform(self) -> X:  # type: ignore[override]
        """The channel of the first gateway."""
        return platform_of(self.first)

    def person(self) -> Any:
        """Somebody new."""
        return Writer(next(_people), self.app.us)

    def calls(self, person: Any, path: str = "send") -> list[Json]:
        """The calls of one kind that were about a person."""
        return [c for c in self.state(person)["calls"] if c["kind"] == path]

    def asked(self, kind: str = "2/dm_events") -> list[Json]:
        """All calls of one kind."""
        return [call for call in self.state()["calls"] if call["kind"] == kind]

    def reset(self) -> None:
        """As it was at the start, but for what people have written: each test has people of its own."""
        for one in self.gateways:
            one.mend_store()
            way_out = platform_of(one)._way_out
            way_out.budget, way_out.refused, way_out.heard_at = Budget(), None, None
        self.rasa.down = False
        self.mode()
        self.faults()
        self.set_state(token=self.app.access_token, blocked=[], limits={})

    def buttons(self, message: Json) -> dict[str, str]:
        """What may be typed under a message: numbers of a list, and the word for a person."""
        lines = message["text"].splitlines()
        found = {
            title: n for n, dot, title in (line.partition(". ") for line in lines) if dot and n.isdecimal()
        }
        word = (
            {self.line("talk_to_person"): "person"} if lines[-1:] == [self.line("write_for_person")] else {}
        )
        return {**found, **word}

    # ---- misbehaviour --------------------------------------------------------------------------

    def fault(self, kind: str, path: str = "send", **options: Any) -> None:
        """What the next call of one kind does."""
        self.faults({"path": path, "kind": _KINDS.get(kind, kind), **_in_xs_words(kind, options)})

    def limit(self, kind: str, limit: int, left: int, seconds: float = PATIENT) -> None:
        """A window of one kind of call, from now on."""
        self.set_state(limits={kind: {"limit": limit, "left": left, "reset": time.time() + seconds}})

    # ---- by hand -------------------------------------------------------------------------------

    def signed(self, body: bytes, secret: str | None = None) -> Any:
        """A signature of a body, to be given to `post`."""
        return sign(body, secret or self.app.client_secret or self.app.app_secret)

    def body(self, *given: Json) -> bytes:
        """The body of a webhook."""
        return XServer(self.app, []).bodies(list(given))[0]

    def post(self, body: bytes, signature: str | None = "") -> httpx.Response:
        """Post a webhook; the right signature unless another is given (None: none)."""
        headers: dict[Any, Any] = {}
        if signature == "":
            headers = dict(XServer(self.app, []).signed(body))
        elif signature is not None:
            name = CLIENT_HEADER if self.app.client_secret else HEADER
            headers = {name.encode(): signature.encode("latin-1")}
        return httpx.post(
            f"{self.first.base}/x/webhook", content=body, headers=headers, trust_env=False, timeout=30
        )

    # ---- what the conformance suite asks for ---------------------------------------------------

    def bare(self) -> None:
        """Echoes never carry a mark of ours here."""

    def sends(self, person: Any, what: str, text: str = "") -> Json:
        """Something that is no words: image, voice or location, maybe with some."""
        shown = {"image": events.PHOTO, "voice": events.AUDIO, "location": events.LOCATION}[what]
        found: Json = person.sends(shown, text)
        return found


def _in_xs_words(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """X does not say how many seconds to wait: it says until when."""
    headers = dict(options.pop("headers", {}))
    after = headers.pop("Retry-After", None)
    if after is not None and _KINDS.get(kind, kind) == "429":
        until = math.ceil(time.time() + float(after) + 1)
        headers = {
            "x-rate-limit-limit": "15", "x-rate-limit-remaining": "0", "x-rate-limit-reset": str(until)
        }  # fmt: skip
    return {**options, "headers": headers}


def platform_of(one: OneGateway) -> X:
    """X of a gateway."""
    found = next(p for p in one.gateway.platforms if p.channel.name == "x")
    assert isinstance(found, X)
    return found


@contextlib.contextmanager
def x_side(database_url: str, gateways: int = 1, **values: Any) -> Iterator[XSide]:
    """Serve until the block ends. Values that begin with an underscore are settings of the channel."""
    own = {key[1:]: value for key, value in values.items() if key.startswith("_")}
    app = own.pop("app", App())
    others = {key: value for key, value in values.items() if not key.startswith("_")}

    def platform() -> Served:
        server = XServer(app, [])
        return Served(
            build(server, f"x-{id(server)}"),
            lambda api: settings_of(app, api, **own),
            server.gateways.append,
            server.close,
        )

    make = functools.partial(XSide, "x", app=app)
    with side_of(make, platform, database_url, gateways, **others) as side:
        yield side
