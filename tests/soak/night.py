"""A bad night: one daemon polls twenty accounts while mail comes in and everything breaks.

Mail goes by Maildir and by SMTP, out of maildrops that are kept and that are emptied. When the
night is over all is well again, and popsync gets the time to bring what is left. Then what was
sent is compared with what arrived, and what the daemon took at the beginning with the end.
"""

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from popsync.ledger import look_at_ledger
from tests.battery.receiver import Receiver, run_receiver
from tests.battery.tally import Tally, count, token_in
from tests.corpus import varied_message
from tests.doubles.slow_link import SlowLink
from tests.servers.dovecot import as_served
from tests.soak.faults import Cure, Faults
from tests.soak.fleet import INBOX, Fleet, fleet, write_fleet
from tests.soak.gauge import MIB, Usage, look_at
from tests.soak.inside import TELL
from tests.system.commands import popsync
from tests.system.daemon import Daemon

ACCOUNTS = 20
POLL_EVERY_S = 3
RTT_S = 0.02
FAULT_S = (0.2, 2.5)
"""How long one lasts, and how long nothing happens until the next."""
MAIL_EVERY_S = 0.4
LARGE_SHAPE = 11
"""The corpus' line of a megabyte: now and then is often enough."""
SAMPLE_EVERY_S = 5.0
CATCH_UP_S = 120.0
TRACEBACK_LINES = 40
REPOSITORY = Path(__file__).parents[2]


class Sample(NamedTuple):
    """One look at the daemon."""

    at_s: float
    """Since the night began."""
    usage: Usage
    tasks: int
    objects: int

    def __str__(self) -> str:
        """One line."""
        u = self.usage
        return (
            f"{self.at_s:6.0f} s  {u.resident_octets / MIB:6.1f} MiB  {u.descriptors} descriptors"
            f"  {u.threads} threads  {self.tasks} tasks  {self.objects} objects"
        )


class Outcome(NamedTuple):
    """What the night came to."""

    into_maildir: Tally
    by_smtp: Tally
    left_on_server: int
    faults: dict[str, int]
    samples: list[Sample]
    rest: Sample
    """When all was delivered, and nothing was under way."""
    code: int
    open_messages: str
    """What the ledger says of those that are not delivered."""
    said: list[str]
    """Tracebacks, and what the daemon calls a bug."""

    @property
    def fair(self) -> bool:
        """Whether the promises were kept; leaks are for ``flat``."""
        kept = (self.into_maildir, self.by_smtp)
        return (
            all(t.lost == t.altered == t.unmarked == 0 for t in kept)
            and self.into_maildir.doubled == self.left_on_server == self.code == 0
            and not self.said
        )

    @property
    def flat(self) -> bool:
        """Whether the last quarter of the night took little more than the second."""
        return all(last <= second + LEEWAY[n] for n, (second, last) in self.growth().items())

    def growth(self) -> dict[str, tuple[float, float]]:
        """Give by measure its median in the second quarter of the night, and in the last."""
        quarter = len(self.samples) // 4
        second, last = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        return {name: (_median(of, second), _median(of, last)) for name, of in MEASURES.items()}

    def __str__(self) -> str:
        """All figures."""
        growth = self.growth()
        lines = [
            f"Maildir: {_words(self.into_maildir)}",
            f"SMTP:    {_words(self.by_smtp)}",
            f"left in maildrops that are emptied: {self.left_on_server}; exit code {self.code}",
            f"ledger:  {self.open_messages}",
            "faults:  " + ", ".join(f"{name} {n}" for name, n in self.faults.items()),
            "median of the second quarter -> of the last quarter:",
            *(f"{n:12} {second:10.1f} -> {last:10.1f}" for n, (second, last) in growth.items()),
            f"at rest: {self.rest}",
            *self.said[: 3 * TRACEBACK_LINES],
            "kept" if self.fair else "BROKEN",
            "flat" if self.flat else "GROWING",
        ]
        return "\n".join(lines)


MEASURES: dict[str, Callable[[Sample], float]] = {
    "MiB": lambda sample: sample.usage.resident_octets / MIB,
    "descriptors": lambda sample: sample.usage.descriptors,
    "threads": lambda sample: sample.usage.threads,
    "tasks": lambda sample: sample.tasks,
    "objects": lambda sample: sample.objects,
}

LEEWAY = {"MiB": 8.0, "descriptors": 5.0, "threads": 3.0, "tasks": 5.0, "objects": 10_000.0}
"""What is no leak: chance, and the history of mail that is kept, which each poll compares."""


def _median(of: Callable[[Sample], float], samples: Sequence[Sample]) -> float:
    values = sorted(map(of, samples))
    return values[len(values) // 2] if values else 0.0


def _words(tally: Tally) -> str:
    return (
        f"sent {tally.sent}, lost {tally.lost}, altered {tally.altered}, "
        f"doubled {tally.doubled} (unmarked {tally.unmarked})"
    )


class Post:
    """Mail that goes in, and where it comes out."""

    def __init__(self, dice: random.Random, night: Fleet, maildir: Path) -> None:
        self._dice = dice
        self._fleet = night
        self._maildir = maildir
        self._number = 0
        self.sent: dict[str, list[bytes]] = {"inbox": [], "mta": []}
        self.taken: list[bytes] = []
        """What was in the Maildir and is the reader's now."""

    def send(self) -> None:
        """Put a few new messages into somebody's maildrop."""
        member = self._dice.choice(self._fleet.members)
        fresh = [self._next() for _ in range(self._dice.choice((1, 1, 1, 2, 5, 20)))]
        self._fleet.dovecot.fill(member.user, fresh)
        self.sent["mta" if 'deliver_to = ["mta"]' in member.keys else "inbox"] += fresh

    def _next(self) -> bytes:
        self._number += 1
        if self._number % 12 == LARGE_SHAPE and self._dice.random() > 0.1:
            self._number += 1
        return varied_message(self._number)

    def collect(self) -> None:
        """Take away what has come, as a reader does."""
        for name in ("new", "cur"):
            if (self._maildir / name).is_dir():
                for path in (self._maildir / name).iterdir():
                    self.taken.append(path.read_bytes())
                    path.unlink()

    def has_come(self, received: Sequence[tuple[str, bytes]]) -> bool:
        """Say whether everything that was sent is there."""
        mail = [*self.taken, *(message for _, message in received)]
        arrived = {token_in(message) for message in mail}
        return all(token_in(m) in arrived for sent in self.sent.values() for m in sent)


class Night:
    """One run."""

    def __init__(
        self,
        root: Path,
        minutes: float,
        *,
        seed: int,
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._root = root
        self._minutes = minutes
        self._seed = seed
        self._tell = tell
        self._config = root / "popsync.toml"
        self._samples: list[Sample] = []
        (root / "fresh").mkdir()

    def run(self) -> Outcome:
        """Let it all happen."""
        dice = random.Random(self._seed)
        with fleet() as night, run_receiver() as receiver:
            way_out = night.network.open(receiver.port, rtt_s=RTT_S, address="127.0.9.9")
            _enlist(night)
            self._write_tables(night, way_out)
            post = Post(dice, night, self._root / "Mail")
            with self._daemon() as daemon:
                faults = Faults(
                    dice,
                    fleet=night,
                    destination=way_out,
                    maildir=self._root / "Mail",
                    pid=daemon.pid,
                    config=self._config,
                    write_good=lambda keys: self._write_tables(night, way_out, *keys),
                )
                self._storm(daemon, post, faults, dice)
                rest = self._catch_up(daemon, post, receiver)
                code = daemon.stop()
            _let_pauses_end(self._root / "state")
            popsync("-c", self._config, "once")
            post.collect()
            received = [message for _, message in receiver.accepted]
            return Outcome(
                into_maildir=count(map(as_served, post.sent["inbox"]), post.taken),
                by_smtp=count(map(as_served, post.sent["mta"]), received),
                left_on_server=_left(night),
                faults=faults.count,
                samples=self._samples,
                rest=rest,
                code=code,
                open_messages=asyncio.run(_open_messages(self._root / "state")),
                said=_bugs(daemon.said),
            )

    def _write_tables(self, night: Fleet, way_out: SlowLink, *keys: str) -> None:
        mta = (
            f'[destination.mta]\ntype = "smtp"\nhost = "{way_out.address}"\n'
            f'port = {way_out.port}\nrecipients = ["jane@example.org"]\n'
        )
        tables = [INBOX, mta, *(member.table(*keys) for member in night.members)]
        fresh = write_fleet(self._root / "fresh", *tables)
        fresh.replace(self._config)

    @contextmanager
    def _daemon(self) -> Iterator[Daemon]:
        command = [sys.executable, "-m", "tests.soak.inside"]
        process = subprocess.Popen(
            [*command, "-c", str(self._config), "run"],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        daemon = Daemon(process)
        try:
            daemon.wait_for(" polls ")
            yield daemon
        finally:
            process.kill()
            daemon.end()
            for pipe in (process.stdout, process.stderr):
                assert pipe is not None
                pipe.close()

    def _storm(
        self,
        daemon: Daemon,
        post: Post,
        faults: Faults,
        dice: random.Random,
    ) -> None:
        """Send, harm and cure until morning."""
        began_at = time.monotonic()
        cure: Cure | None = None
        turn_at = mail_at = sample_at = began_at
        while (now := time.monotonic()) < began_at + self._minutes * 60:
            if now >= mail_at:
                post.send()
                mail_at = now + MAIL_EVERY_S
            if now >= turn_at:
                cure = _turn(faults, cure)
                turn_at = now + dice.uniform(*FAULT_S)
            if now >= sample_at:
                post.collect()
                self._look(daemon, now - began_at)
                sample_at = now + SAMPLE_EVERY_S
            time.sleep(0.02)
        if cure:
            cure()

    def _look(self, daemon: Daemon, at_s: float) -> Sample:
        tasks, objects = map(int, daemon.ask(TELL).split())
        sample = Sample(at_s, look_at(daemon.pid), tasks, objects)
        self._samples.append(sample)
        self._tell(str(sample))
        return sample

    def _catch_up(self, daemon: Daemon, post: Post, receiver: Receiver) -> Sample:
        """Ask for polls until everything has come, and for two more; give a last look."""
        deadline = time.monotonic() + CATCH_UP_S
        rounds_after = 2
        while rounds_after and time.monotonic() < deadline:
            daemon.signal(signal.SIGUSR1)
            time.sleep(POLL_EVERY_S)
            post.collect()
            rounds_after -= post.has_come(receiver.accepted)
        return self._look(daemon, self._minutes * 60)


def _let_pauses_end(state_dir: Path) -> None:
    """Make due what waits to be tried again: after a bad night that may be an hour from now."""
    with closing(sqlite3.connect(state_dir / "ledger.sqlite3")) as ledger, ledger:
        ledger.execute("UPDATE message SET next_try = 0 WHERE next_try IS NOT NULL")
        ledger.execute("UPDATE delivery SET next_try = 0 WHERE next_try IS NOT NULL")


async def _open_messages(state_dir: Path) -> str:
    """Count what the ledger has not settled: to be tried again, and held for the operator."""
    ledger = await look_at_ledger(state_dir)
    try:
        reports = await ledger.accounts()
    finally:
        await ledger.close()
    waiting, held = (sum(getattr(r, name) for r in reports) for name in ("pending", "held"))
    return f"{waiting} waiting, {held} held"


def _bugs(said: Sequence[str]) -> list[str]:
    """Give what the daemon calls a bug, with what follows it."""
    found = [n for n, line in enumerate(said) if "a bug" in line]
    return [line.rstrip() for n in found for line in said[n : n + TRACEBACK_LINES]]


def _left(night: Fleet) -> int:
    """Give how many messages there are in maildrops that are emptied."""
    emptied = [member for member in night.members if 'mode = "delete"' in member.keys]
    return sum(night.dovecot.count(member.user) for member in emptied)


def _turn(faults: Faults, cure: Cure | None) -> Cure | None:
    """End the harm that is done, or do another."""
    if cure is None:
        return faults.strike()
    cure()
    return None


def _enlist(night: Fleet) -> None:
    """Make accounts of every kind: kept and emptied, into the Maildir and by SMTP."""
    every = f'poll_every = "{POLL_EVERY_S}s"'
    for mode in ("keep", "delete"):
        for destination in ("inbox", "mta"):
            keys = (f'mode = "{mode}"', f'deliver_to = ["{destination}"]', every)
            night.enlist(ACCOUNTS // 4, *keys, rtt_s=RTT_S)
