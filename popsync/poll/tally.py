"""What the sessions of one poll come to, and what another one would be for."""

from dataclasses import dataclass, field
from enum import Enum

from popsync.errors import DestinationUnavailable, PopsyncError
from popsync.model import PollSummary, Quiet
from popsync.poll.session import Session


class Purpose(Enum):
    """What a session, or another one in the same poll, is for."""

    EVERYTHING = "everything"
    DELETIONS = "deletions"
    """What was retrieved a moment ago and not delivered waits for the next poll."""
    NOTHING = "nothing"


@dataclass(slots=True)
class Tally:
    """What the sessions of one poll come to."""

    began_at: float
    listed: int = 0
    delivered: int = 0
    octets: int = 0
    deleted: int = 0
    held: int = 0
    deferred: int = 0
    left_out: int = 0
    login_delay_s: int = 0
    broken_by: PopsyncError | None = None
    """What ended a session early, or kept it from beginning."""
    quiet: Quiet | None = None
    """What the last listing was found to be."""
    down: dict[str, DestinationUnavailable] = field(default_factory=dict)
    """The destinations that were found to take nothing, and what they said."""

    def add(self, session: Session) -> None:
        """Count what has come of a session."""
        self.delivered += session.delivered
        self.octets += session.octets
        self.held += session.held
        self.deferred += session.deferred + len(session.refused)

    def summary(self, ended_at: float, error: PopsyncError | None) -> PollSummary:
        """Give the poll in figures, as the ledger keeps it."""
        return PollSummary(
            self.began_at,
            ended_at,
            listed=self.listed,
            delivered=self.delivered,
            octets=self.octets,
            deleted=self.deleted,
            held=self.held,
            deferred=self.deferred + self.left_out,
            error=str(error) if error else "",
        )
