"""Alarms that leave the building: raised, told, risen and settled, by any number of gateways.

Each gateway looks once a second. An alarm is a row with a key of its own, so that all of them make
one; a call is begun under a lock of that row, so that one of them makes it. Redis is never asked, nor
Rasa. What a crash leaves is done again: a repeat is allowed, a gap is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog
from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import RefusedError, StoreUnavailableError
from bot.handover.alarms.causes import REPLACED, Cause, first_look, last_looks, unseen
from bot.handover.alarms.outage import Outage, Try, end
from bot.handover.alarms.paths import Call, Notice, Outcome, Path, State, open_paths, state_of
from bot.handover.alarms.plan import Pace, due_calls, is_told
from bot.handover.alarms.rota import PATHS, PathName, Rota, read_rota
from bot.handover.seals import team_to_name
from bot.handover.shift import is_on_shift
from bot.messages import Actor
from bot.settings import Settings
from bot.store import Store
from bot.store.record import add_audit, lock_conversation, now, upsert
from bot.store.tables import Alarm, AlarmAttempt, Conversation

log = structlog.get_logger(__name__)

T = TypeVar("T")

AT_ONCE = 8
"""Calls under way by one path in one gateway: more wait, so that a slow receiver is not drowned."""
TEST_EVERY_SECONDS = 30
DIGEST_SECONDS = 60.0
STATE_EVERY = timedelta(seconds=5)

PATH_WORDS: dict[PathName, str] = {"mail": "mail", "webhook": "the webhook"}


@dataclass(frozen=True, slots=True)
class Last:
    """The newest call by one path that has ended."""

    result: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Tested:
    """What became of a test call."""

    contact: str
    outcome: Outcome


class Alarms:
    """Notices what nobody has seen, and tells those of the rota, level after level."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        rota: Rota,
        *,
        gateway: str,
        category_name: Callable[[str], str] = str,
        team_name: Callable[[str], str] = str,
        pace: Pace | None = None,
        digest_seconds: float = DIGEST_SECONDS,
    ) -> None:
        self.rota = rota
        self.state: State = state_of(settings, rota)
        self.store = store
        self._after = timedelta(seconds=settings.alarm_seconds)
        self._poll = settings.poll_seconds
        self._gateway = gateway
        self._category_name = category_name
        self._team_name = team_name
        self._pace = pace or Pace(lost_seconds=1.5 * settings.alarm_call_seconds)
        self._digest = timedelta(seconds=digest_seconds)
        self._paths: dict[PathName, Path] = open_paths(settings, rota)
        self._calling: dict[PathName, set[asyncio.Task[None]]] = {path: set() for path in PATHS}
        self._running: list[asyncio.Task[None]] = []
        self._woken = asyncio.Event()
        self._stopping = False
        self._scans = False
        self._outage: Outage | None = None
        self._outages = 0
        self._watched: list[Cause] = []
        self._away_since: datetime | None = None
        self._last: dict[PathName, Last] = {}
        self._last_read: datetime | None = None

    # ---- running -----------------------------------------------------------------------------

    def start(self, *, scan: bool) -> None:
        """Begin. Without `scan` only what the door could not store is told: the database is not ready."""
        self._scans = self._scans or scan
        if not self._running:
            self._running = [
                asyncio.create_task(self._run_outage(), name="alarms-unstored"),
                asyncio.create_task(self._run_scan(), name="alarms"),
            ]

    async def stop(self, seconds: float = 15.0) -> None:
        """Begin no call any more, let those under way end, and close the paths."""
        self._stopping = True
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        under_way = [task for tasks in self._calling.values() for task in tasks]
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=seconds)
            for task in late:
                # Its row stays without an end: another gateway makes the call again.
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for path in self._paths.values():
            await path.close()

    async def _run_scan(self) -> None:
        while True:
            if self._scans:
                try:
                    await self.look()
                except StoreUnavailableError:
                    log.warning("alarms.store_unavailable")
                    self._store_is_away()
                except Exception:
                    log.exception("alarms.failed")
            await asyncio.sleep(self._poll)

    async def _run_outage(self) -> None:
        while True:
            try:
                self.tell_unstored()
            except Exception:
                log.exception("alarms.unstored_failed")
            try:
                async with asyncio.timeout(self._poll):
                    await self._woken.wait()
            except TimeoutError:
                continue
            self._woken.clear()

    # ---- without the database ------------------------------------------------------------------

    def unstored(self, channel: str, category: str, key: Hashable) -> None:
        """A P1 that could not be stored: told at once. Never waits and never raises.

        `key` is the same whenever the platform delivers the message again; it is kept in memory only.
        """
        moment = now()
        if self._outage is None:
            self._outages += 1
            name = f"unstored-{self._gateway}-{self._outages}"
            self._outage = Outage(name, self._digest, moment, moment)
        if self._outage.add(channel, category, key, moment):
            log.error("alarms.unstored", channel=channel, category=category, count=self._outage.count)
            self._woken.set()

    def tell_unstored(self) -> None:
        """Begin the calls for what could not be stored that are due now."""
        outage = self._outage
        if outage is None:
            return
        for call in outage.due(self.rota, self._paths, now(), self._pace):
            if self._has_room(call.path):
                self._begin(call, self._call_unstored(outage, call, outage.begin(call, now())))

    async def _call_unstored(self, outage: Outage, call: Call, one: Try) -> None:
        outcome = await self._call(self._named(outage.notice()), call)
        end(one, outcome, now())

    def _store_is_away(self) -> None:
        """Chats that nobody had seen cannot be seen now either: they count as not stored."""
        moment = now()
        self._away_since = self._away_since or moment
        if moment - self._away_since < self._after:
            return
        for cause in self._watched:
            if cause.grade == "P1":
                self.unstored("record", cause.category, cause.key)
        self._watched = []

    async def _keep_outage(self) -> None:
        """Write an outage into the record, once the database works again and a calm minute has passed.

        What could not be told yet is told from there, by any gateway.
        """
        outage = self._outage
        if outage is None or outage.is_calling or outage.last_at + self._digest > now():
            return
        detail = {
            "count": outage.count,
            "categories": dict(outage.categories),
            "channels": dict(outage.channels),
            "until": outage.last_at.isoformat(),
        }
        notice = outage.notice()
        async with self.store.write() as connection:
            alarm_id = await _insert(
                connection, key=outage.key, kind="unstored", grade="P1", category=notice.category or None,
                raised_at=outage.started_at, detail=detail,
                level=max((one.level for one in outage.tries), default=0),
            )  # fmt: skip
            if alarm_id is not None and outage.tries:
                rows = [
                    {
                        "alarm_id": alarm_id, "path": one.path, "level": one.level, "number": one.number,
                        "contact": one.contact, "gateway": self._gateway, "started_at": one.started_at,
                        "ended_at": one.ended_at, "result": one.result, "detail": one.detail,
                    }
                    for one in outage.tries
                ]  # fmt: skip
                await connection.execute(insert(AlarmAttempt), rows)
        if self._outage is outage and outage.last_at + self._digest <= now():
            self._outage = None

    # ---- one look ----------------------------------------------------------------------------

    async def look(self) -> None:
        """Raise, settle and tell whatever it is time for.

        Raises:
            StoreUnavailableError: nothing is lost; the next look goes on.
        """
        fresh = await self._apart(self._fresh())
        for cause in fresh or ():
            await self._apart(self._raise(cause))
        async with self.store.read() as connection:
            needy = await self._needy(connection)
        for alarm_id in needy:
            await self._apart(self._one(alarm_id))
        await self._apart(self._read_last())
        await self._apart(self._keep_outage())

    async def _apart(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Do one piece so that what is wrong with it stops nothing else.

        Raises:
            StoreUnavailableError: then nothing else would do either.
        """
        try:
            return await work
        except StoreUnavailableError:
            raise
        except Exception:
            log.exception("alarms.piece_failed")
            return None

    async def _fresh(self) -> list[Cause]:
        """What has stood unseen for long enough, and has no alarm yet."""
        async with self.store.read() as connection:
            causes = await unseen(connection)
            self._watched, self._away_since = causes, None
            due = await self._due(connection, causes)
            if not due:
                return []
            keys = select(Alarm.key).where(Alarm.key.in_([cause.key for cause in due]))
            known = set((await connection.execute(keys)).scalars())
        return [cause for cause in due if cause.key not in known]

    async def _needy(self, connection: AsyncConnection) -> list[int]:
        """The open alarms that are to be settled, or for which a call is due."""
        rows = (await connection.execute(_open())).all()
        ids = [row.conversation_id for row in rows if row.conversation_id is not None]
        looked = await last_looks(connection, ids) if ids else {}
        ended = await _ended(connection, ids) if ids else set()
        tries = await _tries(connection, [row.id for row in rows])
        found = []
        for row in rows:
            seen = looked.get(row.conversation_id or 0)
            is_over = row.conversation_id in ended or (seen is not None and seen >= _cause_at(row))
            if is_over or row.conversation_id is None or self._due_calls(row, tries.get(row.id, [])):
                found.append(row.id)
        return found

    async def _due(self, connection: AsyncConnection, causes: Sequence[Cause]) -> list[Cause]:
        """What has stood unseen for long enough: a P1 always, a P2 while nobody is on shift for it."""
        before = now() - self._after
        old = [cause for cause in causes if cause.at <= before]
        danger = {cause.conversation_id for cause in old if cause.grade == "P1"}
        staffed: dict[str, bool] = {}
        found = []
        for cause in old:
            if cause.grade != "P1":
                if cause.conversation_id in danger:
                    continue
                if cause.team not in staffed:
                    staffed[cause.team] = await is_on_shift(connection, cause.grade, cause.team or None)
                if staffed[cause.team]:
                    continue
            found.append(cause)
        return found

    async def _raise(self, cause: Cause) -> None:
        async with self.store.write() as connection:
            # Whoever opens the chat takes the same lock: an alarm is raised before or not at all.
            chat = await lock_conversation(connection, cause.conversation_id)
            if chat is None or chat.state not in ("waiting", "human"):
                return
            if await first_look(connection, cause.conversation_id, cause.at) is not None:
                return
            rows = await connection.execute(_open().where(Alarm.conversation_id == cause.conversation_id))
            standing = rows.all()
            if any((row.grade or "P4") <= cause.grade for row in standing):
                return
            alarm_id = await _insert(
                connection, key=cause.key, kind=cause.grade.lower(), conversation_id=cause.conversation_id,
                reference=cause.reference, grade=cause.grade, category=cause.category or None,
                team=await team_to_name(connection, chat), raised_at=now(), detail={"cause_at": cause.at.isoformat()},
            )  # fmt: skip
            if alarm_id is None:
                return
            for row in standing:
                await _settle(connection, row.id, REPLACED, now())
        log.error("alarms.raised", conversation=cause.conversation_id, alarm=alarm_id, grade=cause.grade)

    async def _one(self, alarm_id: int) -> None:
        """Settle an alarm, or begin the calls that it needs now."""
        begun: list[tuple[Call, int]] = []
        async with self.store.write() as connection:
            row = await _lock(connection, alarm_id)
            if row is None or row.settled_at is not None or self._stopping:
                return
            tried = (await _tries(connection, [alarm_id])).get(alarm_id, [])
            done = await self._settled(connection, row, tried)
            if done is not None:
                await _settle(connection, alarm_id, *done)
                log.info("alarms.settled", alarm=alarm_id, conversation=row.conversation_id)
                return
            room = {path: AT_ONCE - len(tasks) for path, tasks in self._calling.items()}
            for call in self._due_calls(row, tried):
                if room[call.path] <= 0:
                    continue
                room[call.path] -= 1
                begun.append((call, await self._begin_row(connection, row, call)))
            if begun:
                level = max(row.level, *(call.level for call, _ in begun))
                await connection.execute(update(Alarm).where(Alarm.id == alarm_id).values(level=level))
        for call, attempt_id in begun:
            self._begin(call, self._call_stored(self._notice(row), call, attempt_id))

    async def _begin_row(self, connection: AsyncConnection, row: Row[Any], call: Call) -> int:
        """The row of a call that begins. One that never ended is said to be lost with its gateway."""
        await connection.execute(
            update(AlarmAttempt)
            .where(
                AlarmAttempt.alarm_id == row.id, AlarmAttempt.path == call.path,
                AlarmAttempt.level == call.level, AlarmAttempt.contact == call.contact.name,
                AlarmAttempt.ended_at.is_(None),
            )
            .values(ended_at=now(), result="unknown", detail="the gateway ended meanwhile")
        )  # fmt: skip
        return await _insert_attempt(connection, row.id, call, self._gateway)

    async def _settled(
        self, connection: AsyncConnection, row: Row[Any], tried: Sequence[Try]
    ) -> tuple[str, datetime] | None:
        """By whom and when an alarm was settled; None while it goes on."""
        if row.conversation_id is None:
            if not self._paths:
                return "Nobody was told: no path is set up", now()
            told = is_told(self.rota, self._paths, row.raised_at, now(), tried)
            return ("Everybody was told, and the records work again", now()) if told else None
        looked = await first_look(connection, row.conversation_id, _cause_at(row))
        if looked is not None:
            return looked
        over = row.conversation_id in await _ended(connection, [row.conversation_id])
        return ("The chat ended", now()) if over else None

    def _due_calls(self, row: Row[Any], tried: Sequence[Try]) -> list[Call]:
        return due_calls(self.rota, self._paths, row.raised_at, now(), tried, self._pace)

    # ---- calls -------------------------------------------------------------------------------

    def _has_room(self, path: PathName) -> bool:
        return not self._stopping and len(self._calling[path]) < AT_ONCE

    def _begin(self, call: Call, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name=f"alarm-{call.path}")
        self._calling[call.path].add(task)
        task.add_done_callback(self._calling[call.path].discard)

    async def _call(self, notice: Notice, call: Call) -> Outcome:
        """Make one real call. Whatever goes wrong is an outcome: nobody waits here for an error."""
        try:
            outcome = await self._paths[call.path].call(notice, call)
        except Exception as error:
            log.error("alarms.call_broke", path=call.path, error=type(error).__name__)
            outcome = Outcome("again", type(error).__name__)
        self._last[call.path] = Last(outcome.result, now())
        write = {"taken": log.info, "again": log.warning}.get(outcome.result, log.error)
        write(
            "alarms.called", path=call.path, kind=notice.kind, number=call.level + 1, attempt=call.number,
            result=outcome.result, error=outcome.detail if outcome.result != "taken" else None,
        )  # fmt: skip
        return outcome

    async def _call_stored(self, notice: Notice, call: Call, attempt_id: int) -> None:
        outcome = await self._call(notice, call)
        try:
            await self._end(attempt_id, outcome)
        except StoreUnavailableError:
            # The row stays without an end, so the call is made again: a repeat, never a gap.
            log.warning("alarms.attempt_not_recorded", path=call.path)

    async def _end(self, attempt_id: int, outcome: Outcome) -> None:
        async with self.store.write() as connection:
            await connection.execute(
                update(AlarmAttempt)
                .where(AlarmAttempt.id == attempt_id, AlarmAttempt.ended_at.is_(None))
                .values(ended_at=now(), result=outcome.result, detail=outcome.detail)
            )

    def _notice(self, row: Row[Any]) -> Notice:
        return self._named(
            Notice(
                key=row.key,
                kind=row.kind,
                raised_at=row.raised_at,
                since=_cause_at(row),
                grade=row.grade or "",
                category=row.category or "",
                team=row.team or "",
                reference=row.reference or "",
                conversation_id=row.conversation_id,
                count=int(row.detail.get("count", 1)),
            )
        )

    def _named(self, notice: Notice) -> Notice:
        return replace(
            notice,
            category_name=self._category_name(notice.category) if notice.category else "",
            team_name=self._team_name(notice.team) if notice.team else "",
        )

    # ---- tests, and what the pages say -----------------------------------------------------------

    async def test(self, path: PathName, level: int, actor: Actor) -> list[Tested]:
        """Call everybody of a level by one path, for real, and say what became of it.

        Raises:
            RefusedError: the path is not set up, nobody is there to call, or the last test was a
                moment ago.
        """
        way = self._paths.get(path)
        if way is None:
            raise RefusedError(f"{PATH_WORDS[path].capitalize()} is not set up, so there is nothing to test.")
        if not 0 <= level < len(self.rota.levels):
            raise RefusedError(f"Choose a level from 1 to {len(self.rota.levels)}.")
        contacts = self.rota.levels[level].reached_by(path)
        if not contacts:
            raise RefusedError("Nobody of that level has an address for this path.")
        moment = now()
        key = f"test-{path}-{int(moment.timestamp() // TEST_EVERY_SECONDS)}"
        name = self.rota.levels[level].name
        calls = [Call(path, level, name, contact, 1, moment) for contact in contacts]
        async with self.store.write() as connection:
            alarm_id = await _insert(
                connection, key=key, kind="test", level=level, raised_at=moment, settled_at=moment,
                settled_by=actor.name, detail={"path": path},
            )  # fmt: skip
            if alarm_id is None:
                raise RefusedError("This path was tested a moment ago. Wait half a minute, then try again.")
            ids = [await _insert_attempt(connection, alarm_id, call, self._gateway) for call in calls]
            await add_audit(connection, actor, "alarm.test", path=path, level=level + 1)
        notice = Notice(key=key, kind="test", raised_at=moment, since=moment)

        async def one(call: Call, attempt_id: int) -> Tested:
            outcome = await self._call(notice, call)
            await self._end(attempt_id, outcome)
            return Tested(call.contact.name, outcome)

        return list(await asyncio.gather(*map(one, calls, ids)))

    async def _read_last(self) -> None:
        """What became of the newest call by each path, whichever gateway made it."""
        if self._last_read is not None and now() - self._last_read < STATE_EVERY:
            return
        async with self.store.read() as connection:
            newest = (
                select(func.max(AlarmAttempt.id))
                .where(
                    AlarmAttempt.ended_at.is_not(None),
                    AlarmAttempt.result.in_(("taken", "again", "rejected")),
                )
                .group_by(AlarmAttempt.path)
            )
            rows = await connection.execute(
                select(AlarmAttempt.path, AlarmAttempt.result, AlarmAttempt.ended_at).where(
                    AlarmAttempt.id.in_(newest)
                )
            )
            for row in rows:
                known = self._last.get(row.path)
                if known is None or known.at < row.ended_at:
                    self._last[row.path] = Last(row.result, row.ended_at)
        self._last_read = now()

    def warnings(self) -> list[str]:
        """What every member of staff has to know about alarms now; empty when all is well."""
        found: list[str] = []
        if not self._paths:
            found.append(
                "No alarm leaves this system. If nobody opens a P1, nobody outside this desk is told."
            )
        elif self.state.missing:
            only, other = next(iter(self._paths)), self.state.missing[0]
            found.append(
                f"Alarms leave by {PATH_WORDS[only]} alone. There is no second path: "
                f"{PATH_WORDS[other]} is not set up."
            )
        found += [
            f"The last alarm by {PATH_WORDS[path]} did not get through."
            for path in self._paths
            if (last := self._last.get(path)) is not None and last.result != "taken"
        ]
        return found


def state(settings: Settings, timezone: str = "Europe/London") -> State:
    """Which alarm paths are set up and what is wrong with them and the rota, without calling anybody.

    For `frontcounter ready`. `state(...).set_up` is empty: no alarm can leave, which blocks going
    live. `.missing` names the paths that are not set up; `.problems` holds one sentence for each
    thing to mend, example contacts (`verify: true`) among them.

    Raises:
        ContentError: the rota cannot be read; says what to do.
    """
    return state_of(settings, read_rota(settings, timezone))


def _open() -> Any:
    return select(Alarm.__table__).where(Alarm.settled_at.is_(None)).order_by(Alarm.raised_at, Alarm.id)


def _cause_at(row: Row[Any]) -> datetime:
    at = row.detail.get("cause_at")
    return datetime.fromisoformat(at) if at else row.raised_at


async def _lock(connection: AsyncConnection, alarm_id: int) -> Row[Any] | None:
    query = select(Alarm.__table__).where(Alarm.id == alarm_id)
    if connection.dialect.name != "sqlite":
        # Somebody else's turn with it just now: the next look finds what is left.
        query = query.with_for_update(skip_locked=True)
    return (await connection.execute(query)).one_or_none()


async def _insert(connection: AsyncConnection, **values: Any) -> int | None:
    """Make an alarm; None when there is one of that key."""
    result = await connection.execute(
        upsert(connection, Alarm)
        .values(**{"level": 0, **values})
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(Alarm.id)
    )
    return result.scalar_one_or_none()


async def _insert_attempt(connection: AsyncConnection, alarm_id: int, call: Call, gateway: str) -> int:
    result = await connection.execute(
        insert(AlarmAttempt)
        .values(
            alarm_id=alarm_id, path=call.path, level=call.level, number=call.number,
            contact=call.contact.name, gateway=gateway, started_at=max(now(), call.step_at),
        )
        .returning(AlarmAttempt.id)
    )  # fmt: skip
    return int(result.scalar_one())


async def _ended(connection: AsyncConnection, ids: Sequence[int]) -> set[int]:
    """Those of these chats that nobody has to look at any more."""
    rows = await connection.execute(
        select(Conversation.id).where(
            Conversation.id.in_(sorted(set(ids))), Conversation.state.in_(("bot", "closed"))
        )
    )
    return set(rows.scalars())


async def _settle(connection: AsyncConnection, alarm_id: int, by: str, at: datetime) -> None:
    await connection.execute(
        update(Alarm)
        .where(Alarm.id == alarm_id, Alarm.settled_at.is_(None))
        .values(settled_at=at, settled_by=by)
    )


async def _tries(connection: AsyncConnection, ids: Sequence[int]) -> dict[int, list[Try]]:
    if not ids:
        return {}
    rows = await connection.execute(
        select(AlarmAttempt.__table__).where(AlarmAttempt.alarm_id.in_(ids)).order_by(AlarmAttempt.id)
    )
    found: dict[int, list[Try]] = {}
    for row in rows:
        one = Try(
            row.path, row.level, row.contact, row.number, row.started_at, row.ended_at, row.result,
            row.detail or "",
        )  # fmt: skip
        found.setdefault(row.alarm_id, []).append(one)
    return found
