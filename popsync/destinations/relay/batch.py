"""What one call to deliver has still to do, and what it knows and has not yet told the journal.

All links that carry the batch share it, and its commits: what several of them have to tell gathers
while another commit is under way, and a moment longer. So the ledger is asked once for several
messages, and still no link has two of them in doubt (P4).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from popsync.destinations.relay.gathering import Gathering
from popsync.errors import DeliveryDeferred, DeliveryRejected, DestinationUnavailable
from popsync.model import Intent, Journal, Outcome, Parcel, Receipt, Refusal

MAX_REFUSED_IN_A_ROW = 3
"""More is not about messages: the server is full or set up wrongly, and to hold all mail or to
send it all in vain is no help."""

_Verdict = type[DeliveryRejected] | type[DeliveryDeferred]


@dataclass(slots=True, eq=False)
class _Round:
    """The intents that one record will hold, and those who wait for it."""

    intents: list[Intent] = field(default_factory=list)
    durable: "asyncio.Future[None] | None" = None
    """There once somebody writes the round, or waits to do so."""

    def fail(self, error: BaseException) -> None:
        """Tell those who wait."""
        if self.durable is not None and isinstance(error, Exception):
            self.durable.set_exception(error)
            self.durable.exception()  # perhaps nobody waits to be told
        elif self.durable is not None:
            self.durable.cancel()


class Batch:
    """The parcels of one call, in order, and its journal.

    gathering: the links that may share commits, also with other batches.
    on_accepted: called when the server has taken a message for somebody.
    stopping: once it gives True, nobody takes another parcel.
    """

    def __init__(
        self,
        parcels: Sequence[Parcel],
        journal: Journal,
        gathering: Gathering,
        on_accepted: Callable[[], None] = lambda: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._waiting = deque(parcels)
        self._stopping = stopping
        self._journal = journal
        self._links = gathering
        self._on_accepted = on_accepted
        self._settled: list[Outcome] = []
        self._gathering = _Round()
        self._writing: _Round | None = None
        self._broken: BaseException | None = None
        self._accepted = False
        self._refused_as: _Verdict | None = None
        self._refused_in_a_row = 0

    @property
    def waiting(self) -> int:
        """How many parcels there are to take."""
        return 0 if self._stopping() else len(self._waiting)

    def stop(self) -> None:
        """Let nobody take another parcel; what is in hand is finished."""
        self._waiting.clear()

    def take(self) -> Parcel:
        """Give the next parcel."""
        return self._waiting.popleft()

    def put_back(self, parcel: Parcel) -> None:
        """Let ``parcel`` be the next again: nothing of it has happened yet."""
        self._waiting.appendleft(parcel)

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Note outcomes; the next commit makes them durable."""
        self._settled += outcomes

    def conclude(self, outcomes: Sequence[Outcome]) -> None:
        """Learn from all outcomes that one message had at the server.

        Raises DestinationUnavailable after the third message in a row that was rejected, or the
        third that was deferred, for all its recipients, unless one was accepted in this batch.
        """
        if any(isinstance(outcome, Receipt) for outcome in outcomes):
            self._accepted = True
            self._on_accepted()
            return
        refused_as = _verdict_of_all(outcomes)
        if refused_as is not self._refused_as:
            self._refused_as, self._refused_in_a_row = refused_as, 0
        self._refused_in_a_row += 1
        if refused_as is None or self._accepted or self._refused_in_a_row < MAX_REFUSED_IN_A_ROW:
            return
        verb = "refuses" if refused_as is DeliveryRejected else "puts off"
        last = [outcome.error for outcome in outcomes if isinstance(outcome, Refusal)][-1]
        raise DestinationUnavailable(f"{verb} every message: {last}")

    async def commit(self, *intents: Intent) -> None:
        """Make all that is known durable, and ``intents`` with it.

        Raises LedgerError; then nothing of it is told again, as nobody knows what got through,
        and no intent is accepted any more: it might be a link's second one that is open (P4).
        """
        with self._links.waiting():
            await self._commit(intents)

    async def commit_rest(self) -> None:
        """Make durable what is left, if anything is."""
        if self._settled:
            await self.commit()

    async def _commit(self, intents: Sequence[Intent]) -> None:
        mine = self._gathering
        mine.intents += intents
        if mine.durable is not None:
            await asyncio.shield(mine.durable)  # or a waiter that is cancelled would cancel it
            return
        mine.durable = asyncio.get_running_loop().create_future()
        try:
            await self._write(mine, after=self._writing)
        except BaseException as error:
            self._broken = self._broken or error
            if self._gathering is mine:  # nobody is to wait for it any more
                self._gathering = _Round()
            mine.fail(error)
            raise
        mine.durable.set_result(None)

    async def _write(self, mine: _Round, after: _Round | None) -> None:
        if after is not None and after.durable is not None and not after.durable.done():
            await asyncio.wait([after.durable])
        await self._links.gather()
        self._gathering, self._writing = _Round(), mine
        if self._broken is not None and mine.intents:
            raise self._broken
        settled, self._settled = self._settled, []
        await self._journal.record(settled, mine.intents)


def _verdict_of_all(outcomes: Sequence[Outcome]) -> _Verdict | None:
    """Give what all recipients were refused as, alike; None when they were not."""
    for verdict in (DeliveryRejected, DeliveryDeferred):
        if all(isinstance(o, Refusal) and isinstance(o.error, verdict) for o in outcomes):
            return verdict
    return None
