"""What the SMTP and the LMTP destination have in common: everything after the connection."""

import time
from collections.abc import Callable, Sequence

from popsync.destinations.relay.batch import Batch
from popsync.destinations.relay.courier import Courier
from popsync.destinations.relay.crew import Crew
from popsync.destinations.relay.dialect import Dialect
from popsync.destinations.relay.dialogue import Dialogue
from popsync.destinations.relay.failures import destination_failures
from popsync.destinations.relay.links import Link, LinkPool, Reuse
from popsync.destinations.relay.opening import Opening, open_dialogue
from popsync.errors import DeliveryInDoubt
from popsync.model import Intent, Journal, Outcome, Parcel, Refusal


class RelayDestination:
    """A destination that takes messages over SMTP or LMTP (``poll.ports.Destination``).

    stopping: once it gives True, the messages in hand are finished and no other is begun.
    """

    def __init__(
        self,
        name: str,
        opening: Opening,
        dialect: Dialect,
        *,
        connections: int,
        reuse: Reuse,
        stopping: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._stopping = stopping
        self._opening = opening
        self._dialect = dialect
        self._links = LinkPool(
            self._open,
            connections=connections,
            reuse=reuse,
            deadlines=opening.deadlines,
            clock=clock,
        )

    @property
    def name(self) -> str:
        """As the configuration calls it."""
        return self._name

    def patience_s(self, parcels: Sequence[Parcel]) -> float:
        """Give twice what the largest of ``parcels`` may take."""
        octets = max((parcel.content.octets for parcel in parcels), default=0)
        return 2 * self._opening.deadlines.for_message(octets)

    async def ready(self) -> None:
        """Find out whether the server takes mail now; it does while it is busy with ours.

        Raises DestinationUnavailable, SecretUnavailable.
        """
        with destination_failures(self._name):
            if await self._links.busy():
                return
            async with self._links.turn():
                await self._links.give_back(await self._links.take_live())

    async def probe(self) -> None:
        """Find out the same as ``ready``, which changes nothing here."""
        await self.ready()

    async def deliver(self, parcels: Sequence[Parcel], journal: Journal) -> None:
        """Deliver each parcel, begun in order; every outcome goes through the journal.

        A parcel without an outcome was not delivered: its final dot was never sent. Raises
        DestinationUnavailable when the rest has to wait, also after three messages in a row were
        rejected, or three deferred, and none was accepted; LedgerError, SecretUnavailable.
        """
        crew = Crew(parcels, journal, self._links, self._carry, self._stopping)
        with destination_failures(self._name):
            await crew.run()

    async def recover(self, intents: Sequence[Intent]) -> Sequence[Outcome]:
        """Say of every dot that may have been sent that nobody knows its reply."""
        error = DeliveryInDoubt(
            f"destination {self._name!r}: popsync ended before it noted the reply to the dot"
        )
        return [Refusal(delivery, error) for intent in intents for delivery in intent.deliveries]

    async def close(self) -> None:
        """Part from the server where no delivery is going on."""
        await self._links.close()

    async def _carry(self, link: Link, batch: Batch) -> None:
        courier = Courier(
            link,
            batch,
            destination=self._name,
            dialect=self._dialect,
            deadlines=self._opening.deadlines,
            is_worn=self._links.is_worn,
        )
        await courier.run()

    async def _open(self) -> Dialogue:
        return await open_dialogue(self._opening)
