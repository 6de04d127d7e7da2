"""A gateway with Messenger or Instagram, and the loopback Graph API that it talks to."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from bot.channels.meta.platform import MetaPlatform
from tests.platforms.graph import App, GraphServer, Writer, build, events, sign
from tests.platforms.graph.server import HEADER, VERSION
from tests.support.sides import Json, Served, Side, side_of

NAMES = ("messenger", "instagram")
_people = itertools.count(7_310_010_001)


def settings_of(app: App, api: str, **values: Any) -> dict[str, Any]:
    """The settings that switch a channel on."""
    name = app.name
    given = {
        f"{name}_token": app.token,
        f"{name}_app_secret": app.app_secret,
        f"{name}_verify_token": app.verify_token,
        f"{name}_app_id": app.app_id,
        f"{name}_api_url": f"{api}/{VERSION}",
        "instagram_account_id" if app.is_instagram else "messenger_page_id": app.us,
    }
    return {**given, **{f"{name}_{key}": value for key, value in values.items()}}


class Somebody(Protocol):
    """A person of a platform, as our own record knows them."""

    @property
    def id(self) -> str: ...


@dataclass(slots=True)
class MetaSide(Side):
    """Messenger or Instagram, and what a test does there."""

    app: App = field(default_factory=App)

    @property
    def platform(self) -> MetaPlatform:
        """The channel of the first gateway."""
        found = next(p for p in self.first.gateway.platforms if p.channel.name == self.app.name)
        assert isinstance(found, MetaPlatform)
        return found

    # ---- people --------------------------------------------------------------------------------

    def person(self) -> Writer:
        """Somebody new."""
        return Writer(next(_people), self.app.us)

    def inject(self, *given: Json, **options: Any) -> None:
        """Let this happen on the platform."""
        answer = self.http.post("/control/webhooks", json={"events": list(given), **options})
        assert answer.status_code == 200, answer.text

    def state(self, person: Somebody | None = None) -> Json:
        """What the platform has seen so far, of one person or of all."""
        query = {} if person is None else {"person": person.id}
        return dict(self.http.get("/control/state", params=query).json())

    def sent(self, person: Somebody) -> list[Json]:
        """The messages that reached a person, in order."""
        return list(self.state(person)["messages"])

    def texts(self, person: Somebody) -> list[str]:
        """Their texts."""
        return [message["text"] for message in self.sent(person)]

    def hears(self, person: Somebody, part: str, times: int = 1) -> Json:
        """Wait until a person has got a message with these words in it, so often; return the last."""

        def found() -> list[Json]:
            return [message for message in self.sent(person) if part in message["text"]]

        self.until(lambda: len(found()) >= times, f"{part!r} to arrive")
        return found()[-1]

    def taken(self) -> None:
        """Wait until nothing has to be delivered any more."""
        left = "/control/pending"
        self.until(lambda: self.http.get(left).json()["pending"] == 0, "the webhooks to be taken")

    def calls(self, person: Somebody, path: str = "me/messages") -> list[Json]:
        """The calls of one path that were about a person; sender actions are no messages."""
        return [c for c in self.state(person)["calls"] if c["path"] == path and "sender_action" not in c]

    def signs(self, person: Somebody) -> list[str]:
        """The sender actions that a person was shown."""
        return [c["sender_action"] for c in self.state(person)["calls"] if "sender_action" in c]

    def reset(self) -> None:
        """As it was at the start, but for what people have written: each test has people of its own."""
        for one in self.gateways:
            one.mend_store()
        self.rasa.down = False
        self.mode()
        self.faults()
        self.set_state(token=self.app.token, blocked=[], is_default_app=True)

    def buttons(self, message: Json) -> dict[str, str]:
        """The quick replies under a message: what stands on each, and what it gives back."""
        return {reply["title"]: reply["payload"] for reply in message["quick_replies"]}

    # ---- misbehaviour --------------------------------------------------------------------------

    def faults(self, *faults: Json) -> None:
        """What the next calls do."""
        self.http.post("/control/faults", json=list(faults)).raise_for_status()

    def fault(self, kind: str, path: str = "me/messages", **options: Any) -> None:
        """What the next call of one path does."""
        self.faults({"path": path, "kind": kind, **options})

    def mode(self, **mode: Any) -> None:
        """How the platform behaves from now on."""
        self.http.post("/control/mode", json=mode).raise_for_status()

    def set_state(self, **state: Any) -> None:
        """Who has blocked us, which token is right, who holds a chat."""
        self.http.post("/control/state", json=state).raise_for_status()

    # ---- by hand -------------------------------------------------------------------------------

    @property
    def has_window(self) -> bool:
        """Whether the platform takes a reply only for so long after a person's message."""
        return True

    @property
    def other_secret(self) -> str:
        """A secret of the right form that is not the one we share."""
        return "f" * 32

    def signed(self, body: bytes, secret: str | None = None) -> Any:
        """A signature of a body, to be given to `post`."""
        return sign(body, secret or self.app.app_secret)

    def body(self, *given: Json) -> bytes:
        """The body of a webhook."""
        entry = {"id": self.app.us, "time": 1, "messaging": list(given)}
        kind = "instagram" if self.app.is_instagram else "page"
        return json.dumps({"object": kind, "entry": [entry]}).encode()

    def post(self, body: bytes, signature: str | None = "") -> httpx.Response:
        """Post a webhook; the right signature unless another is given (None: none)."""
        given = (sign(body, self.app.app_secret) if signature == "" else signature or "").encode("latin-1")
        headers = {} if signature is None else {HEADER.encode(): given}
        return httpx.post(
            f"{self.first.base}/{self.app.name}/webhook", content=body, headers=headers, trust_env=False,
            timeout=30,
        )  # fmt: skip

    # ---- what the conformance suite asks for ---------------------------------------------------

    def bare(self) -> None:
        """Echoes as this platform may send them at worst: Instagram's without any mark of ours."""
        self.mode(bare_echoes=self.app.is_instagram)

    def sends(self, person: Writer, what: str, text: str = "") -> Json:
        """Something that is no words: image, voice or location, maybe with some."""
        shown = {"image": events.IMAGE, "voice": events.AUDIO, "location": events.LOCATION}[what]
        return person.sends(shown, **({"text": text} if text else {}))


class Kept:
    """Sides that several tests use, one after the other: to start one takes longer than most tests."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._sides: dict[Any, MetaSide] = {}

    def get(self, key: Any, make: Callable[[], AbstractContextManager[MetaSide]]) -> MetaSide:
        """The side of that key, made at the first call, as it was at the start."""
        if key not in self._sides:
            self._sides[key] = self._stack.enter_context(make())
        self._sides[key].reset()
        return self._sides[key]

    def close(self) -> None:
        """End them all; whoever asks again gets new ones."""
        self._sides.clear()
        self._stack.close()


@contextlib.contextmanager
def meta_side(name: str, database_url: str, gateways: int = 1, **values: Any) -> Iterator[MetaSide]:
    """Serve until the block ends. Values that begin with an underscore are settings of the channel."""
    app = App(name)
    own = {key[1:]: value for key, value in values.items() if key.startswith("_")}
    others = {key: value for key, value in values.items() if not key.startswith("_")}

    def platform() -> Served:
        server = GraphServer(app, [])
        server.human_agent = bool(own.get("human_agent"))
        return Served(
            build(server, f"graph-{id(server)}"),
            lambda api: settings_of(app, api, **own),
            server.gateways.append,
            server.close,
        )

    make = functools.partial(MetaSide, app.name, app=app)
    with side_of(make, platform, database_url, gateways, **others) as side:
        yield side
