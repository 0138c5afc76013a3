"""A real popsync fetches from a real Dovecot and is killed at random times, over and over.

Every run finds new mail beside what the one before was killed over; at the end all is counted.
"""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from popsync.ledger.opening import LEDGER_NAME
from tests.battery.kills import Arrivals, Killing, Reader
from tests.battery.receiver import run_receiver
from tests.battery.tally import Tally, condense, count
from tests.corpus import varied_message
from tests.servers.dovecot import PASSWORD, Dovecot, as_served, run_dovecot

CONNECTIONS = 4
REPOSITORY = Path(__file__).parents[2]


class Mode(Enum):
    """What popsync does with the mail."""

    KEEP_MAILDIR = "keep-maildir"
    DELETE_MAILDIR = "delete-maildir"
    SMTP = "smtp"
    LMTP = "lmtp"


INTO_MAILDIR = frozenset({Mode.KEEP_MAILDIR, Mode.DELETE_MAILDIR})


class LoopResult(NamedTuple):
    """What the kills did."""

    mode: Mode
    kills: int
    in_the_middle: int
    """Kills that left some new messages staged, or delivered and others not."""
    tally: Tally
    open_dots: tuple[int, ...]
    """How many messages each run found for which a dot may be out and no reply is noted."""
    left_on_server: int

    @property
    def fair(self) -> bool:
        """Whether the promises were kept."""
        # A message that was not resent before the next kill is resent in a run after that, so the
        # copies of one run may be more than a kill has left in doubt.
        return (
            self.tally.lost == self.tally.altered == self.tally.unmarked == 0
            and self.tally.doubled <= sum(self.open_dots)
            and max(self.open_dots, default=0) <= CONNECTIONS
            and (self.left_on_server == 0 or self.mode is Mode.KEEP_MAILDIR)
        )

    def __str__(self) -> str:
        """One line of the table."""
        t, in_doubt = self.tally, max(self.open_dots, default=0)
        return (
            f"{self.mode.value:15} kills {self.kills} ({self.in_the_middle} in the middle), "
            f"messages {t.sent}: lost {t.lost}, altered {t.altered}, doubled {t.doubled} "
            f"(unmarked {t.unmarked}, at most {in_doubt} in doubt by one kill), "
            f"left on server {self.left_on_server}: {'ok' if self.fair else 'BROKEN'}"
        )


@contextmanager
def _arrivals(mode: Mode, root: Path, seed: int) -> Iterator[Arrivals]:
    if mode in INTO_MAILDIR:
        reader = Reader(root / "Mail", seed, condense)
        reader.start()
        table = 'type = "maildir"\npath = "Mail"\n'
        yield Arrivals(table, reader.arrivals, reader.staged, reader.finish)
        return
    with run_receiver(lmtp=mode is Mode.LMTP, keep=condense) as receiver:
        table = (
            f'type = "{mode.value}"\nhost = "127.0.0.1"\nport = {receiver.port}\n'
            f'recipients = ["jane@example.org"]\nconnections = {CONNECTIONS}\n'
        )
        yield Arrivals(
            table,
            lambda: len(receiver.accepted),
            frozenset,
            lambda: [message for _, message in receiver.accepted],
        )


def _write_config(root: Path, mode: Mode, dovecot: Dovecot, user: str, table: str) -> Path:
    config = root / "popsync.toml"
    config.touch(mode=0o600)
    config.write_text(
        f'state_dir = "state"\n[destination.here]\n{table}'
        f'[account.jane]\nhost = "127.0.0.1"\nport = {dovecot.pop3_port}\ntls = "none"\n'
        f'user = "{user}"\npassword = "{PASSWORD}"\ntrace = false\n'
        f'mode = "{"keep" if mode is Mode.KEEP_MAILDIR else "delete"}"\n'
    )
    return config


class KillLoop:
    """One mode on one Dovecot; ``source`` is the tree whose popsync runs."""

    def __init__(self, mode: Mode, kills: int, *, seed: int, source: Path = REPOSITORY) -> None:
        self._mode, self._kills, self._seed = mode, kills, seed
        self._source = source
        self._open_dots: list[int] = []

    def run(self) -> LoopResult:
        """Kill and start again as often as was asked for."""
        with (
            run_dovecot() as dovecot,
            TemporaryDirectory() as directory,
            _arrivals(self._mode, Path(directory), self._seed) as arrivals,
        ):
            user = f"{self._mode.value}@example.org"
            dovecot.add_user(user)
            config = _write_config(Path(directory), self._mode, dovecot, user, arrivals.table)
            killing = Killing(
                partial(self._start, config),
                arrivals,
                partial(dovecot.fill, user),
                partial(varied_message, seed=self._seed),
                keep=lambda message: condense(as_served(message)),
                seed=self._seed,
                successes=(0, 75),
            )
            killing.kill(self._kills)
            everything = arrivals.everything()
            return LoopResult(
                self._mode,
                self._kills,
                killing.in_the_middle,
                count(killing.sent, everything),
                tuple(self._open_dots),
                dovecot.count(user),
            )

    def _start(self, config: Path) -> "subprocess.Popen[bytes]":
        self._open_dots.append(_count_open_dots(config.parent / "state" / LEDGER_NAME))
        return subprocess.Popen(
            [sys.executable, "-m", "popsync", "-q", "-c", str(config), "once"],
            cwd=self._source,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )


def _count_open_dots(ledger: Path) -> int:
    """Read what a kill left; there is no ledger before the first run."""
    if not ledger.exists():
        return 0
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        try:
            found = connection.execute("SELECT count(*) FROM delivery WHERE state = 'dot_sent'")
        except sqlite3.OperationalError:  # killed before there was a table
            return 0
        return int(found.fetchone()[0])
