"""What the gateways share of X, in rows: how far the messages are read, and whether each way works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import case, func, or_, select, update

from bot.channels.x.inbound import NAME
from bot.store import Store
from bot.store.record import now, upsert
from bot.store.tables import Bookmark

Way = Literal["poll", "webhook", "mentions"]
"""We ask X for messages; X calls us; we ask it for the posts that mention us."""
WAYS: tuple[Way, ...] = ("poll", "webhook", "mentions")
_LONGEST_TROUBLE = 200


@dataclass(frozen=True, slots=True)
class Progress:
    """One way, as the record has it."""

    place: int | None = None
    good_at: datetime | None = None
    trouble: str | None = None
    trouble_at: datetime | None = None


class State:
    """Every method raises StoreUnavailableError when the database does not answer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self) -> dict[Way, Progress]:
        """Every way; what nobody has written of is empty."""
        keys: dict[str, Way] = {_key(way): way for way in WAYS}
        async with self._store.read() as connection:
            found = await connection.execute(select(Bookmark.__table__).where(Bookmark.key.in_(keys)))
            rows = {
                keys[row.key]: Progress(row.place, row.good_at, row.trouble, row.trouble_at)
                for row in found.all()
            }
        return {way: rows.get(way, Progress()) for way in WAYS}

    async def bookmark(self, way: Way = "poll") -> int | None:
        """The number of the newest message, or post, up to which everything is stored."""
        return (await self.read())[way].place

    async def works(self, way: Way, place: int | None = None) -> None:
        """It has worked just now. A place is set only once everything up to it is stored; it never goes back."""
        values: dict[str, Any] = {"good_at": now(), "trouble": None, "trouble_at": None}
        if place is not None:
            held = Bookmark.place
            values["place"] = case((or_(held.is_(None), held < place), place), else_=held)
        await self._write(way, values, {"place": place})

    async def called(self) -> None:
        """X has called. What is wrong with the webhook's registration is not mended by that."""
        await self._write("webhook", {"good_at": now()}, {})

    async def in_trouble(self, way: Way, why: str) -> None:
        """It does not work. Since when is kept while it lasts, whatever the reason becomes."""
        moment = now()
        await self._write(
            way,
            {"trouble": why[:_LONGEST_TROUBLE], "trouble_at": func.coalesce(Bookmark.trouble_at, moment)},
            {"trouble_at": moment},
        )

    async def is_mended(self, way: Way) -> None:
        """Nothing is wrong with it any more."""
        await self._write(way, {"trouble": None, "trouble_at": None}, {})

    async def _write(self, way: Way, values: Mapping[str, Any], first: Mapping[str, Any]) -> None:
        """Change the row; `first` is what a new one has in the place of an expression."""
        async with self._store.write() as connection:
            changed = await connection.execute(
                update(Bookmark).where(Bookmark.key == _key(way)).values(**values)
            )
            if changed.rowcount:
                return
            await connection.execute(
                upsert(connection, Bookmark)
                .values(key=_key(way), **{**values, **first})
                .on_conflict_do_nothing(index_elements=["key"])
            )


def _key(way: Way) -> str:
    return f"{NAME}.{way}"
