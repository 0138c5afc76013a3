"""Retrieval and delivery at the same time: while one batch is made durable, the next arrives."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

from popsync.errors import PopsyncError
from popsync.model import (
    Digest,
    MessageState,
    RefusedMessage,
    Retrieval,
    RetrievedMessage,
    UnretrievedMessage,
)
from popsync.poll.allowance import MAX_COUNTED_OCTETS, SESSION_OCTETS
from popsync.poll.batch import deliver_batch
from popsync.poll.content_keys import is_nameless, name_by_content, without_key
from popsync.poll.disposition import pause_after_deferral
from popsync.poll.events import Retrieved, Warned
from popsync.poll.ports import Maildrop
from popsync.poll.session import Session

# A batch costs a destination a few syncs and the ledger two commits, whatever its size. While one
# waits for the disk another one keeps the processor busy; none once all accounts together have
# the allowance used up (P8).
MAX_BATCH_MESSAGES = 1024
MAX_BATCH_OCTETS = 8 * 1024 * 1024
MAX_DELIVERING = 2


async def carry(maildrop: Maildrop, session: Session) -> None:
    """Retrieve what the plan wants and deliver it; the outcome is in ``session``.

    What arrived whole before the maildrop broke is delivered before its error is raised. Once
    nobody takes what is retrieved, nothing more is asked for. Raises what the maildrop and the
    ledger raise.
    """
    allowance = session.ports.allowance
    allowance.take(SESSION_OCTETS)
    try:
        await _carry(maildrop, session)
    finally:
        allowance.give_back(SESSION_OCTETS)


async def _carry(maildrop: Maildrop, session: Session) -> None:
    carrier = _Carrier(session)
    wanted = [without_key(listed) for listed in session.plan.retrieve]
    bursts = maildrop.retrieve(
        wanted, stopping=lambda: session.ports.stopping() or session.is_stranded
    )
    try:
        try:
            async with aclosing(bursts):
                async for burst in bursts:
                    await carrier.take(burst)
        except PopsyncError:
            await carrier.finish()
            raise
        await carrier.finish()
    except BaseException:
        await carrier.abandon()
        raise


class _Carrier:
    """One batch that fills, and those that are being delivered."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._allowance = session.ports.allowance
        self._batch: list[RetrievedMessage] = []
        self._octets = 0
        self._counted = 0
        """What the batch counts for in the allowance."""
        self._counts: dict[asyncio.Task[None], int] = {}
        """The same for each that is being delivered."""
        self._delivering: dict[asyncio.Task[None], frozenset[Digest]] = {}

    async def take(self, burst: Sequence[Retrieval]) -> None:
        """Add what was retrieved to the batch; waits when it is full and others are under way."""
        arrived = [name_by_content(r) for r in burst if isinstance(r, RetrievedMessage)]
        self._batch += arrived
        self._octets += sum(message.content.octets for message in arrived)
        self._count(arrived)
        refused = [r for r in burst if isinstance(r, RefusedMessage)]
        if refused:
            await _note_refused(refused, self._session)
        if len(self._batch) >= MAX_BATCH_MESSAGES or self._octets >= MAX_BATCH_OCTETS:
            await self._send_off()
        elif self._batch and self._allowance.is_used_up:
            await self._send_off()
            await self._wait()
            await self._allowance.wait_for_room()

    async def finish(self) -> None:
        """Deliver all that was taken, unless delivery has failed before."""
        if self._batch:
            await self._send_off()
        await self._wait()

    async def abandon(self) -> None:
        """Stop where we are, as a crash would; recovery completes what was begun (P4)."""
        self._discard()
        for task in self._delivering:
            task.cancel()
        await asyncio.gather(*self._delivering, return_exceptions=True)

    def _count(self, arrived: Sequence[RetrievedMessage]) -> None:
        octets = sum(min(message.content.octets, MAX_COUNTED_OCTETS) for message in arrived)
        self._counted += octets
        self._allowance.take(octets)

    async def _send_off(self) -> None:
        digests = frozenset([message.content.digest for message in self._batch])
        await self._wait(at_most=MAX_DELIVERING - 1, apart_from=digests)
        batch, octets, counted = self._batch, self._octets, self._counted
        self._batch, self._octets, self._counted = [], 0, 0
        self._session.ports.observe(
            Retrieved(self._session.account.name, messages=len(batch), octets=octets)
        )
        task = asyncio.create_task(deliver_batch(batch, self._session))
        self._delivering[task] = digests
        self._counts[task] = counted
        task.add_done_callback(self._release)  # also when nobody comes to wait for it soon

    async def _wait(
        self, *, at_most: int = 0, apart_from: frozenset[Digest] = frozenset()
    ) -> None:
        """Wait until so many batches are being delivered; raise what one of them raises.

        apart_from: contents that none of them may have. The ledger must know of the first copy
        before it is asked what is owed of the second.
        """
        for task in tuple(self._delivering):
            if len(self._delivering) <= at_most and all(
                other.isdisjoint(apart_from) for other in self._delivering.values()
            ):
                return
            try:
                await task
            except PopsyncError:
                del self._delivering[task]
                self._discard()
                raise
            finally:
                if task.done():
                    self._release(task)
            del self._delivering[task]

    def _release(self, task: asyncio.Task[None]) -> None:
        """Count no more what a batch had in memory. Idempotent."""
        self._allowance.give_back(self._counts.pop(task, 0))

    def _discard(self) -> None:
        for message in self._batch:
            message.content.close()
        self._allowance.give_back(self._counted)
        self._batch, self._counted = [], 0


async def _note_refused(refused: Sequence[RefusedMessage], session: Session) -> None:
    """Remember what the server would not give; the other messages are not affected (P5)."""
    account, ports = session.account, session.ports
    next_try = ports.clock() + pause_after_deferral(1)
    notes = []
    for listed, error in ((r.listed, r.error) for r in refused):
        session.refused.append(listed)
        ports.observe(Warned(account.name, str(error)))
        if is_nameless(listed):
            continue  # which message it is nobody knows
        notes.append(
            UnretrievedMessage(
                listed.unique_id,
                listed.octets,
                MessageState.PENDING,
                reason=str(error),
                next_try=next_try,
            )
        )
    await ports.ledger.note_unretrieved(account.id, notes)
