"""A real popsync fetches from a real Dovecot and is killed at random times, over and over.

Every run of popsync finds new mail beside what the one before was killed over. After
every few kills one run is left alone; at the end two are, and everything is counted.
"""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.battery.receiver import run_receiver
from tests.battery.tally import Tally, count, token_in
from tests.corpus import varied_message
from tests.servers.dovecot import PASSWORD, Dovecot, as_served, run_dovecot

RUN_TIMEOUT_S = 120
LEFT_ALONE_EVERY = 10
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
    worst_doubled: int
    """The most copies that one run brought."""
    left_on_server: int

    @property
    def fair(self) -> bool:
        """Whether the promises were kept."""
        maildir = self.mode in INTO_MAILDIR
        return (
            self.tally.lost == self.tally.altered == self.tally.unmarked == 0
            and (self.tally.doubled == 0 if maildir else self.worst_doubled <= CONNECTIONS)
            and (self.left_on_server == 0 or self.mode is Mode.KEEP_MAILDIR)
        )

    def __str__(self) -> str:
        """One line of the table."""
        t = self.tally
        return (
            f"{self.mode.value:15} kills {self.kills} ({self.in_the_middle} in the middle), "
            f"messages {t.sent}: lost {t.lost}, altered {t.altered}, doubled {t.doubled} "
            f"(unmarked {t.unmarked}, at most {self.worst_doubled} in one run), "
            f"left on server {self.left_on_server}: {'ok' if self.fair else 'BROKEN'}"
        )


class Reader(threading.Thread):
    """Somebody who moves new mail to ``cur/`` and deletes some, while it comes in."""

    def __init__(self, mail: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self._mail = mail
        self._random = random.Random(seed)
        self._over = threading.Event()
        self.deleted: list[bytes] = []

    def run(self) -> None:
        """Look again and again until ``finish``."""
        while not self._over.wait(0.01):
            for path in self._files("new"):
                if self._random.random() < 0.3:
                    path.rename(self._mail / "cur" / f"{path.name}:2,S")
            for path in self._files("cur"):
                if self._random.random() < 0.05:
                    self.deleted.append(path.read_bytes())
                    path.unlink()

    def finish(self) -> list[bytes]:
        """Stop; give everything that ever came."""
        self._over.set()
        self.join()
        there = [path.read_bytes() for name in ("new", "cur") for path in self._files(name)]
        return self.deleted + there

    def arrivals(self) -> int:
        """Give how many messages have come so far; not exact while the reader is at work."""
        return len(self.deleted) + sum(len(self._files(name)) for name in ("new", "cur"))

    def staged(self) -> frozenset[str]:
        """Give the names in ``tmp/``."""
        return frozenset(path.name for path in self._files("tmp"))

    def _files(self, name: str) -> list[Path]:
        directory = self._mail / name
        return list(directory.iterdir()) if directory.exists() else []


class _Arrivals(NamedTuple):
    """Where the messages come out: its table, how many so far, and all of them."""

    table: str
    so_far: Callable[[], int]
    staged: Callable[[], frozenset[str]]
    """What is written and not visible to a reader yet."""
    everything: Callable[[], list[bytes]]


@contextmanager
def _arrivals(mode: Mode, root: Path, seed: int) -> Iterator[_Arrivals]:
    if mode in INTO_MAILDIR:
        reader = Reader(root / "Mail", seed)
        reader.start()
        table = 'type = "maildir"\npath = "Mail"\n'
        yield _Arrivals(table, reader.arrivals, reader.staged, reader.finish)
        return
    with run_receiver(lmtp=mode is Mode.LMTP) as receiver:
        table = (
            f'type = "{mode.value}"\nhost = "127.0.0.1"\nport = {receiver.port}\n'
            f'recipients = ["jane@example.org"]\nconnections = {CONNECTIONS}\n'
        )
        yield _Arrivals(
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


class _Moment:
    """When to kill: mostly some time after the first arrival, sometimes just anywhere."""

    def __init__(self, seed: int, run_s: float) -> None:
        self._random = random.Random(seed)
        self._run_s = run_s
        self._work_s = run_s / 4

    def wait(self, over: Callable[[], bool], begun: Callable[[], bool]) -> None:
        """Return when the moment has come, or the run is over."""
        if self._random.random() < 0.3:
            self._pass(self._random.uniform(0, self._run_s), over)
            return
        while not over() and not begun():
            time.sleep(0.001)
        self._pass(self._random.uniform(0, self._work_s), over)

    def learn(self, *, ended: bool) -> None:
        """Come earlier next time when the run was over, else later."""
        self._work_s *= 0.9 if ended else 1.03

    def _pass(self, time_s: float, over: Callable[[], bool]) -> None:
        end = time.monotonic() + time_s
        while time.monotonic() < end and not over():
            time.sleep(0.001)


class KillLoop:
    """One mode on one Dovecot; ``source`` is the tree whose popsync runs."""

    def __init__(
        self, mode: Mode, kills: int, *, seed: int, per_run: int = 60, source: Path = REPOSITORY
    ) -> None:
        self._mode, self._kills, self._seed, self._per_run = mode, kills, seed, per_run
        self._source = source
        self._sent: list[bytes] = []
        self._in_the_middle = 0
        self._ends_of_runs: list[int] = []

    def run(self) -> LoopResult:
        """Kill and start again as often as was asked for."""
        with (
            run_dovecot() as dovecot,
            TemporaryDirectory() as directory,
            _arrivals(self._mode, Path(directory), self._seed) as arrivals,
        ):
            user = f"{self._mode.value}@example.org"
            dovecot.add_user(user)
            root = Path(directory)
            config = _write_config(root, self._mode, dovecot, user, arrivals.table)
            self._loop(config, arrivals, lambda messages: dovecot.fill(user, messages))
            everything = arrivals.everything()
            return LoopResult(
                self._mode,
                self._kills,
                self._in_the_middle,
                count(map(as_served, self._sent), everything),
                self._copies_in_one_run(everything),
                dovecot.count(user),
            )

    def _loop(
        self, config: Path, arrivals: _Arrivals, fill: Callable[[list[bytes]], None]
    ) -> None:
        fill(self._new_messages())
        began = time.monotonic()
        self._leave_alone(config, arrivals)
        moment = _Moment(self._seed, time.monotonic() - began)
        for number in range(1, self._kills + 1):
            fill(self._new_messages())
            before = arrivals.so_far(), arrivals.staged()
            ended = self._kill(config, moment, partial(_differs, arrivals, before))
            self._ends_of_runs.append(arrivals.so_far())
            delivered = arrivals.so_far() - before[0]
            partly = 0 < delivered < self._per_run or arrivals.staged() - before[1]
            self._in_the_middle += bool(not ended and partly)
            moment.learn(ended=ended)
            if number % LEFT_ALONE_EVERY == 0:
                self._leave_alone(config, arrivals)
        self._leave_alone(config, arrivals)
        self._leave_alone(config, arrivals)

    def _new_messages(self) -> list[bytes]:
        first = len(self._sent)
        new = [varied_message(n, self._seed) for n in range(first, first + self._per_run)]
        self._sent += new
        return new

    def _start(self, config: Path) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "popsync", "-q", "-c", str(config), "once"],
            cwd=self._source,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def _kill(self, config: Path, moment: _Moment, begun: Callable[[], bool]) -> bool:
        """Start popsync and kill it; True when it had ended before."""
        process = self._start(config)
        moment.wait(lambda: process.poll() is not None, begun)
        process.kill()
        process.communicate()
        return process.returncode != -9

    def _leave_alone(self, config: Path, arrivals: _Arrivals) -> None:
        process = self._start(config)
        _, errors = process.communicate(timeout=RUN_TIMEOUT_S)
        if process.returncode not in (0, 75):
            raise RuntimeError(f"popsync failed ({process.returncode}): {errors.decode()}")
        self._ends_of_runs.append(arrivals.so_far())

    def _copies_in_one_run(self, everything: list[bytes]) -> int:
        """Give the most messages of one run that had come before; a Maildir has no order."""
        if self._mode in INTO_MAILDIR:
            return 0
        seen: set[bytes | None] = set()
        worst = begin = 0
        for end in self._ends_of_runs:
            tokens = [token_in(message) for message in everything[begin:end]]
            worst = max(worst, sum(token in seen for token in tokens))
            seen.update(tokens)
            begin = end
        return worst


def _differs(arrivals: _Arrivals, before: tuple[int, frozenset[str]]) -> bool:
    """Whether something has been staged or has arrived since."""
    return (arrivals.so_far(), arrivals.staged()) != before
