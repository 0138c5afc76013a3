"""Two thousand accounts with nothing new: what the daemon takes of the machine.

They share one Dovecot behind one link that does not delay anything; it counts polls. Each is
polled once before the processor's time is measured: a first poll has something to remember.
"""

import signal
import time
from pathlib import Path
from typing import NamedTuple

from tests.doubles.slow_link import SlowLink
from tests.servers.programs import wait_until
from tests.soak.fleet import DEFAULTS, INBOX, fleet
from tests.soak.gauge import MIB, Usage, look_at
from tests.system.commands import write_config
from tests.system.daemon import Daemon, rewrite, running

ACCOUNTS = 2_000
EDITED = "[account.a7]\n"
ROUND_S = 120.0
"""What the first poll of all may take."""
SETTLED_S = 5.0
"""After that, before the processor's time is measured."""


class Idle(NamedTuple):
    """What it came to."""

    tls: str
    accounts: int
    first_poll_s: float
    """From the command to the first connection."""
    first_poll_cpu_s: float
    reload_s: float
    """From the edit of one account to its being in effect."""
    reload_cpu_s: float
    """With the polls that were due meanwhile."""
    reloaded: str
    """What the daemon said of it."""
    resident_octets: int
    """At the end, when it was the most."""
    watched_s: float
    polls: int
    cpu_s: float

    @property
    def cpu_percent(self) -> float:
        """Of one core."""
        return 100 * self.cpu_s / self.watched_s

    def __str__(self) -> str:
        """A few lines."""
        return (
            f"{self.accounts} accounts, tls {self.tls}: start to first poll "
            f"{self.first_poll_s:.2f} s ({self.first_poll_cpu_s:.2f} s of a processor), reload of "
            f"one {self.reload_s:.2f} s ({self.reload_cpu_s:.2f} s), resident "
            f"{self.resident_octets / MIB:.0f} MiB\n"
            f"idle for {self.watched_s:.0f} s: {self.polls / self.watched_s:.1f} polls/s, "
            f"{self.cpu_percent:.2f} % of one core, "
            f"{1000 * self.cpu_s / max(1, self.polls):.1f} ms a poll"
        )


def measure_idle(
    root: Path,
    *,
    watch_s: float,
    tls: str = "none",
    accounts: int = ACCOUNTS,
    poll_every: str = "5m",
) -> Idle:
    """Start it, watch it, edit one account."""
    with fleet() as ships:
        for number in range(accounts):
            ships.dovecot.introduce(f"user{number}@soak.example")
        secure = tls == "implicit"
        target = ships.dovecot.pop3s_port if secure else ships.dovecot.pop3_port
        link = ships.network.open(target, rtt_s=0)
        shared = (
            f'host = "127.0.0.1"\nport = {link.port}\npoll_every = "{poll_every}"\n'
            f'ca_file = "{ships.dovecot.certificate.ca_file}"\n'
        )
        defaults = DEFAULTS.replace('tls = "none"\n', f'tls = "{tls}"\n' + shared)
        text = f'state_dir = "state"\n{defaults}{INBOX}' + "".join(
            f'[account.a{number}]\nuser = "user{number}@soak.example"\n'
            for number in range(accounts)
        )
        config = write_config(root / "popsync.toml", text)
        began_at = time.monotonic()
        with running(config) as daemon:
            wait_until(lambda: bool(link.calls))
            first_poll_s = link.calls[0].began_at - began_at
            first_poll_cpu_s = look_at(daemon.pid).cpu_s
            _poll_all(daemon, link, accounts)
            _pass(SETTLED_S)
            before, polls, watched_from = look_at(daemon.pid), len(link.calls), time.monotonic()
            _pass(watch_s)
            after, polls = look_at(daemon.pid), len(link.calls) - polls
            watched_s = time.monotonic() - watched_from
            before_edit = look_at(daemon.pid)
            reload_s, reloaded = _edit_one(daemon, config)
            at_last = look_at(daemon.pid)
            code = daemon.stop()
    assert code == 0, daemon.said
    return Idle(
        tls=tls,
        accounts=accounts,
        first_poll_s=first_poll_s,
        first_poll_cpu_s=first_poll_cpu_s,
        reload_s=reload_s,
        reload_cpu_s=_cpu_s(before_edit, at_last),
        reloaded=reloaded,
        resident_octets=max(u.resident_octets for u in (before, after, at_last)),
        watched_s=watched_s,
        polls=polls,
        cpu_s=_cpu_s(before, after),
    )


def _poll_all(daemon: Daemon, link: SlowLink, accounts: int) -> None:
    """Have every account polled, and wait for the last one to end."""
    so_far = len(link.calls)
    daemon.signal(signal.SIGUSR1)
    wait_until(
        lambda: len(link.calls) >= so_far + accounts and all(call.ended_at for call in link.calls),
        timeout_s=ROUND_S,
    )


def _cpu_s(before: Usage, after: Usage) -> float:
    return after.cpu_s - before.cpu_s


def _edit_one(daemon: Daemon, config: Path) -> tuple[float, str]:
    edited_at = time.monotonic()
    rewrite(config, config.read_text().replace(EDITED, EDITED + "fetch_limit = 900\n"))
    reloaded = daemon.wait_for("configuration reloaded")
    return time.monotonic() - edited_at, reloaded


def _pass(time_s: float) -> None:
    """Let time go by: what is measured is that nothing happens."""
    end = time.monotonic() + time_s
    while (left_s := end - time.monotonic()) > 0:
        time.sleep(left_s)
