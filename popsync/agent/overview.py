"""What the daemon is about at one moment, for people who ask."""

from dataclasses import dataclass
from enum import Enum

from popsync.agent.standing import Standing
from popsync.model import AccountId


class AccountState(Enum):
    """What an account is doing."""

    WAITING = "waiting"
    """For its next poll; the last one went well, or there was none."""
    POLLING = "polling"
    BACKING_OFF = "backing off"
    """Its last poll failed."""
    SUSPENDED = "suspended"
    """Only probed now and then, until its configuration changes or somebody asks."""
    PAUSED = "paused"
    """The operator wants it not to be polled."""


@dataclass(frozen=True, slots=True)
class AccountOverview:
    """One enabled account."""

    name: str
    account: AccountId
    state: AccountState
    next_poll_at: float | None
    """In seconds since the epoch; None when no poll is planned."""
    polling_since: float | None
    """None while it is not being polled, or still waits for one of the places in ``limits``."""
    standing: Standing


@dataclass(frozen=True, slots=True)
class DestinationOverview:
    """One destination."""

    name: str
    unavailable_since: float | None
    """In seconds since the epoch; None while it takes mail."""
    retry_at: float | None
    """When it is tried again; None while it takes mail."""
    trouble: str
    """Why it takes no mail, in words; empty while it does."""


def state_of(standing: Standing, *, polling: bool, paused: bool) -> AccountState:
    """Give what an account is doing: what happens now before what will happen next."""
    if polling:
        return AccountState.POLLING
    if paused:
        return AccountState.PAUSED
    if standing.suspended:
        return AccountState.SUSPENDED
    return AccountState.BACKING_OFF if standing.failures else AccountState.WAITING
