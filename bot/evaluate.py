"""`frontcounter evaluate`: runs conversations from a file through the code that serves the public.

Each input line is `{"text": …}` or `{"turns": [{"text": …}, …]}` and is held as a fresh conversation
over the web chat's channel, in a database of its own that is thrown away afterwards. Each output
line says, turn by turn, what was answered and what the conversation came to.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from bot.core import Core, build_core
from bot.errors import ContentError, UnavailableError
from bot.knowledge.releases import seed
from bot.messages import Actor, Channel, Incoming, Outgoing, Sent
from bot.settings import Settings
from bot.store.migrate import migrate
from bot.store.record import now
from bot.store.tables import Conversation, Message, Outbox, Staff, StaffSession, StaffTeam, Team

AT_ONCE = 8
SETTLE_SECONDS = 60.0
TURN_KEYS = ("answered", "offered", "confidence", "nets")


class _Page:
    """Stands where the web chat stands: replies are sent by the commit, and read from the record."""

    name = "webchat"
    in_store = True
    max_text = 4000

    async def send(self, person: str, outgoing: Outgoing) -> Sent:
        """Never called: the channel reads the store."""
        raise NotImplementedError


def read_lines(path: Path) -> list[list[str]]:
    """The conversations of a file, as the texts of their turns.

    Raises:
        ContentError: names the line that is wrong and what it should be.
    """
    conversations = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ContentError(f"{path} cannot be read: {error}.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            loaded = json.loads(line)
            turns = loaded["turns"] if "turns" in loaded else [loaded]
            texts = [turn["text"] for turn in turns]
        except (ValueError, KeyError, TypeError) as error:
            raise ContentError(
                f'{path.name}, line {number}: write {{"text": "…"}} or {{"turns": [{{"text": "…"}}]}}.'
            ) from error
        if not texts or not all(isinstance(text, str) for text in texts):
            raise ContentError(f"{path.name}, line {number}: each text must be a string.")
        conversations.append(texts)
    return conversations


async def staff_the_desk(core: Core) -> None:
    """Put one member of staff of every team at the desk, as on an ordinary day."""
    async with core.store.write() as connection:
        staff_id = (
            await connection.execute(
                insert(Staff)
                .values(
                    username="evaluation", name="Evaluation", role="moderator", password_hash="!",  # noqa: S106  no password matches it
                   
                    active=True, created_at=now(),
                )
                .returning(Staff.id)
            )
        ).scalar_one()  # fmt: skip
        for team in (await connection.execute(select(Team.key))).scalars().all():
            await connection.execute(insert(StaffTeam).values(staff_id=staff_id, team=team))
        far = now().replace(year=now().year + 1)
        await connection.execute(
            insert(StaffSession).values(
                id=uuid.uuid4().hex, staff_id=staff_id, csrf="", created_at=now(), acted_at=far,
                seen_at=far, locked=False,
            )
        )  # fmt: skip


async def outcome_of_turn(
    core: Core, conversation_id: int, message_id: int, after_outbox: int
) -> tuple[dict[str, Any], int]:
    """What one turn came to, and the id of the last reply seen."""
    async with core.store.read() as connection:
        decision = (
            await connection.execute(select(Message.decision).where(Message.id == message_id))
        ).scalar_one() or {}
        row = (
            await connection.execute(
                select(Conversation.state, Conversation.category, Conversation.grade).where(
                    Conversation.id == conversation_id
                )
            )
        ).one()
        replies = (
            await connection.execute(
                select(Outbox.id, Outbox.text, Outbox.kind)
                .where(Outbox.conversation_id == conversation_id, Outbox.id > after_outbox)
                .where(Outbox.state.in_(("sent", "delivered", "read")))
                .order_by(Outbox.id)
            )
        ).all()
    # Safety words overtake: the order in which the person saw them.
    seen = sorted(replies, key=lambda reply: (reply.kind != "safety", reply.id))
    return {
        "answered": decision.get("answered"),
        "offered": decision.get("offered", []),
        "confidence": decision.get("confidence", 0.0),
        "escalated": row.state in ("waiting", "human"),
        "category": row.category,
        "priority": row.grade,
        "nets": decision.get("nets", []),
        "replies": [reply.text for reply in seen],
    }, max((reply.id for reply in replies), default=after_outbox)


async def _hold(core: Core, texts: list[str]) -> dict[str, Any]:
    person = uuid.uuid4().hex
    turns = []
    seen = 0
    for number, text in enumerate(texts):
        accepted = await core.door.accept([Incoming("webchat", person, f"{person}:{number}", text)])
        conversation_id, message_id = accepted[0].conversation_id, accepted[0].message_id
        if conversation_id is None or message_id is None:
            raise UnavailableError("A message was not stored.")
        # What the door wrote leaves at once, as it does in service, while Rasa still reads.
        while await core.outbox.send_next(conversation_id):
            pass
        await settle(core, conversation_id)
        outcome, seen = await outcome_of_turn(core, conversation_id, message_id, seen)
        turns.append(outcome)
    return {"turns": turns}


async def settle(core: Core, conversation_id: int) -> None:
    """Wait until a conversation has nothing unread and nothing unsent."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        await core.turns.wait_for(conversation_id)
        while await core.outbox.send_next(conversation_id):
            pass
        async with core.store.read() as connection:
            unread = await connection.execute(
                select(Message.id)
                .where(Message.conversation_id == conversation_id, Message.handled.is_(False))
                .limit(1)
            )
            unsent = await connection.execute(
                select(Outbox.id)
                .where(
                    Outbox.conversation_id == conversation_id,
                    Outbox.state.in_(("queued", "sending")),
                )
                .limit(1)
            )
            if unread.scalar_one_or_none() is None and unsent.scalar_one_or_none() is None:
                return
        core.turns.kick(conversation_id)
        await asyncio.sleep(0.05)
    raise UnavailableError("A conversation did not come to rest within a minute.")


async def evaluate(
    settings: Settings,
    conversations: list[list[str]],
    *,
    desk_open: bool = True,
    progress: Callable[[int], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Hold every conversation; the results are in the order of the input.

    `settings` names an assistant that is running. The database is a temporary one.
    """
    with tempfile.TemporaryDirectory(prefix="frontcounter-evaluate-") as folder:
        own = settings.model_copy(
            update={"database_url": f"sqlite+aiosqlite:///{folder}/record.db", "redis_url": ""}
        )
        channel: Channel = _Page()
        core = build_core(own, {"webchat": channel})
        try:
            await migrate(core.store)
            await seed(core.store, core.content.current, Actor("evaluate"))
            if desk_open:
                await staff_the_desk(core)
            await core.content.refresh(core.store)
            places = asyncio.Semaphore(AT_ONCE)
            done = 0

            async def one(texts: list[str]) -> dict[str, Any]:
                nonlocal done
                async with places:
                    result = await _hold(core, texts)
                done += 1
                progress(done)
                return result

            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(one(texts)) for texts in conversations]
            except BaseExceptionGroup as failed:
                # The first says what to do; the others failed because of it.
                raise failed.exceptions[0] from failed
            return [task.result() for task in tasks]
        finally:
            await core.stop()
