"""Ending the daemon while it is in the middle of many messages, and starting it again."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.battery.receiver import run_receiver
from tests.battery.tally import Tally, count
from tests.corpus import varied_message
from tests.servers.dovecot import as_served
from tests.soak.fleet import INBOX, fleet, write_fleet
from tests.system.daemon import Daemon, running

MESSAGES = 2_000
ONCE = (signal.SIGTERM,)
TWICE = (signal.SIGTERM, signal.SIGINT)
"""Two of one kind that come at once are one."""
SELDOM = 'poll_every = "1d"'


class Stop(NamedTuple):
    """How it ended, and what was there after the next start."""

    code: int
    took_s: float
    between: int
    """Messages that had arrived by then."""
    partial: list[str]
    """What was left in the Maildir's ``tmp``."""
    after: Tally
    next_code: int

    def __str__(self) -> str:
        """One line."""
        t = self.after
        return (
            f"exit {self.code} after {self.took_s:.2f} s with {self.between} of {t.sent} there, "
            f"{len(self.partial)} partial; then lost {t.lost}, altered {t.altered}, doubled "
            f"{t.doubled} (unmarked {t.unmarked}), exit {self.next_code}"
        )


class _WayOut(NamedTuple):
    """A destination."""

    table: str
    arrived: Callable[[], list[bytes]]


@contextmanager
def _maildir(root: Path) -> Iterator[_WayOut]:
    def arrived() -> list[bytes]:
        return [path.read_bytes() for path in (root / "Mail" / "new").iterdir()]

    yield _WayOut(INBOX, arrived)


@contextmanager
def _smtp(_root: Path) -> Iterator[_WayOut]:
    with run_receiver() as receiver:
        table = (
            f'[destination.mta]\ntype = "smtp"\nhost = "127.0.0.1"\nport = {receiver.port}\n'
            'recipients = ["jane@example.org"]\n'
        )
        yield _WayOut(table, lambda: [message for _, message in receiver.accepted])


WAYS = {"maildir": _maildir, "smtp": _smtp}


def measure_stop(
    root: Path,
    way: str,
    *,
    signals: Sequence[signal.Signals],
    messages: int = MESSAGES,
    rtt_s: float = 0.0,
) -> Stop:
    """Send the signals as soon as the first messages have arrived; then start it again.

    rtt_s: how far the server is until then; an orderly stop takes a round trip at least.
    """
    mail = [varied_message(number) for number in range(messages)]
    with fleet() as ships, WAYS[way](root) as way_out:
        (member,) = ships.enlist(1, SELDOM, rtt_s=rtt_s)
        ships.dovecot.fill(member.user, mail)
        config = write_fleet(root, way_out.table, member.table())
        with running(config) as daemon:
            daemon.wait_for(" delivered ")
            code, took_s = _end(daemon, signals)
        member.link.rtt_s = 0
        between = len(way_out.arrived())
        partial = [path.name for path in (root / "Mail").glob("tmp/*")]
        with running(config) as daemon:
            daemon.wait_for(" polled ")
            next_code = daemon.stop()
        after = count(map(as_served, mail), way_out.arrived())
    return Stop(code, took_s, between, partial, after, next_code)


def _end(daemon: Daemon, signals: Sequence[signal.Signals]) -> tuple[int, float]:
    began_at = time.monotonic()
    for number in signals:
        daemon.signal(number)
    code = daemon.end()
    return code, time.monotonic() - began_at
