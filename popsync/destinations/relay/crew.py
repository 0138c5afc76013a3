"""Puts one link, and once the server has taken a message several, to work on one batch.

The first link goes alone, so that a server which takes nothing is asked once and not many times.
The others are a help and no more: what they cannot do, the first one does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from popsync.destinations.relay.batch import Batch
from popsync.destinations.relay.courier import LinkSpent
from popsync.destinations.relay.links import Link, LinkPool
from popsync.model import Journal, Parcel

MESSAGES_A_LINK = 8
"""To open a link takes some round trips, and a message takes one."""

Carry = Callable[[Link, Batch], Awaitable[None]]
"""Delivers over a link until nothing waits or the link has done its share; then all is durable."""


class Crew:
    """All links that carry one batch."""

    def __init__(
        self,
        parcels: Sequence[Parcel],
        journal: Journal,
        links: LinkPool,
        carry: Carry,
        stopping: Callable[[], bool],
    ) -> None:
        self._batch = Batch(parcels, journal, links.gathering, self._call_helpers, stopping)
        self._links = links
        self._carry = carry
        self._helpers: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Deliver the batch; every outcome is durable on return.

        Once a link fails the others finish what they have in hand. Raises what the first one that
        failed raised: StreamError, RemoteProtocolError, DestinationUnavailable, LedgerError,
        SecretUnavailable.
        """
        try:
            async with self._links.turn():
                await self._lead()
        except asyncio.CancelledError:
            for helper in self._helpers:
                helper.cancel()
            raise
        finally:
            try:
                errors = await asyncio.gather(*self._helpers, return_exceptions=True)
            finally:
                await self._batch.commit_rest()
        for error in errors:
            if error is not None:
                raise error

    async def _lead(self) -> None:
        with self._stopping_all():
            while self._batch.waiting:
                await self._use(await self._links.take())

    def _call_helpers(self) -> None:
        """Have as many as are of use, also once another batch has no use for its own any more."""
        if spare := self._links.spare:
            at_work = sum(not helper.done() for helper in self._helpers)
            number = min(spare, self._batch.waiting // MESSAGES_A_LINK - at_work)
            self._helpers += [asyncio.create_task(self._help()) for _ in range(number)]

    async def _help(self) -> None:
        if not self._links.spare:  # somebody else was quicker
            return
        async with self._links.turn():
            with self._stopping_all():
                while self._batch.waiting and (link := await self._links.take_extra()):
                    if not await self._use(link):
                        self._links.note_enough()

    @contextmanager
    def _stopping_all(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._batch.stop()
            raise

    async def _use(self, link: Link) -> bool:
        """Deliver until nothing waits or ``link`` has done its share; False when it is spent."""
        try:
            with self._links.gathering.at_work():
                await self._carry(link, self._batch)
        except LinkSpent:
            await link.dialogue.close()
            return False
        except BaseException:
            await link.dialogue.close()
            raise
        await self._links.give_back(link)
        return True
