"""The destination in memory keeps the contract, so that polls may be tested with it."""

from collections.abc import Sequence

import pytest

from popsync.destinations.memory import MemoryDestination
from popsync.errors import DeliveryRejected, DeliveryUndone, DestinationUnavailable
from popsync.model import DeliveryState, Intent, Receipt, Refusal
from popsync.poll.ports import Destination
from tests.contract.destination import DestinationContract, RecordingJournal


class TestMemory(DestinationContract):
    """Nothing but objects."""

    @pytest.fixture
    def destination(self) -> Destination:
        """Give an empty one."""
        return MemoryDestination()

    def arrived(self, destination: Destination) -> Sequence[bytes]:
        """Look inside."""
        assert isinstance(destination, MemoryDestination)
        return sorted(octets.replace(b"\r\n", b"\n") for _, octets in destination.arrived)

    @pytest.mark.parametrize("step", ["ready", "stage", "publish", "recover"])
    async def test_it_fails_once_at_the_step_it_was_told(self, step: str) -> None:
        """And works at the next try."""
        destination = MemoryDestination()
        destination.failures[step] = DestinationUnavailable("told so")

        async def work() -> None:
            await destination.ready()
            await destination.recover(())
            await destination.deliver(self.parcels(1), RecordingJournal())

        with pytest.raises(DestinationUnavailable):
            await work()
        await work()
        assert len(destination.arrived) == 1

    async def test_it_refuses_what_it_was_told(self) -> None:
        """The others arrive."""
        destination = MemoryDestination()
        first, second = self.parcels(2)
        destination.refusals[first.message.unique_id] = DeliveryRejected("550 no")
        journal = RecordingJournal()
        await destination.deliver([first, second], journal)

        assert [type(outcome) for outcome in journal.settled] == [Refusal, Receipt]
        assert len(destination.arrived) == 1

    async def test_what_is_staged_arrives_on_recovery(self) -> None:
        """As long as the process lives."""
        destination = MemoryDestination()
        destination.failures["publish"] = DestinationUnavailable("told so")
        journal = RecordingJournal()
        with pytest.raises(DestinationUnavailable):
            await destination.deliver(self.parcels(1), journal)

        assert [type(o) for o in await destination.recover(journal.intents)] == [Receipt]
        assert len(destination.arrived) == 1

    async def test_what_it_does_not_remember_is_undone(self) -> None:
        """As after a restart of the process."""
        (parcel,) = self.parcels(1)
        intent = Intent(parcel.message, "memory", ("",), DeliveryState.STAGED, "lost")
        (outcome,) = await MemoryDestination().recover([intent])

        assert isinstance(outcome, Refusal)
        assert isinstance(outcome.error, DeliveryUndone)
