"""What a poll needs from the world. Nothing here knows POP3's wire, SQLite or files."""

from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from typing import Protocol

from popsync.model import (
    AccountId,
    AccountMemory,
    AccountOutset,
    Content,
    DeliveryChange,
    DeliveryKey,
    DeliveryStatus,
    Digest,
    Hint,
    Intent,
    Journal,
    Keeping,
    ListedMessage,
    Listing,
    MessageKey,
    MessageNumber,
    Outcome,
    Parcel,
    PollSummary,
    Quiet,
    Retrieval,
    SeenMessage,
    SpooledMessage,
    UniqueId,
    UnretrievedMessage,
)
from popsync.poll.allowance import Allowance
from popsync.poll.events import Observer


class Maildrop(Protocol):
    """One session, logged in, holding the maildrop's lock."""

    async def list(self) -> Listing:
        """Give STAT, LIST and UIDL as one listing. Raises PipeliningUnfit."""
        ...

    def retrieve(
        self, wanted: Sequence[ListedMessage], *, stopping: Callable[[], bool]
    ) -> AsyncGenerator[Sequence[Retrieval], None]:
        """Give the wanted messages in order, as many at a time as have arrived.

        Once ``stopping()`` is true no further RETR goes out; what was asked for still comes.

        The caller closes each content. What is retrieved and not yet handed over stays bounded
        in octets. A refusal of one message is given in its place. Raises SizesDisagree at the
        first pipelined message whose octets are not what LIST said; StreamError,
        RemoteProtocolError.
        """
        ...

    async def delete(self, doomed: Sequence[ListedMessage]) -> Sequence[ListedMessage]:
        """Issue DELE for each; give those that the server agreed to. Nothing is gone yet (P3)."""
        ...

    @property
    def pipelines(self) -> bool:
        """Whether several commands may be on their way, so that replies could be shifted."""
        ...

    @property
    def login_delay_s(self) -> int:
        """What the server wants to pass before the next session; 0 when it does not say."""
        ...

    @property
    def kept_days(self) -> int | None:
        """How long the server keeps what was retrieved; None when it does not say, or for ever."""
        ...

    @property
    def deletion_refusal(self) -> str:
        """The server's words to the last DELE that it refused, escaped; empty if it agreed."""
        ...

    async def quit(self) -> None:
        """Ask the server to carry out the deletions, and part. Proves nothing (P3)."""
        ...

    async def drop(self) -> None:
        """Part without QUIT: the server forgets deletions and must not hide what was retrieved."""
        ...


class OpenMaildrop(Protocol):
    """Begins a session: connects, secures, logs in."""

    def __call__(self, *, lock_step: bool) -> Awaitable[Maildrop]:
        """``lock_step``: send no command before the last reply is in, whatever CAPA offers.

        Raises StreamError, ProtocolError, MaildropError, SecretUnavailable.
        """
        ...


class Destination(Protocol):
    """Where messages go."""

    @property
    def name(self) -> str:
        """As the configuration calls it."""
        ...

    async def ready(self) -> None:
        """Find out whether it takes mail now, before anything is retrieved for it.

        Raises DestinationUnavailable.
        """
        ...

    async def deliver(self, parcels: Sequence[Parcel], journal: Journal) -> None:
        """Deliver each parcel; every outcome goes through the journal.

        A parcel that has no outcome in the journal when this ends was not delivered and left no
        trace. Raises DestinationUnavailable when the rest has to wait; LedgerError when the
        journal refuses.
        """
        ...

    async def recover(self, intents: Sequence[Intent]) -> Sequence[Outcome]:
        """Say what became of steps that a crash left open, finishing those that can be finished.

        Raises DestinationUnavailable when that cannot be told now.
        """
        ...


class Ledger(Protocol):
    """The durable memory. Every method that writes is one transaction, durable on return.

    All raise LedgerError.
    """

    async def outset(self, account: AccountId) -> AccountOutset:
        """Give what a session must know before it begins."""
        ...

    async def memory(self, account: AccountId) -> AccountMemory:
        """Give all that is known of the account."""
        ...

    async def deliveries(
        self, messages: Sequence[MessageKey]
    ) -> Mapping[MessageKey, Mapping[DeliveryKey, DeliveryStatus]]:
        """Give an entry for each of ``messages`` that is known, empty when none was ever owed."""
        ...

    async def known_digests(
        self, account: AccountId, digests: Sequence[Digest]
    ) -> frozenset[Digest]:
        """Give those of ``digests`` that the account has ever brought and that are settled."""
        ...

    async def open_intents(self, account: AccountId) -> Sequence[Intent]:
        """Give the STAGED and DOT_SENT deliveries: what a crash left open."""
        ...

    async def reroute(self, account: AccountId, routes: Collection[tuple[str, str]]) -> int:
        """Let undelivered messages follow ``routes``, (destination, recipient) pairs.

        What is owed to a recipient that is no longer named is owed to those that are; what is
        owed to a destination that is no longer there is held. Gives how many were held now.
        """
        ...

    async def record(self, seen: Sequence[SeenMessage], changes: Sequence[DeliveryChange]) -> None:
        """Remember messages with the deliveries they owe, then change deliveries."""
        ...

    async def take_over(
        self,
        seen: Sequence[SeenMessage],
        changes: Sequence[DeliveryChange],
        former: Sequence[MessageKey],
    ) -> None:
        """Record what renamed messages owe, and let the ones in the spool that they were end."""
        ...

    async def spooled(self, account: AccountId) -> Sequence[SpooledMessage]:
        """Give what the account still owes of messages that have a copy in the spool."""
        ...

    async def note_spooled(self, messages: Collection[MessageKey]) -> None:
        """Remember that messages have a sound copy in the spool."""
        ...

    async def note_damaged(self, message: MessageKey, reason: str) -> None:
        """Remember that a copy cannot be used; held, if the maildrop shows it no more either."""
        ...

    async def note_unretrieved(
        self, account: AccountId, messages: Sequence[UnretrievedMessage]
    ) -> None:
        """Remember messages that were not retrieved."""
        ...

    async def note_deletions(self, account: AccountId, unique_ids: Sequence[UniqueId]) -> None:
        """Count a DELE that is about to be issued for each."""
        ...

    async def note_undeleted(self, account: AccountId, unique_ids: Sequence[UniqueId]) -> None:
        """Forget the one DELE of each: what is listed since was looked at, and stays."""
        ...

    async def close_listing(
        self, account: AccountId, *, gone: Sequence[UniqueId], renumbering: bool
    ) -> None:
        """Take a complete listing as read: bury what it no longer shows, mark it polled."""
        ...

    async def note_lock_step(self, account: AccountId) -> None:
        """Remember that this account's server cannot be trusted with pipelining."""
        ...

    async def note_content_keys(self, account: AccountId) -> None:
        """Remember that this account's unique-ids mean nothing from one session to the next."""
        ...

    async def note_hints(self, account: AccountId, hints: Mapping[MessageNumber, Hint]) -> None:
        """Remember these hints in the place of all earlier ones."""
        ...

    async def note_poll(
        self, account: AccountId, summary: PollSummary, *, can_wait: bool, quiet: Quiet | None
    ) -> None:
        """Remember what a poll came to; durable on return unless it can wait.

        quiet: is remembered as well, if its stamp is still that of the account.
        """
        ...


class Spool(Protocol):
    """Durable copies of messages that were retrieved and that some destination lacks.

    What it holds is the ledger's to say; a copy that the ledger does not speak of means nothing.
    """

    def held(self, account: AccountId) -> Collection[MessageKey]:
        """Give the account's messages that have a copy here; takes no time."""
        ...

    def has_room(self, octets: int = 0) -> bool:
        """Say whether it is worth while to retrieve so much, which may have to wait here."""
        ...

    async def keep(self, contents: Mapping[MessageKey, Content]) -> Keeping:
        """Make a copy of each, in order, until one is refused; those given are durable.

        A copy that is there is replaced. Raises nothing of the disk's: it is told in words.
        """
        ...

    async def fetch(self, message: MessageKey) -> Content:
        """Give a message's content, the same octets that were kept. Raises SpoolDamaged."""
        ...

    async def release(self, messages: Iterable[MessageKey]) -> None:
        """Take copies away that nobody is owed any more."""
        ...


Clock = Callable[[], float]
"""Gives the time in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything one account's polls touch."""

    open_maildrop: OpenMaildrop
    destinations: Mapping[str, Destination]
    ledger: Ledger
    spool: Spool
    clock: Clock
    observe: Observer
    stopping: Callable[[], bool]
    """Whether to finish what is in hand and begin nothing new."""
    allowance: Allowance = field(default_factory=Allowance)
    """Shared by all accounts of a process."""
