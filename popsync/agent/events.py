"""What the supervisor tells, beside what polls tell themselves."""

from collections.abc import Callable
from dataclasses import dataclass

from popsync.agent.gates import GateEvent
from popsync.agent.standing import Standing
from popsync.config.diff import ConfigChanges
from popsync.poll.events import Event, PollReport


@dataclass(frozen=True, slots=True)
class Started:
    """Accounts are polled from now on."""

    accounts: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A poll ended early."""

    report: PollReport
    before: Standing
    after: Standing
    next_poll_in_s: float

    @property
    def is_news(self) -> bool:
        """Whether this was not said before: another error, or suspended only now."""
        before, after = self.before, self.after
        return (before.trouble, before.suspended) != (after.trouble, after.suspended)


@dataclass(frozen=True, slots=True)
class Recovered:
    """A poll went well after failures."""

    account: str
    failures: int
    lasted_s: float


@dataclass(frozen=True, slots=True)
class Reloaded:
    """A new configuration took effect."""

    changes: ConfigChanges


def event_after(
    report: PollReport, before: Standing, after: Standing, *, next_poll_in_s: float
) -> Failed | Recovered | None:
    """Give what is to be told of a poll, beside what it tells itself."""
    if report.error is not None:
        return Failed(report, before, after, next_poll_in_s)
    if before.failing_since is None:
        return None
    lasted_s = report.summary.ended_at - before.failing_since
    return Recovered(report.account, before.failures, lasted_s)


AgentEvent = Started | Failed | Recovered | Reloaded | GateEvent
AgentObserver = Callable[[Event | AgentEvent], None]
