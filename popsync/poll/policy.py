"""What the operator wants of one account, in the poll's own terms."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from popsync.model import AccountId


@dataclass(frozen=True, slots=True)
class Policy:
    """What is retrieved, and what happens in the maildrop after delivery."""

    deletes: bool
    """Delete mode; False is keep mode."""
    delete_after_s: float = 0
    """Delete mode: how long a delivered message stays in the maildrop."""
    max_octets: int = 0
    """Larger messages stay on the server and are held; 0 is no limit."""
    fetch_limit: int = 0
    """Messages retrieved in one poll; 0 is no limit."""
    adopts: bool = False
    """On the first poll, what is there counts as seen."""
    destinations: frozenset[str] = frozenset()
    """Without a receipt from each of these nothing is deleted."""


class Route(NamedTuple):
    """One destination of an account and who is served there."""

    destination: str
    recipients: tuple[str, ...]
    """``("",)`` for a Maildir, which knows no recipients."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account as a poll sees it."""

    id: AccountId
    name: str
    """As the configuration calls it."""
    policy: Policy
    routes: tuple[Route, ...]
    find_reverse_path: Callable[[bytes], str]
    """Gives the envelope's reverse-path from the first octets of a message."""
    trace: Callable[[str, float], bytes] | None = None
    """Gives the trace header for a parcel's name and time; None adds nothing."""
    loop_mark: str = ""
    """Goes into each message behind the trace header, and tells one that comes back; or empty."""
