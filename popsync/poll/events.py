"""What a poll tells whoever watches it: log lines, a progress bar, a report."""

from collections.abc import Callable
from typing import NamedTuple

from popsync.errors import DeliveryError, PopsyncError
from popsync.model import DeliveryState, PollSummary, UniqueId


class Listed(NamedTuple):
    """A listing was read and planned."""

    account: str
    listed: int
    to_retrieve: int
    octets: int
    """What LIST claims of the messages to retrieve."""


class Retrieved(NamedTuple):
    """So many more messages have arrived whole; they are not delivered yet."""

    account: str
    messages: int
    octets: int


class Delivered(NamedTuple):
    """A destination gave its receipt for a message, and the ledger says so durably (P2)."""

    account: str
    unique_id: UniqueId
    octets: int
    message_id: str
    """Escaped; empty when the message has none."""
    destination: str
    recipient: str
    reply: str


class NotDelivered(NamedTuple):
    """A destination did not take a message; it stays on the server."""

    account: str
    unique_id: UniqueId
    destination: str
    recipient: str
    error: DeliveryError
    state: DeliveryState


class Deleted(NamedTuple):
    """The server agreed to so many DELEs and to QUIT; a later listing tells whether it did so."""

    account: str
    messages: int


class Warned(NamedTuple):
    """Something a person should know, and nothing is lost by it."""

    account: str
    text: str


class PollReport(NamedTuple):
    """What one poll came to."""

    account: str
    summary: PollSummary
    error: PopsyncError | None = None
    """What ended it early; None when every step was done."""
    down: frozenset[str] = frozenset()
    """The destinations that were to get something and take no mail."""
    login_delay_s: int = 0
    """What the server wants to pass between two sessions, as far as it said; 0 is nothing."""


class PollEnded(NamedTuple):
    """A poll is over, and the ledger knows."""

    report: PollReport


Event = Listed | Retrieved | Delivered | NotDelivered | Deleted | Warned | PollEnded
Observer = Callable[[Event], None]
