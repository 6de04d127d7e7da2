"""One poller among several gateways: a row that one of them holds for a few seconds at a time."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from bot.store import Store
from bot.store.record import now
from bot.store.tables import Lease


class PollLease:
    """The lease `key` as one gateway sees it. Each change of holder makes the counter grow.

    Every method raises StoreUnavailableError when the database does not answer.
    """

    def __init__(self, store: Store, key: str, holder: str, seconds: float) -> None:
        self._store = store
        self._key = key
        self._holder = holder
        self._length = timedelta(seconds=seconds)
        self._counter: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether we held it when we last looked."""
        return self._counter is not None

    async def hold(self) -> bool:
        """Renew it, or take it if it is free. False: another gateway has it."""
        if self._counter is not None:
            if await self._renew(self._counter):
                return True
            self._counter = None
        if await self._is_taken():
            return False
        self._counter = await self._take()
        return self._counter is not None

    async def give_back(self) -> None:
        """Let another gateway have it at once."""
        if self._counter is None:
            return
        counter, self._counter = self._counter, None
        async with self._store.write() as connection:
            await connection.execute(
                update(Lease)
                .where(Lease.key == self._key, Lease.holder == self._holder, Lease.counter == counter)
                .values(holder=None, expires=None)
            )

    async def _renew(self, counter: int) -> bool:
        async with self._store.write() as connection:
            renewed = await connection.execute(
                update(Lease)
                .where(Lease.key == self._key, Lease.holder == self._holder, Lease.counter == counter)
                .values(expires=now() + self._length)
            )
            return bool(renewed.rowcount == 1)

    async def _is_taken(self) -> bool:
        """A look without a lock: whoever waits must not hold up who works."""
        async with self._store.read() as connection:
            found = await connection.execute(
                select(Lease.key).where(
                    Lease.key == self._key, Lease.holder.is_not(None), Lease.expires >= now()
                )
            )
            return found.scalar_one_or_none() is not None

    async def _take(self) -> int | None:
        await self._make()
        async with self._store.write() as connection:
            moment = now()
            taken = await connection.execute(
                update(Lease)
                .where(Lease.key == self._key, or_(Lease.holder.is_(None), Lease.expires < moment))
                .values(
                    holder=self._holder, expires=moment + self._length, counter=Lease.counter + 1, data={}
                )
                .returning(Lease.counter)
            )
            return taken.scalar_one_or_none()

    async def _make(self) -> None:
        async with self._store.read() as connection:
            found = await connection.execute(select(Lease.key).where(Lease.key == self._key))
            if found.scalar_one_or_none() is not None:
                return
        try:
            async with self._store.write() as connection:
                await connection.execute(insert(Lease).values(key=self._key, counter=0, data={}))
        except IntegrityError:
            # Another gateway was quicker.
            return
