"""A backup holds everything, opens only with its key, and shows every damage before it is used."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from bot.assurance import archive, rows
from bot.assurance.backup import Manifest, check_backup, make_backup
from bot.assurance.restore import GAP, restore_backup
from bot.errors import BackupError, RetryLaterError, SettingError
from bot.settings import ROOT
from bot.store import Store
from bot.store.migrate import migrate
from bot.store.record import add_event, now
from bot.store.tables import (
    Audit,
    Conversation,
    Event,
    Lease,
    Message,
    Outbox,
    Person,
    Staff,
    StaffLink,
    StaffSession,
)
from tests.assurance.conftest import CONTENT, SECRET_KEY, Keys
from tests.support.channel import Fault
from tests.support.world import P1, P3, PLAIN, World, open_world

pytestmark = pytest.mark.integration


async def backed_up(
    store: Store, out: Path, keys: Keys, models: Path | None = None, **other: Any
) -> Manifest:
    """Make one backup."""
    values = {"secret_key": SECRET_KEY, "version": "1", "content": CONTENT, **other}
    _, manifest = await make_backup(store, out, key=keys.public, models=models, **values)
    return manifest


@asynccontextmanager
async def restored(url: str, path: Path, keys: Keys, **other: Any) -> AsyncIterator[Store]:
    """A store that a backup was put into."""
    store = Store(url)
    try:
        values = {"secret_key": SECRET_KEY, "models": None, "in_store": ["webchat"], **other}
        await restore_backup(store, path, key=keys.private, **values)
        yield store
    finally:
        await store.close()


async def everything(store: Store, *, without: frozenset[str] = frozenset()) -> dict[str, list[str]]:
    """All rows of all tables, as lines."""
    found = {}
    async with store.snapshot() as connection:
        for table in rows.tables():
            if table.name not in without:
                parts = [part async for part in rows.dump(connection, table)]
                found[table.name] = b"".join(parts).decode().splitlines()
    return found


def same_files(one: Path, other: Path) -> bool:
    """Whether two folders hold the same."""
    return {p.name: p.read_bytes() for p in one.iterdir()} == {
        p.name: p.read_bytes() for p in other.iterdir()
    }


async def reach(committed: list[int], number: int) -> None:
    """Wait until so many were committed."""
    async with asyncio.timeout(60):
        while len(committed) < number:  # noqa: ASYNC110  four writers count, one waits
            await asyncio.sleep(0.01)


async def lively(world: World) -> None:
    """Something in every corner: answers, a person who owns, danger, a note of times and of JSON."""
    sam = await world.hire("sam")
    await world.sit(sam)
    await world.say(PLAIN, "ann")
    await world.say('\u202e‘quotes’ \U0001f600 "json" \\ back\nnew line \u2028 end', "bob")
    await world.owned(sam, P3, "cat")
    chat = await world.conversation("cat")
    await world.core.desk.reply(chat.id, sam, "This is the desk.")
    await world.say(P1, "dan")
    await world.settle()


# What a restore changes on purpose; all else must come back to the letter.
CHANGED = frozenset({"staff_session", "conversation", "due", "event", "audit", "lease"})


async def test_every_row_comes_back_in_either_database(
    world: World, empty_url: str, keys: Keys, models: Path, tmp_path: Path
) -> None:
    await lively(world)
    before = await everything(world.store, without=CHANGED)
    conversations = await world.rows(Conversation)
    path = tmp_path / "one.backup"
    manifest = await backed_up(world.store, path, keys, models)
    target = tmp_path / "new-models"

    async with restored(empty_url, path, keys, models=target) as store:
        assert await everything(store, without=CHANGED) == before
        async with store.read() as connection:
            events = (await connection.execute(select(Event.id).order_by(Event.id))).scalars().all()
            back = (await connection.execute(select(Conversation.__table__).order_by(Conversation.id))).all()
            kept = (await connection.execute(select(Message.hits, Message.received_at))).all()
        for old, new in zip(conversations, back, strict=True):
            assert (new.reference, new.state, new.grade, new.epoch) == (
                old.reference, old.state, old.grade, old.epoch,
            )  # fmt: skip
        assert any(hits for hits, _ in kept)
        assert all(at.tzinfo is not None for _, at in kept)
        assert manifest.tables["event"].rows == len(events) - 1
        assert events[-1] - events[-2] >= GAP

    assert same_files(target, models)


async def test_the_restored_gateway_goes_on_where_it_was(
    world: World, empty_url: str, keys: Keys, tmp_path: Path
) -> None:
    await lively(world)
    await backed_up(world.store, tmp_path / "one.backup", keys)
    heard = world.texts("ann")
    async with restored(empty_url, tmp_path / "one.backup", keys):
        pass

    async with open_world(empty_url, world.rasa, world.clock) as again:
        row = await again.say(PLAIN, "ann", message_id="after-the-restore")
        assert again.texts("ann") == heard
        assert row.id == (await world.conversation("ann")).id
        assert (await again.conversation("cat")).state == "human"
        assert (await again.conversation("dan")).grade == "P1"
        assert await again.rows(StaffSession) == []


async def test_rows_that_may_have_left_since_are_in_doubt(
    world: World, empty_url: str, keys: Keys, tmp_path: Path
) -> None:
    """An answer is not repeated but handed to a person; safety words go again; staff are asked."""
    sam = await world.hire("sam")
    await world.sit(sam)
    chat = await world.owned(sam, P3, "cat")
    refused = [Fault(RetryLaterError("busy", 3600)) for _ in range(20)]
    world.channel.fail_next(*refused)
    await world.core.desk.reply(chat.id, sam, "This is the desk.")
    await world.say(PLAIN, "ann")
    await world.say(P1, "dan")
    queued = await world.rows(Outbox, state="queued")
    assert {row.kind for row in queued} == {"assistant", "safety", "staff"}
    await backed_up(world.store, tmp_path / "one.backup", keys)

    async with restored(empty_url, tmp_path / "one.backup", keys):
        pass
    world.move(hours=2)
    async with open_world(empty_url, world.rasa, world.clock) as again:
        await again.settle()
        states = {row.id: row.state for row in await again.rows(Outbox)}
        assert all(states[row.id] == ("sent" if row.kind == "safety" else "unknown") for row in queued)
        assert (await again.conversation("ann")).state == "waiting"
        assert again.texts("ann") == [again.line("answer_unknown")]
        assert again.words("R09", "P1") in again.texts("dan")
        assert again.texts("cat") == []
        assert len(await again.events("alert.unknown")) == 1


async def test_what_could_be_misused_after_a_restore_is_taken_back(
    world: World, empty_url: str, keys: Keys, tmp_path: Path
) -> None:
    sam = await world.hire("sam")
    await world.sit(sam)
    chat = await world.owned(sam, P3, "cat")
    async with world.store.write() as connection:
        await connection.execute(
            insert(StaffLink).values(
                id="h", staff_id=sam.staff_id, purpose="reset", created_at=now(), created_by="x",
                expires_at=now() + timedelta(days=1),
            )
        )  # fmt: skip
        await connection.execute(
            insert(Lease).values(key="poll", holder="gone", expires=now() + timedelta(hours=1), counter=4)
        )
        await connection.execute(
            update(Conversation)
            .where(Conversation.id == chat.id)
            .values(lease_holder="gone", lease_expires=now() + timedelta(hours=1))
        )
    await backed_up(world.store, tmp_path / "one.backup", keys)

    async with restored(empty_url, tmp_path / "one.backup", keys) as store, store.read() as connection:
        assert (await connection.execute(select(StaffSession.id))).all() == []
        assert (await connection.execute(select(StaffLink.used_at))).scalar_one() is not None
        lease = (await connection.execute(select(Lease.__table__))).one()
        assert (lease.holder, lease.expires, lease.counter) == (None, None, 5)
        held = await connection.execute(select(Conversation.lease_holder))
        assert set(held.scalars()) == {None}
        audit = (await connection.execute(select(Audit.__table__).where(Audit.action == "restore"))).one()
        assert audit.actor.startswith("command line: ")


async def test_new_numbers_begin_far_above_on_postgresql(
    world: World, keys: Keys, tmp_path: Path, postgres_templates: Any
) -> None:
    await world.say(PLAIN, "ann")
    highest = max(row.id for row in await world.rows(Outbox))
    await backed_up(world.store, tmp_path / "one.backup", keys)
    url = postgres_templates.fresh(empty=True)
    async with restored(url, tmp_path / "one.backup", keys):
        pass
    async with open_world(url, world.rasa, world.clock) as again:
        await again.say(PLAIN, "eve", message_id="after-the-restore")
        assert min(row.id for row in await again.outbox("eve")) > highest + GAP - 1
        assert {row.xid for row in await again.rows(Event) if row.id <= highest} == {0}
    postgres_templates.drop(url)


async def test_it_sees_one_moment_while_others_write(
    store: Store, empty_url: str, keys: Keys, tmp_path: Path
) -> None:
    """Whatever was committed before it began is in it, and never a row without the one it points at."""
    committed: list[int] = []
    stop = asyncio.Event()

    async def write(number: int) -> None:
        while not stop.is_set():
            async with store.write() as connection:
                made = await connection.execute(
                    insert(Person)
                    .values(
                        channel="test", platform_id=f"{number}-{len(committed)}-{now()}", created_at=now()
                    )
                    .returning(Person.id)
                )
                person = made.scalar_one()
                await connection.execute(
                    insert(Conversation).values(
                        reference=f"r{person}", person_id=person, channel="test", opened_at=now(),
                        last_inbound_at=now(),
                    )
                )  # fmt: skip
            committed.append(person)

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(write(number))
        await reach(committed, 40)
        before = set(committed)
        manifest = await backed_up(store, tmp_path / "live.backup", keys)
        await reach(committed, len(committed) + 10)
        stop.set()
    assert manifest.tables["person"].rows == manifest.tables["conversation"].rows < len(committed)

    async with restored(empty_url, tmp_path / "live.backup", keys) as again, again.read() as connection:
        assert before <= set((await connection.execute(select(Person.id))).scalars())


async def test_damage_of_any_kind_is_found_and_nothing_is_touched(
    store: Store, keys: Keys, models: Path, tmp_path: Path
) -> None:
    good = tmp_path / "good.backup"
    await backed_up(store, good, keys, models)
    body = good.read_bytes()
    half = len(body) // 2
    damaged = {
        "cut short": body[:half],
        "cut short by its last byte": body[:-1],
        "one bit turned": body[:half] + bytes([body[half] ^ 1]) + body[half + 1 :],
        "a bit of the beginning turned": body[:30] + bytes([body[30] ^ 1]) + body[31:],
        "two parts exchanged": body[:300] + body[300 + 65552 : 300 + 2 * 65552] + body[300 : 300 + 65552]
        + body[300 + 2 * 65552 :],
        "something after the end": body + b"more",
        "something else": b"PK\x03\x04 not ours",
        "empty": b"",
    }  # fmt: skip
    target = tmp_path / "target.db"
    for name, content in damaged.items():
        bad = tmp_path / f"{name}.backup"
        bad.write_bytes(content)
        with pytest.raises(BackupError, match=r"damaged|cut short|not a backup|does not open"):
            async with restored(f"sqlite+aiosqlite:///{target}", bad, keys):
                pass
        assert not target.exists(), name
    async with restored(f"sqlite+aiosqlite:///{target}", good, keys):
        pass


async def forged(keys: Keys, path: Path, change: Any) -> Path:
    """A backup made by somebody who knows the public key: right in every way but `change`."""
    identity = archive.read_identity(keys.private)
    members = [(m.name, m.read()) for m in archive.read_archive(path, identity)]
    out = path.with_name("forged.backup")
    async with archive.write_archive(out, archive.read_recipient(keys.public), 0) as writer:
        for name, content in change(members):
            await writer.add(name, content)
    return out


async def test_a_file_that_does_not_hold_what_it_lists_is_refused(
    store: Store, keys: Keys, tmp_path: Path
) -> None:
    path = tmp_path / "good.backup"
    await backed_up(store, path, keys)
    identity = archive.read_identity(keys.private)

    def without_teams(members: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        return [m for m in members if not m[0].startswith("tables/team/")]

    def without_list(members: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        return [m for m in members if m[0] != "manifest.json"]

    def with_more(members: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        return [*members, ("models/evil.tar.gz", b"x")]

    def other_list(members: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        return [(n, c.replace(b'"version": "1"', b'"version": "2"')) for n, c in members]

    for change in (without_teams, without_list, with_more, other_list):
        bad = await forged(keys, path, change)
        with pytest.raises(BackupError):
            check_backup(bad, identity, SECRET_KEY)
    assert check_backup(path, identity, SECRET_KEY).version == "1"


async def test_the_seal_is_of_this_installation(store: Store, keys: Keys, tmp_path: Path) -> None:
    path = tmp_path / "one.backup"
    await backed_up(store, path, keys, secret_key="another installation's key")
    identity = archive.read_identity(keys.private)
    with pytest.raises(BackupError, match="not sealed with this FRONTCOUNTER_SECRET_KEY"):
        check_backup(path, identity, SECRET_KEY)
    assert check_backup(path, identity, SECRET_KEY, other_seal=True).revision


async def test_a_backup_of_another_schema_names_the_version_to_use(
    store: Store, keys: Keys, tmp_path: Path
) -> None:
    path = tmp_path / "one.backup"
    async with store.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with pytest.raises(BackupError, match="frontcounter migrate"):
        await backed_up(store, path, keys)
    async with store.write() as connection:
        query = text("UPDATE alembic_version SET version_num = :newest")
        await connection.execute(query, {"newest": rows.newest_revision()})
    await backed_up(store, path, keys, version="0.0.1")

    def older(members: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        changed = []
        for name, content in members:
            if name == "manifest.json":
                listed = {**json.loads(content), "revision": "0001"}
                changed.append((name, json.dumps(listed).encode()))
            else:
                changed.append((name, content))
        return changed

    old = await forged(keys, path, older)
    with pytest.raises(BackupError, match=r"Restore it with version 0\.0\.1"):
        async with restored(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}", old, keys, other_seal=True):
            pass


async def test_a_database_with_rows_is_replaced_only_by_its_name(
    database_url: str, keys: Keys, tmp_path: Path
) -> None:
    store = Store(database_url)
    path = tmp_path / "one.backup"
    await backed_up(store, path, keys)
    async with store.write() as connection:
        await connection.execute(insert(Person).values(channel="test", platform_id="ann", created_at=now()))
    name = Path(str(store.url.database)).name
    await store.close()
    with pytest.raises(BackupError, match="is not empty"):
        async with restored(database_url, path, keys):
            pass
    with pytest.raises(BackupError, match=f"must name this database: {name}"):
        async with restored(database_url, path, keys, replace="yes"):
            pass
    async with restored(database_url, path, keys, replace=name) as again, again.read() as connection:
        assert (await connection.execute(select(Person.id))).all() == []


async def test_a_database_in_use_is_left_alone(database_url: str, keys: Keys, tmp_path: Path) -> None:
    """A gateway that went on with what it remembers would mix two histories."""
    store = Store(database_url)
    path = tmp_path / "one.backup"
    await backed_up(store, path, keys)
    assert await store.ping()
    with pytest.raises(BackupError, match="Stop every gateway"):
        async with restored(database_url, path, keys):
            pass
    await store.close()
    async with restored(database_url, path, keys):
        pass


async def test_a_restore_that_fails_changes_nothing(
    store: Store, empty_url: str, keys: Keys, tmp_path: Path
) -> None:
    """A row that the database does not take (its team is missing): no table keeps anything."""
    path = tmp_path / "one.backup"
    async with store.write() as connection:
        await connection.execute(
            insert(Staff).values(
                username="sam", name="Sam", role="moderator", password_hash="x", created_at=now()
            )
        )
    await backed_up(store, path, keys)

    def twice(members: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        staff = next(c for n, c in members if n.startswith("tables/staff/")) * 2
        listed = json.loads(next(c for n, c in members if n == "manifest.json"))
        listed["tables"]["staff"] |= {"rows": 2, "sha256": hashlib.sha256(staff).hexdigest()}
        return [
            (
                n,
                staff
                if n.startswith("tables/staff/")
                else json.dumps(listed).encode()
                if n == "manifest.json"
                else c,
            )
            for n, c in members
        ]

    bad = await forged(keys, path, twice)
    target = Store(empty_url)
    await migrate(target)
    await target.close()
    with pytest.raises(BackupError, match="does not take"):
        async with restored(empty_url, bad, keys, other_seal=True):
            pass
    again = Store(empty_url)
    async with again.read() as connection:
        assert set((await rows.counts(connection)).values()) == {0}
    await again.close()


# ---- keys and files ----------------------------------------------------------------------------


def test_keys_that_others_can_read_are_refused(keys: Keys) -> None:
    assert keys.private.stat().st_mode & 0o777 == 0o600
    assert archive.holds_private_key(keys.private)
    assert not archive.holds_private_key(keys.public)
    keys.private.chmod(0o640)
    with pytest.raises(SettingError, match="chmod 600"):
        archive.read_identity(keys.private)
    with pytest.raises(SettingError, match="never overwritten"):
        archive.make_key(keys.private)
    with pytest.raises(SettingError, match="holds no private key"):
        archive.read_identity(keys.public)
    with pytest.raises(SettingError, match="FRONTCOUNTER_BACKUP_KEY_FILE"):
        archive.read_recipient(None)
    with pytest.raises(SettingError, match="cannot be read"):
        archive.read_recipient(keys.public.with_name("missing"))


async def test_another_key_opens_nothing(store: Store, keys: Keys, tmp_path: Path) -> None:
    path = tmp_path / "one.backup"
    await backed_up(store, path, keys)
    assert path.stat().st_mode & 0o777 == 0o600
    other = tmp_path / "other.key"
    archive.make_key(other)
    with pytest.raises(BackupError, match="does not open"):
        check_backup(path, archive.read_identity(other), SECRET_KEY)


async def test_the_folder_keeps_the_newest(world: World, keys: Keys, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    (folder / "notes.txt").write_text("not ours")
    for _ in range(4):
        await backed_up(world.store, folder, keys, keep=2)
        world.move(hours=24)
    names = sorted(path.name for path in folder.iterdir())
    assert names == [
        "frontcounter-20261126T120000Z.backup",
        "frontcounter-20261127T120000Z.backup",
        "notes.txt",
    ]
    assert len(await world.audit("backup")) == 4
    with pytest.raises(BackupError, match="is there already"):
        await backed_up(world.store, folder / names[0], keys)
    with pytest.raises(BackupError, match="--keep needs a folder"):
        await backed_up(world.store, folder / "one", keys, keep=2)


# ---- the command -------------------------------------------------------------------------------


def run(*words: str, environment: dict[str, str], before: str = "") -> subprocess.CompletedProcess[str]:
    """The command itself, as an operator runs it."""
    return subprocess.run(
        [sys.executable, "-c", f"{before}\nimport sys\nfrom bot.cli import main\nsys.exit(main(sys.argv[1:]))", *words],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_commands_make_check_and_restore(database_url: str, tmp_path: Path, models: Path) -> None:
    environment = {
        "FRONTCOUNTER_DATABASE_URL": database_url,
        "FRONTCOUNTER_MODELS": str(models),
        "FRONTCOUNTER_SECRET_KEY": SECRET_KEY,
        "FRONTCOUNTER_BACKUP_KEY_FILE": str(tmp_path / "k.pub"),
    }
    out = tmp_path / "one.backup"
    missing = run("backup", "--out", str(out), environment=environment)
    assert (missing.returncode, out.exists()) == (1, False)
    assert run("backup-key", "--out", str(tmp_path / "k"), environment=environment).returncode == 0
    made = run("backup", "--out", str(out), environment=environment)
    assert made.returncode == 0, made.stderr
    checked = run("backup", "--verify", str(out), "--key", str(tmp_path / "k"), environment=environment)
    assert "is whole" in checked.stdout
    assert "seal was not checked" not in checked.stdout
    words = ("backup", "--verify", str(out), "--key", str(tmp_path / "k"))
    for unsealed in (
        run(*words, environment={**environment, "FRONTCOUNTER_SECRET_KEY": ""}),
        run(*words, "--other-secret-key", environment=environment),
    ):
        assert "seal was not checked" in unsealed.stdout
    into = {**environment, "FRONTCOUNTER_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'new.db'}"}
    back = run("restore", str(out), "--key", str(tmp_path / "k"), environment=into)
    assert back.returncode == 0, back.stderr
    assert "sign in again" in back.stdout
    again = run("restore", str(out), environment=into)
    assert again.returncode == 1
    assert len(again.stderr.strip().splitlines()) == 1, again.stderr


def test_a_disk_that_is_full_leaves_no_half_file(keys: Keys, models: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for a disk that ends."""
    folder = tmp_path / "out"
    folder.mkdir()
    environment = {
        "FRONTCOUNTER_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'a.db'}",
        "FRONTCOUNTER_MODELS": str(models),
        "FRONTCOUNTER_BACKUP_KEY_FILE": str(keys.public),
    }
    (models / "frontcounter-ffffffffffff.tar.gz").write_bytes(os.urandom(3_000_000))
    assert run("migrate", environment=environment).returncode == 0
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))"
    full = run("backup", "--out", str(folder), environment=environment, before=limit)
    assert full.returncode == 1
    assert full.stderr.startswith("The backup could not be written: File too large")
    assert list(folder.iterdir()) == []
    assert run("backup", "--out", str(folder), environment=environment).returncode == 0


def test_memory_stays_flat_however_big_the_database_is(keys: Keys, tmp_path: Path) -> None:
    """20,000 messages of 2,000 characters: 40 MB through a backup, a check and a restore."""
    code = f"""
import asyncio, resource, random, pathlib
from sqlalchemy import insert
from bot.store import Store
from bot.store.migrate import migrate
from bot.store.record import now
from bot.store.tables import Person, Conversation, Message
from bot.assurance.backup import make_backup
from bot.assurance.restore import restore_backup
folder = pathlib.Path({str(tmp_path)!r})
key = pathlib.Path({str(keys.private)!r})
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
async def go(name, count):
    store = Store(f"sqlite+aiosqlite:///{{folder / name}}.db")
    await migrate(store)
    async with store.write() as c:
        await c.execute(insert(Person).values(id=1, channel="t", platform_id="a", created_at=now()))
        await c.execute(insert(Conversation).values(id=1, reference="r", person_id=1, channel="t", opened_at=now(), last_inbound_at=now()))
        for start in range(0, count, 500):
            await c.execute(insert(Message), [dict(conversation_id=1, person_id=1, channel="t", platform_id=str(n), kind="text", text=random.randbytes(1000).hex(), platform_time=now(), received_at=now()) for n in range(start, start + 500)])
    await make_backup(store, folder / f"{{name}}.backup", key=key, models=None, content={{}}, secret_key="", version="1")
    await store.close()
    other = Store(f"sqlite+aiosqlite:///{{folder / name}}-new.db")
    manifest = await restore_backup(other, folder / f"{{name}}.backup", key=key, models=None, secret_key="", in_store=())
    await other.close()
    assert manifest.tables["message"].rows == count
    return peak()
small = asyncio.run(go("small", 2_000))
big = asyncio.run(go("big", 20_000))
print(small, big)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    small, big = (int(word) for word in done.stdout.split())
    assert big - small < 20, f"{small} MB for 4 MB, {big} MB for 40 MB"


async def test_backups_leave_a_trace(world: World, keys: Keys, tmp_path: Path) -> None:
    await backed_up(world.store, tmp_path / "one.backup", keys)
    (row,) = await world.audit("backup")
    assert row.detail["file"] == "one.backup"
    assert len(row.detail["sha256"]) == 64
    async with world.store.write() as connection:
        await add_event(connection, None, "x")
    assert [event.kind for event in await world.events()][-2:] == ["backup.made", "x"]
