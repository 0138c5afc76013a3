"""What every destination promises, whatever is behind it."""

from abc import abstractmethod
from collections.abc import Sequence

import pytest

from popsync.errors import LedgerUnavailable
from popsync.model import DeliveryState, Intent, Outcome, Parcel, Receipt
from popsync.poll.ports import Destination
from tests.doubles.retrieved import make_parcel


class RecordingJournal:
    """Keeps what it is told; refuses its n-th record (1…) if asked to."""

    def __init__(self, refuse_at: int = 0) -> None:
        self._refuse_at = refuse_at
        self._records = 0
        self.settled: list[Outcome] = []
        self.intents: list[Intent] = []

    async def record(self, settled: Sequence[Outcome], intents: Sequence[Intent]) -> None:
        """Remember both, or refuse both."""
        self._records += 1
        if self._records == self._refuse_at:
            raise LedgerUnavailable("refused by the test")
        self.settled += settled
        self.intents += intents


class DestinationContract:
    """Subclass it, give ``destination`` as a fixture and say what has arrived."""

    @abstractmethod
    def arrived(self, destination: Destination) -> Sequence[bytes]:
        """Give the messages that are at the destination, line ends as LF, sorted."""

    def parcels(self, count: int) -> Sequence[Parcel]:
        """Make messages that this destination takes."""
        return [
            make_parcel(b"u%d" % n, b"Subject: %d\r\n\r\nbody\r\n" % n, b"X-Trace: %d\r\n" % n)
            for n in range(count)
        ]

    async def test_every_parcel_arrives_with_its_header_in_front(
        self, destination: Destination
    ) -> None:
        """One receipt for each, under the destination's own name."""
        journal = RecordingJournal()
        parcels = self.parcels(3)
        await destination.ready()
        await destination.deliver(parcels, journal)

        assert self.arrived(destination) == [
            b"X-Trace: %d\nSubject: %d\n\nbody\n" % (n, n) for n in range(3)
        ]
        assert all(isinstance(outcome, Receipt) for outcome in journal.settled)
        assert [o.delivery.message for o in journal.settled] == [p.message for p in parcels]
        assert {o.delivery.destination for o in journal.settled} == {destination.name}

    async def test_every_receipt_was_announced(self, destination: Destination) -> None:
        """No step that cannot be taken back without an intent for exactly that delivery (P2)."""
        journal = RecordingJournal()
        await destination.ready()
        await destination.deliver(self.parcels(3), journal)
        announced = [key for intent in journal.intents for key in intent.deliveries]

        assert sorted(announced) == sorted(outcome.delivery for outcome in journal.settled)
        assert {intent.state for intent in journal.intents} <= {
            DeliveryState.STAGED,
            DeliveryState.DOT_SENT,
        }

    async def test_nothing_arrives_when_the_journal_refuses(
        self, destination: Destination
    ) -> None:
        """What cannot be remembered is not done (P4)."""
        await destination.ready()

        with pytest.raises(LedgerUnavailable):
            await destination.deliver(self.parcels(3), RecordingJournal(refuse_at=1))
        assert self.arrived(destination) == []

    async def test_nothing_to_deliver_is_nothing_to_do(self, destination: Destination) -> None:
        """Neither an outcome nor an intent."""
        journal = RecordingJournal()
        await destination.ready()
        await destination.deliver((), journal)

        assert (journal.settled, journal.intents) == ([], [])

    async def test_nothing_open_is_nothing_to_recover(self, destination: Destination) -> None:
        """A clean start asks nobody anything."""
        assert list(await destination.recover(())) == []

    async def test_an_open_intent_gets_one_outcome_for_each_delivery(
        self, destination: Destination
    ) -> None:
        """Whatever became of it, it does not stay open."""
        journal = RecordingJournal(refuse_at=2)
        await destination.ready()
        with pytest.raises(LedgerUnavailable):
            await destination.deliver(self.parcels(1), journal)
        outcomes = await destination.recover(journal.intents)
        announced = [key for intent in journal.intents for key in intent.deliveries]

        assert [outcome.delivery for outcome in outcomes] == announced
