"""One account with its server, destinations and ledger: all that a poll touches, on one desk."""

from pathlib import Path

from popsync.ledger import SqliteLedger, open_ledger
from popsync.model import AccountId, DeliveryState, Digest, MessageKey, MessageState, UniqueId
from popsync.poll.allowance import Allowance
from popsync.poll.events import Delivered, Event, NotDelivered, PollReport, Warned
from popsync.poll.once import poll_once
from popsync.poll.policy import Account, Policy, Route
from popsync.poll.ports import Destination, Ports
from popsync.spool import LocalSpool
from popsync.storage import DurableSteps, Scratch
from tests.doubles.maildrop import RemoteMaildrop, TrackedContent

ACCOUNT_ID = AccountId("jane@pop.example.org")
DAY_S = 86400.0
KEEP = Policy(deletes=False)
DELETE = Policy(deletes=True)
A, B, C = b"Subject: a\r\n\r\na", b"Subject: b\r\n\r\nb", b"Subject: c\r\n\r\nc"


class Desk:
    """Polls the account ``work`` of ``server`` into ``destinations``, with a clock of its own.

    policy: may be changed between polls. The ledger is a real one in ``state_dir``.
    """

    def __init__(
        self,
        state_dir: Path,
        *destinations: Destination,
        steps: DurableSteps | None = None,
        burst: int = 2,
    ) -> None:
        self._state_dir = state_dir
        self._steps = steps
        self._ledger: SqliteLedger | None = None
        self.server = RemoteMaildrop(burst=burst)
        self.destinations = {destination.name: destination for destination in destinations}
        self.policy = Policy(deletes=False)
        self.trace = False
        self.loop_mark = ""
        self.now = 1_000_000.0
        self.events: list[Event] = []
        self.stopping = False
        self.allowance = Allowance()

        self.spool_octets = 10**6
        """What the spool of the next process may hold."""
        self.free_octets = 10**9
        """What its disk has left."""

    @property
    def ledger(self) -> SqliteLedger:
        """The open ledger."""
        assert self._ledger is not None
        return self._ledger

    async def open(self) -> None:
        """Begin a process."""
        self._ledger = await open_ledger(
            self._state_dir, steps=self._steps, clock=lambda: self.now
        )
        self.spool = LocalSpool(
            self._state_dir,
            token=self.ledger.token,
            scratch=Scratch(self._state_dir),
            max_octets=self.spool_octets,
            steps=self._steps,
            free=lambda _: self.free_octets,
        )
        await self.spool.open(await self.ledger.all_spooled())

    async def close(self) -> None:
        """End it."""
        await self.ledger.close()

    async def poll(self) -> PollReport:
        """Poll once; a moment passes."""
        self.now += 1
        return await poll_once(self.account, self.ports)

    async def poll_well(self) -> PollReport:
        """Poll once, and demand that nothing goes wrong."""
        report = await self.poll()
        assert report.error is None, repr(report.error)
        return report

    @property
    def account(self) -> Account:
        """The account under the policy of the moment."""
        return Account(
            ACCOUNT_ID,
            "work",
            self.policy,
            tuple(Route(name, recipients_of(name)) for name in self.destinations),
            find_reverse_path=lambda head: "from@example.org" if head else "",
            trace=_trace if self.trace else None,
            loop_mark=self.loop_mark,
        )

    @property
    def ports(self) -> Ports:
        """What the account's polls touch."""
        return Ports(
            open_maildrop=self.server.open,
            destinations=self.destinations,
            ledger=self.ledger,
            spool=self.spool,
            clock=lambda: self.now,
            observe=self.events.append,
            stopping=lambda: self.stopping,
            allowance=self.allowance,
        )

    @property
    def spooled(self) -> list[Path]:
        """The files that lie in the spool."""
        directory = self._state_dir / "spool"
        return sorted(directory.iterdir()) if directory.exists() else []

    @property
    def warnings(self) -> list[str]:
        """The texts of all warnings so far."""
        return [event.text for event in self.events if isinstance(event, Warned)]

    @property
    def delivered(self) -> list[Delivered]:
        """The deliveries announced so far."""
        return [event for event in self.events if isinstance(event, Delivered)]

    @property
    def refused(self) -> list[NotDelivered]:
        """The refusals announced so far."""
        return [event for event in self.events if isinstance(event, NotDelivered)]

    async def states(self, octets: bytes, unique_id: bytes) -> dict[str, DeliveryState]:
        """Give where the deliveries of one message stand, by destination and recipient."""
        key = message_key(octets, unique_id)
        known = await self.ledger.deliveries([key])
        return {
            f"{delivery.destination}:{delivery.recipient}": status.state
            for delivery, status in known[key].items()
        }


def _trace(name: str, _received_at: float) -> bytes:
    return b"Received: by here id %s\r\n" % name.encode()


def recipients_of(destination: str) -> tuple[str, ...]:
    """Give the recipients at a destination: a name such as ``lmtp+jane+joe`` lists them."""
    return tuple(destination.split("+")[1:]) or ("",)


def message_key(octets: bytes, unique_id: bytes) -> MessageKey:
    """Give the key of a message of the account."""
    return MessageKey(ACCOUNT_ID, UniqueId(unique_id), Digest(TrackedContent(octets).digest))


async def state_of(desk: Desk, unique_id: bytes = b"u1") -> MessageState:
    """Give where the newest message under a unique-id stands."""
    memory = await desk.ledger.memory(ACCOUNT_ID)
    return memory.messages[UniqueId(unique_id)][-1].state
