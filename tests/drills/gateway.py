"""One gateway process of a drill: the real one, with the loopback platform and a door for the drill.

    python -m tests.drills.gateway --platform URL --secret … [--fault NAME]

Settings come from the environment, as ever. `--fault` takes one protection away, by patching from
outside, before anything starts: the product holds no switch for it. The door (`/drill/…` on the desk's
listener) calls `core.desk` in the name of made-up staff, so that claims race where they race in truth.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog
from sanic import Blueprint, HTTPResponse, Request
from sanic import json as json_response
from sqlalchemy import Insert, Row, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import app
from bot.console import search as find
from bot.console.reading import visible_of
from bot.conversations import desk, door, echoes, outbox, turn
from bot.conversations.outgoing import OwnWords
from bot.conversations.transcript import read_transcript
from bot.core import Core
from bot.errors import RetryLaterError, SettingError
from bot.handover import ownership, queue
from bot.handover.sensitive import Sensitive
from bot.messages import Actor, Echo, Incoming
from bot.settings import load_settings
from bot.store import Store
from bot.store.record import add_outbox, now
from bot.store.tables import Conversation, Outbox, Person, Staff, StaffSession, StaffTeam
from tests.drills.marking import mark_sends
from tests.platforms.loopback import Loopback

STAFF = 50
TEAMS = (
    "digital_desk", "control_room", "control_room_lead", "safeguarding", "professional_standards", "corporate_communications",
    "intelligence",
)  # fmt: skip
"""All of them: whatever a net makes of a message, somebody may take it."""
OPEN_TEAMS = ("digital_desk", "control_room", "safeguarding", "corporate_communications")
OUTSIDE = {51: "moderator", 52: "supervisor"}
"""Two who are in no closed team: they may not know of a chat in which an officer is accused."""


# ---- the drill's own door ----------------------------------------------------------------------


def actor(number: int) -> Actor:
    """Made-up member of staff `number`: 1 to 50, or one of those outside."""
    teams = OPEN_TEAMS if number in OUTSIDE else TEAMS
    return Actor(f"Drill {number}", number, OUTSIDE.get(number, "moderator"), frozenset(teams))


async def make_staff(core: Core) -> None:
    """Fifty moderators, each with a page open, and those outside."""
    async with core.store.write() as connection:
        found = await connection.execute(select(Staff.id).limit(1))
        if found.scalar_one_or_none() is not None:
            return
        stamp = now()
        for who in map(actor, (*range(1, STAFF + 1), *OUTSIDE)):
            number = who.staff_id
            await connection.execute(
                insert(Staff).values(
                    id=number, username=f"drill{number}", name=who.name, role=who.role,
                    password_hash="!", active=True, created_at=stamp,
                )
            )  # fmt: skip
            await connection.execute(
                insert(StaffTeam), [{"staff_id": number, "team": team} for team in sorted(who.teams)]
            )
            await connection.execute(
                insert(StaffSession).values(
                    id=f"drill{number}", staff_id=number, csrf="-", created_at=stamp, acted_at=stamp,
                    # Their pages stay open for the whole drill; a heartbeat would only add noise.
                    seen_at=stamp + timedelta(days=1),
                )
            )  # fmt: skip


def drill_door(core: Core) -> Blueprint[Any, Any]:
    """What the generator may ask for in the name of staff, and what it may look at."""
    routes: Blueprint[Any, Any] = Blueprint("drill", url_prefix="/drill")

    @routes.get("/chat")
    async def _chat(request: Request) -> HTTPResponse:
        async with core.store.read() as connection:
            row = await newest(connection, request)
        if row is None:
            return json_response(None, status=404)
        return json_response(
            {
                "id": row.id,
                "state": row.state,
                "epoch": row.epoch,
                "grade": row.grade,
                "owner": row.owner_id,
                "outside": row.owner_outside,
                "form": row.form,
            }
        )

    @routes.get("/transcript")
    async def _transcript(request: Request) -> HTTPResponse:
        async with core.store.read() as connection:
            row = await newest(connection, request)
            lines = [] if row is None else await read_transcript(connection, row.id)
        return json_response([{"side": line.side, "text": line.text} for line in lines])

    @routes.get("/sees")
    async def _sees(request: Request) -> HTTPResponse:
        who, chat = actor(int(request.args.get("staff"))), int(request.args.get("id"))
        return json_response(await ways_to_learn(core, who, chat, str(request.args.get("words"))))

    @routes.post("/staff")
    async def _staff(_request: Request) -> HTTPResponse:
        await make_staff(core)
        return json_response({"staff": STAFF})

    @routes.post("/<verb:str>")
    async def _act(request: Request, verb: str) -> HTTPResponse:
        body = request.json
        who = actor(int(body["staff"]))
        desk, chat = core.desk, int(body["id"])
        if verb == "claim":
            row = await desk.claim(chat, who, int(body["epoch"]))
            return json_response({"epoch": row.epoch, "owner": row.owner_id})
        if verb == "reply":
            return json_response({"outbox": await desk.reply(chat, who, body["text"])})
        if verb == "note":
            return json_response({"note": await desk.note(chat, who, body["text"])})
        if verb == "transfer":
            await desk.transfer(chat, who, body["team"], body["text"])
        elif verb == "release":
            await desk.release(chat, who)
        elif verb == "close":
            incident = body.get("incident", "NP-20261124-0001")
            outcome, done = body.get("outcome", "answered"), body.get("done", "")
            await desk.close(chat, who, outcome, done, incident=incident)
        else:
            return json_response({"error": "no such thing"}, status=404)
        return json_response({"ok": True})

    return routes


async def ways_to_learn(core: Core, who: Actor, chat: int, words: str) -> dict[str, bool]:
    """By what a member of staff learns that there is this conversation, with these words in it."""
    zone = core.limits.limits.hours.zone
    rule = Sensitive.of(core.content.current.teams)
    looking = find.Looking(find.Wanted(words=words), who, rule, zone, now())
    async with core.store.read() as connection:
        listed = await queue.list_queue(connection, who)
        facets = await queue.count_facets(connection, who)
        found = await looking.page(connection, find.Place())
        return {
            "list": chat in {row.id for row in listed},
            # Nothing else of that team is waiting while this drill runs.
            "count": any(one.team == "professional_standards" for one in facets),
            "search": chat in {one.row.id for one in found.chats},
            "events": chat in await visible_of(connection, [chat], who),
            "address": await queue.may_see(connection, chat, who),
        }


async def newest(connection: AsyncConnection, request: Request) -> Row[Any] | None:
    """The newest conversation of the person whom the request names."""
    person, channel = str(request.args.get("person")), str(request.args.get("channel") or "loopback")
    found = await connection.execute(
        select(Conversation.__table__)
        .join(Person, Person.id == Conversation.person_id)
        .where(Person.channel == channel, Person.platform_id == person)
        .order_by(Conversation.id.desc())
        .limit(1)
    )
    return found.one_or_none()


# ---- protections taken away --------------------------------------------------------------------


def without_epoch() -> None:
    """Answers of an old epoch count, and leave, whoever owns the conversation by then."""

    async def apply(self: turn.Turns, taken: turn.Taken, plan: turn.Plan) -> bool:
        async with self._store.write() as connection:
            row = await turn.lock_conversation(connection, taken.row.id)
            if row is None or not turn.holds_lease(row, self._gateway, taken.counter):
                return False
            await turn.Application(self._words, connection, taken, plan).carry_out(taken.row)
            await turn.give_lease_back(connection, taken.row.id, taken.counter)
        return True

    _replace(turn.Turns, "_apply", apply)
    _replace(outbox, "may_send", lambda row, conversation: True)


class _PlainInsert(Insert):
    """An INSERT that does not mind conflicts."""

    inherit_cache = False

    def on_conflict_do_nothing(self, **_: Any) -> _PlainInsert:
        """Nothing can conflict."""
        return self


def without_unique() -> None:
    """The same platform id is stored as often as it arrives."""

    async def never(_connection: AsyncConnection, _incoming: Incoming) -> None:
        return None

    migrate = app.migrate

    async def migrate_without_index(store: Store) -> None:
        await migrate(store)
        async with store.write() as connection:
            await connection.execute(text("DROP INDEX IF EXISTS message_once"))

    def plain_insert(connection: AsyncConnection, table: Any) -> Any:
        # Without the index there is nothing that ON CONFLICT could name.
        return _PlainInsert(table) if table is door.Message else upsert(connection, table)

    upsert = door.upsert
    _replace(door, "already_stored", never)
    _replace(door, "upsert", plain_insert)
    _replace(app, "migrate", migrate_without_index)


def without_lease() -> None:
    """Every gateway believes that the turn is its own."""

    async def take(
        connection: AsyncConnection, conversation_id: int, holder: str, length: timedelta
    ) -> Row[Any] | None:
        result = await connection.execute(
            update(Conversation)
            .where(Conversation.id == conversation_id)
            .values(
                lease_holder=holder,
                lease_expires=now() + length,
                lease_counter=Conversation.lease_counter + 1,
            )
            .returning(*Conversation.__table__.columns)
        )
        return result.one_or_none()

    _replace(turn, "take_lease", take)
    _replace(turn, "holds_lease", lambda row, holder, counter: True)


def without_outbox() -> None:
    """Rows leave whatever is under way or waits before them; one of unknown fate is sent again."""

    async def any_row(connection: AsyncConnection, conversation_id: int) -> Row[Any] | None:
        found = await connection.execute(
            select(Outbox.__table__)
            .where(
                Outbox.conversation_id == conversation_id,
                Outbox.state == "queued",
                Outbox.not_before <= now(),
            )
            .order_by(Outbox.id)
            .limit(1)
        )
        return found.one_or_none()

    async def again(self: outbox.OutboxSender, ready: Any, state: str, detail: str, **values: Any) -> None:
        if state == "unknown":
            await self._later(ready, RetryLaterError("sent again blindly", 0.1))
        else:
            await settle(self, ready, state, detail, **values)

    async def cut_off(self: outbox.OutboxSender, outbox_id: int) -> None:
        async with self._store.write() as connection:
            await connection.execute(
                update(Outbox)
                .where(Outbox.id == outbox_id, Outbox.state == "sending")
                .values(state="queued", holder=None, sending_until=None)
            )

    settle = outbox.OutboxSender._settle
    _replace(outbox, "next_row", any_row)
    _replace(outbox.OutboxSender, "_settle", again)
    _replace(outbox.OutboxSender, "mark_unknown", cut_off)


def without_echo() -> None:
    """No echo is known as our own: each is taken for a person who answers outside the desk."""

    async def never(_connection: AsyncConnection, _echo: Echo) -> bool:
        return False

    async def never_by_text(
        _connection: AsyncConnection, _row: Row[Any], _echo: Echo, _own: OwnWords
    ) -> bool:
        return False

    _replace(echoes, "_is_ours", never)
    _replace(echoes, "_match_by_text", never_by_text)


def without_seal() -> None:
    """Lists, counts and search show a sealed conversation to everybody."""
    visible = queue.visible

    def shown(who: Actor) -> Any:
        return or_(visible(who), Conversation.sealed)

    _replace(queue, "visible", shown)
    _replace(find, "visible", shown)


def without_privacy() -> None:
    """A private note is put in line for the person as well."""
    keep = desk.Desk.note

    async def keep_and_send(self: desk.Desk, conversation_id: int, who: Actor, text: str) -> int:
        note_id = await keep(self, conversation_id, who, text)
        async with self._store.write() as connection:
            row = await ownership.get(connection, conversation_id)
            await add_outbox(connection, row, "staff", text, epoch=row.epoch, author_id=who.staff_id)
        self._ring()
        return note_id

    _replace(desk.Desk, "note", keep_and_send)


FAULTS: dict[str, Callable[[], None]] = {
    "epoch": without_epoch,
    "unique": without_unique,
    "lease": without_lease,
    "outbox": without_outbox,
    "echo": without_echo,
    "seal": without_seal,
    "note": without_privacy,
}


def _replace(where: Any, name: str, what: Any) -> None:
    """Put `what` in the place of something that must be there: a rename must not hide a fault."""
    if not hasattr(where, name):
        raise SystemExit(f"Nothing is called {name} any more: mend tests/drills/gateway.py.")
    setattr(where, name, what)


# ---- the process -------------------------------------------------------------------------------


def open_the_door() -> None:
    """Let `app.build` put the drill's door on the desk's listener."""
    build = app.build

    def build_with_door(*args: Any, **kwargs: Any) -> app.Gateway:
        gateway = build(*args, **kwargs)
        gateway.desk.blueprint(drill_door(gateway.core))
        return gateway

    _replace(app, "build", build_with_door)


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="One gateway of a drill.")
    parser.add_argument("--platform", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--fault", choices=sorted(FAULTS))
    given = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(30),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper("%H:%M:%S", utc=True),
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
    )
    if given.fault:
        FAULTS[given.fault]()
    open_the_door()
    mark_sends(_replace)
    try:
        asyncio.run(app.serve(load_settings(), [Loopback(given.platform, given.secret)]))
    except SettingError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
