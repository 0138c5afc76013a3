"""Fifty accounts on a far server, one of which accepts and says nothing.

Two things are measured, both where the links are, so without popsync's help: how long a round of
all takes beside its slowest account, and how late polls begin when each account has its interval.
"""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.corpus import varied_message
from tests.doubles.slow_link import SlowLink
from tests.servers.programs import wait_until
from tests.soak.fleet import INBOX, Fleet, Member, fleet, write_fleet
from tests.system.daemon import Daemon, rewrite, running

ACCOUNTS = 50
RTT_S = 0.04
SLOWEST_RTT_S = 0.4
MESSAGES = 10
LONG_S = 600.0


class Round(NamedTuple):
    """What one round of all accounts took, without the black hole."""

    took_s: float
    """From the signal that asked for it to the end of the last session."""
    sessions_s: list[float]
    hole_waited: bool
    """Whether the black hole was still being waited for then."""

    def __str__(self) -> str:
        """One line."""
        return (
            f"a round of {len(self.sessions_s)} accounts took {self.took_s:.2f} s; the slowest "
            f"session {max(self.sessions_s):.2f} s, the sum {sum(self.sessions_s):.1f} s"
        )


class Rhythm(NamedTuple):
    """How late polls began."""

    every_s: float
    late_s: list[float]
    """Of each poll of each account but the black hole, sorted."""
    reloaded: str
    """What the daemon said of the edit in the middle."""
    hole_calls: int

    def percentile(self, percent: int) -> float:
        """Give a percentile in seconds."""
        return self.late_s[min(len(self.late_s) - 1, len(self.late_s) * percent // 100)]

    def __str__(self) -> str:
        """One line."""
        return (
            f"{len(self.late_s)} polls, one every {self.every_s:g} s an account: late by p50 "
            f"{self.percentile(50) * 1000:.0f} ms, p95 {self.percentile(95) * 1000:.0f} ms "
            f"({100 * self.percentile(95) / self.every_s:.1f} % of the interval), at most "
            f"{self.late_s[-1] * 1000:.0f} ms"
        )


@contextmanager
def fifty(*keys: str, rtt_s: float = RTT_S, accounts: int = ACCOUNTS) -> Iterator[Fleet]:
    """Give a fleet with a little mail for everybody; the first account is a black hole."""
    with fleet() as ships:
        for member in ships.enlist(accounts, *keys, rtt_s=rtt_s):
            mail = [varied_message(12 * number) for number in range(MESSAGES)]
            ships.dovecot.fill(member.user, mail)
        ships.members[0].link.is_black_hole = True
        yield ships


def measure_round(root: Path, *, slowest_rtt_s: float = RTT_S, accounts: int = ACCOUNTS) -> Round:
    """Have all accounts polled at once, for the first time; the last one's server is slowest."""
    with fifty('poll_every = "1d"', accounts=accounts) as ships:
        ships.members[-1].link.rtt_s = slowest_rtt_s
        config = write_fleet(root, INBOX, *(member.table() for member in ships.members))
        with running(config) as daemon:
            hole, links = ships.members[0].link, [member.link for member in ships.members[1:]]
            began_at = _ask_for_round(daemon, links)
            hole_waited = bool(hole.calls) and hole.calls[-1].ended_at is None
    calls = [link.calls[0] for link in links]
    ended_at = [call.ended_at or 0 for call in calls]
    sessions_s = [(call.ended_at or 0) - call.began_at for call in calls]
    return Round(max(ended_at) - began_at, sessions_s, hole_waited)


def _ask_for_round(daemon: Daemon, links: Sequence[SlowLink]) -> float:
    """Return once every link was called and left alone again; give when it was asked for."""
    asked_at = time.monotonic()
    daemon.signal(signal.SIGUSR1)
    _wait(lambda: all(link.calls and link.calls[0].ended_at for link in links))
    return asked_at


def measure_rhythm(
    root: Path, *, every_s: float, intervals: int, accounts: int = ACCOUNTS
) -> Rhythm:
    """Watch every account for so many intervals; in the middle one account is changed."""
    with fifty(f'poll_every = "{every_s:g}s"', accounts=accounts) as ships:
        hole, edited, *others = ships.members
        config = write_fleet(root, INBOX, *(member.table() for member in ships.members))
        with running(config) as daemon:
            _wait(lambda: _all_called(others, intervals // 2))
            rewrite(
                config,
                config.read_text().replace(edited.table(), edited.table("fetch_limit = 900")),
            )
            reloaded = daemon.wait_for("configuration reloaded")
            _wait(lambda: _all_called(others, intervals))
    late_s = [late for member in others for late in lateness_s(member.link, every_s)]
    return Rhythm(every_s, sorted(late_s), reloaded, len(hole.link.calls))


def _all_called(members: Sequence[Member], times: int) -> bool:
    return all(len(member.link.calls) >= times for member in members)


def lateness_s(link: SlowLink, every_s: float) -> list[float]:
    """Give how late each poll began, beside the one that kept the rhythm best.

    A poll that was left out makes all behind it late by an interval.
    """
    drift = [call.began_at - number * every_s for number, call in enumerate(link.calls)]
    return [begun - min(drift) for begun in drift]


def _wait(condition: Callable[[], bool]) -> None:
    wait_until(condition, timeout_s=LONG_S)
