"""Taking responsibility by name for something that would keep the force from going live.

Only an active supervisor or administrator can, under the name that their account carries. The word
is given for the thing as it is: once its content changes, it no longer counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update

from bot.assurance.findings import Report
from bot.errors import RefusedError
from bot.messages import Actor
from bot.store import Store
from bot.store.record import add_audit, add_event, now, upsert
from bot.store.tables import SignOff, Staff

ROLES = ("supervisor", "admin")


async def _who(store: Store, username: str, name: str) -> Actor:
    async with store.read() as connection:
        row = (
            await connection.execute(
                select(Staff.__table__).where(Staff.username == username.strip().lower())
            )
        ).one_or_none()
    if row is None or not row.active or row.role not in ROLES:
        raise RefusedError(f"{username} is no active supervisor or administrator. Name one with --by.")
    if " ".join(name.split()).casefold() != row.name.casefold():
        raise RefusedError(f"The account {username} carries another name. Give it as it stands there.")
    return Actor(row.name, row.id, row.role)


async def sign_off(
    store: Store, report: Report, items: Sequence[str], *, by: str, name: str, reason: str
) -> None:
    """Sign off findings as they are now.

    Args:
        store: the database.
        report: what `readiness.look` found.
        items: keys of findings.
        by: the user name of who takes responsibility.
        name: their full name, as the account has it.
        reason: why it is acceptable.

    Raises:
        RefusedError: not one of the findings, not somebody who may, or no reason.
    """
    actor = await _who(store, by, name)
    if len(reason.split()) < 2:
        raise RefusedError("Give the reason in a sentence.")
    known = {finding.key: finding for finding in report.findings if finding.blocks}
    for item in items:
        if item not in known:
            raise RefusedError(f"Nothing called {item} blocks. `frontcounter ready` lists what does.")
    async with store.write() as connection:
        for item in items:
            values = {
                "name": actor.name, "staff_id": actor.staff_id, "reason": reason.strip(),
                "digest": known[item].digest, "at": now(), "withdrawn_at": None,
            }  # fmt: skip
            await connection.execute(
                upsert(connection, SignOff)
                .values(item=item, **values)
                .on_conflict_do_update(index_elements=["item"], set_=values)
            )
            await add_audit(
                connection, actor, "signoff", item=item, reason=reason.strip(), digest=known[item].digest
            )
        await add_event(connection, None, "signoff", {"items": list(items)})


async def withdraw(store: Store, items: Sequence[str], *, by: str, name: str, reason: str) -> None:
    """Take a word back.

    Raises:
        RefusedError: nobody had signed that off, or not somebody who may.
    """
    actor = await _who(store, by, name)
    async with store.write() as connection:
        for item in items:
            changed = await connection.execute(
                update(SignOff)
                .where(SignOff.item == item, SignOff.withdrawn_at.is_(None))
                .values(withdrawn_at=now())
            )
            if not changed.rowcount:
                raise RefusedError(f"Nobody has signed off {item}.")
            await add_audit(connection, actor, "signoff.withdraw", item=item, reason=reason.strip())
        await add_event(connection, None, "signoff", {"items": list(items)})
