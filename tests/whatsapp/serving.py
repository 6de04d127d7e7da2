"""A gateway with WhatsApp, and the loopback Cloud API that it talks to."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import update

from bot.channels.whatsapp import WhatsApp
from bot.channels.whatsapp.texts import read_texts
from bot.settings import ROOT
from bot.store.tables import Conversation
from tests.meta.serving import MetaSide
from tests.platforms.graph import App, build
from tests.platforms.graph.server import VERSION
from tests.platforms.whatsapp import WhatsAppApp, WhatsAppServer, Writer
from tests.platforms.whatsapp.server import body_of
from tests.support.sides import Json, Served, side_of

_people = itertools.count(447_700_900_001)
FORCE = ROOT / "force" / "northumbria"


def settings_of(app: WhatsAppApp, api: str, **values: Any) -> dict[str, Any]:
    """The settings that switch the channel on."""
    given = {
        "whatsapp_token": app.token,
        "whatsapp_app_secret": app.app_secret,
        "whatsapp_verify_token": app.verify_token,
        "whatsapp_account_id": app.account_id,
        "whatsapp_phone_number_ids": ",".join(app.numbers),
        "whatsapp_api_url": f"{api}/{VERSION}",
    }
    return {**given, **{f"whatsapp_{key}": value for key, value in values.items()}}


def approved_at_meta() -> list[Json]:
    """The shipped force's texts, as Meta lists them."""
    return [
        {
            "name": text.name, "language": text.language, "status": "APPROVED",
            "components": [{"type": "BODY", "text": text.body}],
        }
        for text in read_texts(FORCE)
    ]  # fmt: skip


@dataclass(slots=True)
class WhatsAppSide(MetaSide):
    """WhatsApp, and what a test does there."""

    app: App = field(default_factory=WhatsAppApp)
    server: WhatsAppServer | None = None

    @property
    def account(self) -> WhatsAppApp:
        """Who we are there."""
        assert isinstance(self.app, WhatsAppApp)
        return self.app

    @property
    def whatsapp(self) -> WhatsApp:
        """The channel of the first gateway."""
        found = next(p for p in self.first.gateway.platforms if p.channel.name == "whatsapp")
        assert isinstance(found, WhatsApp)
        return found

    def person(self, number: int = 0, **ids: str) -> Writer:  # type: ignore[override]
        """Somebody new, who writes to one of our numbers."""
        phone = next(_people)
        given = {"phone": str(phone), "user": f"GB.{phone}77", **ids}
        return Writer(self.account.numbers[number], self.app.app_id, **given)

    def body(self, *given: Json) -> bytes:
        """The body of a webhook."""
        return body_of(self.account, list(given))

    def reset(self) -> None:
        """As it was at the start, its approved texts too."""
        MetaSide.reset(self)
        if self.server is not None:
            self.server.templates = approved_at_meta()

    def sends(self, person: Any, what: str, text: str = "") -> Json:
        """Something that is no words: image, voice or location, maybe with some."""
        if what == "location":
            return dict(person.is_at())
        return dict(person.sends({"image": "image", "voice": "audio"}[what], text))

    def wrote_before(self, person: Any, age: timedelta) -> None:
        """Let our own record say that they wrote so long ago."""
        chat = self.conversation(person.id).id

        async def change() -> None:
            async with self.first.gateway.core.store.write() as connection:
                await connection.execute(
                    update(Conversation)
                    .where(Conversation.id == chat)
                    .values(last_inbound_at=datetime.now(UTC) - age)
                )

        self.run(change())


@contextlib.contextmanager
def whatsapp_side(database_url: str, gateways: int = 1, **values: Any) -> Iterator[WhatsAppSide]:
    """Serve until the block ends. Values that begin with an underscore are settings of the channel."""
    app = WhatsAppApp()
    own = {key[1:]: value for key, value in values.items() if key.startswith("_")}
    others = {key: value for key, value in values.items() if not key.startswith("_")}
    server = WhatsAppServer(app, [])
    server.templates = approved_at_meta()

    def platform() -> Served:
        return Served(
            build(server, f"whatsapp-{id(server)}"),
            lambda api: settings_of(app, api, **own),
            server.gateways.append,
            server.close,
        )

    make = functools.partial(WhatsAppSide, app.name, app=app, server=server)
    with side_of(make, platform, database_url, gateways, **others) as side:
        yield side
