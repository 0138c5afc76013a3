"""The ports of one poll, which tell its progress what it waits for."""

import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager, aclosing
from dataclasses import replace

from popsync.agent.progress import Progress
from popsync.maildrop.settings import Deadlines
from popsync.model import Intent, Journal, ListedMessage, Listing, Outcome, Parcel, Retrieval
from popsync.poll.ports import Destination, Maildrop, OpenMaildrop, Ports

_DEADLINES = Deadlines()
"""Those that sessions have."""


def pace(ports: Ports, progress: Progress) -> Ports:
    """Give the same ports, but for what they tell."""
    return replace(
        ports,
        open_maildrop=_PacedOpening(ports.open_maildrop, progress),
        destinations={
            name: _PacedDestination(destination, progress)
            for name, destination in ports.destinations.items()
        },
    )


def wait_for_place(begin: OpenMaildrop, progress: Progress) -> OpenMaildrop:
    """Give the same opening, during which the poll may wait for others without being stuck."""

    async def open_maildrop(*, lock_step: bool) -> Maildrop:
        with progress.step("a place", math.inf):
            return await begin(lock_step=lock_step)

    return open_maildrop


class _PacedOpening:
    def __init__(self, begin: OpenMaildrop, progress: Progress) -> None:
        self._begin = begin
        self._progress = progress

    async def __call__(self, *, lock_step: bool) -> Maildrop:
        with self._progress.step("the login", _DEADLINES.for_opening()):
            maildrop = await self._begin(lock_step=lock_step)
        return _PacedMaildrop(maildrop, self._progress)


class _PacedMaildrop:
    def __init__(self, maildrop: Maildrop, progress: Progress) -> None:
        self._maildrop = maildrop
        self._progress = progress

    async def list(self) -> Listing:
        with self._progress.step("the listing", _DEADLINES.for_listing()):
            return await self._maildrop.list()

    async def retrieve(
        self, wanted: Sequence[ListedMessage], *, stopping: Callable[[], bool]
    ) -> AsyncGenerator[Sequence[Retrieval], None]:
        allowed_s = _DEADLINES.for_retrieval([listed.octets for listed in wanted])
        async with aclosing(self._maildrop.retrieve(wanted, stopping=stopping)) as bursts:
            while True:
                with self._progress.step("a message", allowed_s):
                    burst = await anext(bursts, None)
                if burst is None:
                    return
                yield burst

    async def delete(self, doomed: Sequence[ListedMessage]) -> Sequence[ListedMessage]:
        with self._progress.step("deletions", _DEADLINES.for_deletions(len(doomed))):
            return await self._maildrop.delete(doomed)

    @property
    def pipelines(self) -> bool:
        return self._maildrop.pipelines

    @property
    def login_delay_s(self) -> int:
        return self._maildrop.login_delay_s

    @property
    def kept_days(self) -> int | None:
        return self._maildrop.kept_days

    @property
    def deletion_refusal(self) -> str:
        return self._maildrop.deletion_refusal

    async def quit(self) -> None:
        with self._progress.step("the good-bye", _DEADLINES.reply_s):
            await self._maildrop.quit()

    async def drop(self) -> None:
        with self._progress.step("the good-bye", _DEADLINES.reply_s):
            await self._maildrop.drop()


class _PacedDestination:
    """Its gate knows how long it may be waited for."""

    def __init__(self, destination: Destination, progress: Progress) -> None:
        self._destination = destination
        self._progress = progress

    @property
    def name(self) -> str:
        return self._destination.name

    async def ready(self) -> None:
        with self._waiting():
            await self._destination.ready()

    async def deliver(self, parcels: Sequence[Parcel], journal: Journal) -> None:
        with self._waiting():
            await self._destination.deliver(parcels, journal)

    async def recover(self, intents: Sequence[Intent]) -> Sequence[Outcome]:
        with self._waiting():
            return await self._destination.recover(intents)

    def _waiting(self) -> AbstractContextManager[None]:
        return self._progress.step("a destination", math.inf)
