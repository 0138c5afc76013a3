"""What the ledger tells people: frozen rows for ``status`` and ``held``."""

from typing import NamedTuple

from popsync.model import AccountId, PollSummary, UniqueId


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


class StoredStanding(NamedTuple):
    """What the daemon wants to know of an account when it is started again."""

    standing: str
    paused: bool


class HeldDelivery(NamedTuple):
    """One delivery that was set aside, or one message that was never retrieved."""

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
    """Why it was not retrieved; empty for one that was."""
    oversize: bool
