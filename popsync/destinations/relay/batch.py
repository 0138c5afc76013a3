"""What one call to deliver has still to do, and what it knows and has not yet told the journal."""

from collections import deque
from collections.abc import Sequence

from popsync.errors import DeliveryDeferred, DeliveryRejected, DestinationUnavailable
from popsync.model import Intent, Journal, Outcome, Parcel, Receipt, Refusal

MAX_REFUSED_IN_A_ROW = 3
"""More is not about messages: the server is full or set up wrongly, and to hold all mail or to
send it all in vain is no help."""

_Verdict = type[DeliveryRejected] | type[DeliveryDeferred]


class Batch:
    """The parcels of one call, in order, and its journal."""

    def __init__(self, parcels: Sequence[Parcel], journal: Journal) -> None:
        self._waiting = deque(parcels)
        self._journal = journal
        self._settled: list[Outcome] = []
        self._accepted = False
        self._refused_as: _Verdict | None = None
        self._refused_in_a_row = 0

    @property
    def waiting(self) -> bool:
        """Whether there is a parcel that nobody has taken."""
        return bool(self._waiting)

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
        self._accepted |= any(isinstance(outcome, Receipt) for outcome in outcomes)
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

        Raises LedgerError; then nothing of it is told again, as nobody knows what got through.
        """
        settled, self._settled = self._settled, []
        await self._journal.record(settled, intents)

    async def commit_rest(self) -> None:
        """Make durable what is left, if anything is."""
        if self._settled:
            await self.commit()


def _verdict_of_all(outcomes: Sequence[Outcome]) -> _Verdict | None:
    """Give what all recipients were refused as, alike; None when they were not."""
    for verdict in (DeliveryRejected, DeliveryDeferred):
        if all(isinstance(o, Refusal) and isinstance(o.error, verdict) for o in outcomes):
            return verdict
    return None
