"""What one session knows, and what has come of it so far."""

from collections import Counter
from dataclasses import dataclass, field

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
    vanished: frozenset[Digest] = frozenset()
    """Of known messages that nobody told the server to delete and that are not listed."""
    copies: Counter[MessageKey] = field(default_factory=Counter)
    consigned: set[MessageKey] = field(default_factory=set)
    """What the ledger may know by now, though it did not when the session began."""
    settled: list[ListedMessage] = field(default_factory=list)
    """Retrieved, and every delivery has its receipt."""
    unsettled: list[ListedMessage] = field(default_factory=list)
    """Retrieved, and still owed to some destination: QUIT would be too early."""
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
        dealt_with = len(self.settled) + len(self.unsettled) + len(self.refused)
        return self.plan.is_whole and dealt_with == len(self.plan.retrieve)
