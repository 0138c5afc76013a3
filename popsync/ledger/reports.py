"""What the ledger tells people: frozen rows for ``status``, ``held``, ``log`` and ``explain``."""

from typing import NamedTuple

from popsync.model import (
    AccountId,
    DeliveryState,
    Digest,
    MessageState,
    PollSummary,
    UniqueId,
)


class AccountReport(NamedTuple):
    """Where one account stands."""

    account: AccountId
    last_poll: PollSummary | None
    """None before the first one."""
    last_success_at: float | None
    """When the last poll without an error ended."""
    error_since: float | None
    """When the polls began to fail; None while they succeed."""
    total_delivered: int
    total_octets: int
    pending: int
    """Messages with a delivery still to be tried."""
    held: int
    """Messages that no destination takes."""
    polled_before: bool
    renumbering: bool
    lock_step: bool
    paused: bool
    """The operator wants it not to be polled."""
    day: str
    """The local date that ``delivered_today`` counts for, YYYY-MM-DD; empty before any."""
    delivered_today: int
    standing: str
    """How the daemon goes about it, in the daemon's own words; empty when it never said."""
    waiting_for: tuple[tuple[str, int], ...] = ()
    """The destinations that messages wait for, by name, and how many for each."""


class StoredStanding(NamedTuple):
    """What the daemon wants to know of an account when it is started again."""

    standing: str
    paused: bool


class HeldDelivery(NamedTuple):
    """One delivery that was set aside, or waits in the spool, or a message never retrieved."""

    id: int
    """The message's number in the ledger: what ``retry`` and ``drop`` are given."""
    account: AccountId
    unique_id: UniqueId
    octets: int
    first_seen: float
    destination: str
    """Empty for a message that was never retrieved, as is ``recipient``."""
    recipient: str
    reply: str
    """The destination's own words, escaped."""
    attempts: int
    next_try: float | None
    reason: str
    """Why it was not retrieved, or why its copy in the spool cannot be used; else empty."""
    oversize: bool
    is_waiting: bool = False
    """Not set aside: it is tried again by itself."""
    digest: Digest | None = None
    """None when the message was never retrieved."""
    spooled: bool = False
    """A copy of the message is in the spool."""
    left: bool = False
    """The server does not show the message any more; that copy is the only one."""


class DeliveredMessage(NamedTuple):
    """One delivery that was made."""

    delivered_at: float
    account: AccountId
    unique_id: UniqueId
    octets: int
    message_id: str
    """Escaped; empty when the message has none, or when it was seen before this was noted."""
    destination: str
    recipient: str
    reply: str
    """The destination's own words, escaped."""


class DeliveryStory(NamedTuple):
    """What became of one message at one destination."""

    destination: str
    recipient: str
    state: DeliveryState
    reply: str
    attempts: int
    doubts: int
    """How often the reply to the final dot was lost."""
    next_try: float | None
    changed_at: float


class MessageStory(NamedTuple):
    """All that is known of one message."""

    id: int
    account: AccountId
    unique_id: UniqueId
    message_id: str
    digest: Digest | None
    """None while it was never retrieved."""
    octets: int
    listed_octets: int
    copies: int
    """So many of the same were listed at once."""
    state: MessageState
    reason: str
    """Why it was not retrieved; empty for one that was."""
    suspect: bool
    """Its size disagrees with the listing."""
    first_seen: float
    settled_at: float | None
    """When every destination had it."""
    gone_at: float | None
    """When a complete listing no longer showed it."""
    next_try: float | None
    deletions: int
    """So many DELEs were issued for it."""
    deliveries: tuple[DeliveryStory, ...]
