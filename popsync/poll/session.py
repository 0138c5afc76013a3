"""What one session knows, and what has come of it so far."""

from collections import Counter
from dataclasses import dataclass, field

from popsync.errors import DestinationUnavailable
from popsync.model import AccountMemory, Digest, ListedMessage, Listing, MessageKey, UniqueId
from popsync.poll.plan import PollPlan
from popsync.poll.policy import Account
from popsync.poll.ports import Ports


@dataclass(slots=True)
class Session:
    """The facts that every message of one session meets, and its outcome so far."""

    account: Account
    ports: Ports
    memory: AccountMemory
    listing: Listing
    plan: PollPlan
    down: dict[str, DestinationUnavailable] = field(default_factory=dict)
    """The destinations that take nothing during this poll, and what they say."""
    vanished: frozenset[Digest] = frozenset()
    """Of known messages that nobody told the server to delete and that are not listed."""
    from_spool: bool = False
    """Its messages come from the spool and not from the maildrop."""
    copies: Counter[MessageKey] = field(default_factory=Counter)
    consigned: set[MessageKey] = field(default_factory=set)
    """What the ledger may know by now, though it did not when the session began."""
    settled: list[ListedMessage] = field(default_factory=list)
    """Retrieved, and every delivery has its receipt."""
    spooled: list[ListedMessage] = field(default_factory=list)
    """Retrieved, still owed to some destination, and safe in the spool until it takes them."""
    unsettled: list[ListedMessage] = field(default_factory=list)
    """Retrieved, still owed to some destination, and not safe here: QUIT would be too early."""
    kept: set[MessageKey] = field(default_factory=set)
    """What has a copy in the spool, durably and by the ledger's word."""
    refused: list[ListedMessage] = field(default_factory=list)
    """The server would not give them."""
    suspect: set[UniqueId] = field(default_factory=set)
    """Retrieved with doubtful bytes: never deleted."""
    delivered: int = 0
    octets: int = 0
    held: int = 0
    deferred: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether everything that the plan wanted has been dealt with."""
        dealt_with = (self.settled, self.spooled, self.unsettled, self.refused)
        return self.plan.is_whole and sum(map(len, dealt_with)) == len(self.plan.retrieve)

    @property
    def is_stranded(self) -> bool:
        """Whether to retrieve more is of no use: nobody takes it, or it cannot wait here."""
        if not self.down or self.is_cut_off:
            return bool(self.down)
        return not self.from_spool and (bool(self.unsettled) or not self.ports.spool.has_room())

    @property
    def is_cut_off(self) -> bool:
        """Whether no destination takes anything."""
        return len(self.down) == len(self.ports.destinations)
