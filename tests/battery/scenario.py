"""One account, its server and its destinations, polled by a process that may die.

A poll runs in a fork, through ``open_agent`` and real sockets; the servers live on in the parent.
"""

import asyncio
import os
import resource
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from popsync.agent.assembly import open_agent
from popsync.config.load import load_config
from popsync.storage import DurableSteps
from popsync.storage.shared_sync import LEAST_FILES
from tests.battery.maildrops import Maildrops, run_maildrops
from tests.battery.receiver import Receiver, run_receiver
from tests.battery.steps import NotedSteps
from tests.battery.tally import Tally, count
from tests.corpus import varied_messages

MEMORY = Path("/dev/shm")  # noqa: S108 - losing what is not synced is simulated
MAILDIR = '[destination.inbox]\ntype = "maildir"\npath = "Mail"\n'
SMTP = '[destination.relay]\ntype = "smtp"\n'
LMTP = '[destination.store]\ntype = "lmtp"\n'
AWAY = "Mail.away"
"""Where a Maildir goes that is taken away; what is in it has arrived all the same."""
ONE = 'recipients = ["jane@example.org"]\n'
TWO = 'recipients = ["jane@example.org", "joe@example.org"]\n'
MESSAGES = varied_messages(4, 11)
MORE = varied_messages(4, 12)
MANY = varied_messages(LEAST_FILES + 1, 13)
"""So many that a sync of their file system takes the place of one for each."""


class Kind(Enum):
    """What the account does."""

    KEEP_MAILDIR = "keep, into a Maildir"
    DELETE_MAILDIR = "delete, into a Maildir"
    DELETE_MAILDIR_NAMELESS = "delete, into a Maildir, without UIDL"
    DELETE_MANY_MAILDIR = "delete, many at once into a Maildir"
    DELETE_SMTP = "delete, through SMTP"
    DELETE_LMTP = "delete, through LMTP to two recipients"
    DELETE_BOTH = "delete, into a Maildir and through SMTP"
    DELETE_PUT_OFF = "delete, through SMTP that puts off at first"
    DELETE_FROM_SPOOL = "delete, through SMTP, from the spool"
    KEEP_BOTH_DOWN = "keep, Maildir and SMTP, which is down at first"
    KEEP_BOTH_FROM_SPOOL = "keep, Maildir and SMTP, from the spool"


SPOOLING = (
    Kind.DELETE_PUT_OFF,
    Kind.DELETE_FROM_SPOOL,
    Kind.KEEP_BOTH_DOWN,
    Kind.KEEP_BOTH_FROM_SPOOL,
)
"""Their server hides what it gave once a session ends with QUIT, so only the spool has it."""
_LATER = frozenset({Kind.DELETE_FROM_SPOOL, Kind.KEEP_BOTH_FROM_SPOOL})
_THROUGH_MAILDIR = frozenset(
    {
        Kind.KEEP_MAILDIR,
        Kind.DELETE_MAILDIR,
        Kind.DELETE_MAILDIR_NAMELESS,
        Kind.DELETE_MANY_MAILDIR,
        Kind.DELETE_BOTH,
        Kind.KEEP_BOTH_DOWN,
        Kind.KEEP_BOTH_FROM_SPOOL,
    }
)
_TO_BOTH = frozenset({Kind.DELETE_BOTH, Kind.KEEP_BOTH_DOWN, Kind.KEEP_BOTH_FROM_SPOOL})
_THROUGH_RECEIVER = frozenset(Kind) - _THROUGH_MAILDIR | _TO_BOTH
POLLS_TO_THE_END = 4
"""What was put off, and put off again because the reply was lost, is delivered by then."""


class Desk:
    """Makes cases of one kind, each in a directory and a maildrop of its own."""

    def __init__(self, kind: Kind, home: Path, maildrops: Maildrops, receiver: Receiver) -> None:
        self.kind, self._home = kind, home
        self._maildrops, self._receiver = maildrops, receiver
        self._cases = 0

    def begin(self) -> "Case":
        """Give a full maildrop that nobody has polled yet, or one whose mail is in the spool."""
        self._cases += 1
        root = self._home / str(self._cases)
        root.mkdir()
        user = f"{self.kind.name}-{self._cases}"
        self._maildrops.fill(user, _messages(self.kind))
        if self.kind is Kind.DELETE_MAILDIR_NAMELESS:
            self._maildrops.nameless.add(user)
        case = Case(self.kind, root, user, self._maildrops, self._receiver)
        if self.kind in _LATER and case.poll():
            raise RuntimeError((root / "error").read_text())
        return case


class Case:
    """One maildrop with its own state, polled as often as wanted."""

    def __init__(
        self, kind: Kind, root: Path, user: str, maildrops: Maildrops, receiver: Receiver
    ) -> None:
        self.root = root
        self.sent = _messages(kind)
        self._kind, self._user = kind, user
        self._maildrops, self._receiver = maildrops, receiver
        self._polls = 0
        self._maildrops.hides = kind in SPOOLING
        with receiver.lock:
            receiver.accepted.clear()
            receiver.seen.clear()
            # Three in a row would look like a server that takes nothing.
            receiver.greylists = 2 * (kind in {Kind.DELETE_PUT_OFF, Kind.DELETE_FROM_SPOOL})
        (root / "popsync.toml").touch(mode=0o600)
        (root / "popsync.toml").write_text(self._text())

    def poll(
        self,
        make_steps: Callable[[], DurableSteps] = DurableSteps,
        *,
        prepare: Callable[[], None] = lambda: None,
        later_s: float = 0.0,
    ) -> int:
        """Poll once in a process of its own; give its exit status: 0 is well, 1 an error.

        prepare: what that process does first. later_s: how much later it is by its clock, though
        each poll comes an hour after the one before anyway.
        """
        self._polls += 1
        is_down = self._kind in {Kind.KEEP_BOTH_DOWN, Kind.KEEP_BOTH_FROM_SPOOL}
        self._receiver.is_down = is_down and self._polls == 1
        later_s += 3600 * self._polls
        child = os.fork()
        if child:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            # What a dead one sent at last would be taken for the next case's.
            self._receiver.wait_until_idle()
            return status
        try:
            prepare()
            status = 1 if asyncio.run(self._poll(make_steps(), later_s)) else 0
        except Exception:  # noqa: BLE001 - a child must never return into its parent's code
            self._note(traceback.format_exc())
            status = 1
        os._exit(status)

    def poll_to_the_end(self) -> int:
        """Poll until nothing should be open; give the first exit status that is not 0."""
        for _ in range(POLLS_TO_THE_END if self._kind in SPOOLING else 1):
            if status := self.poll():
                return status
            if not self.unfair():
                break
        return 0

    @property
    def error(self) -> str:
        """What the last poll that failed said."""
        noted = self.root / "error"
        return noted.read_text() if noted.exists() else ""

    @property
    def maildir(self) -> Path:
        """Where its Maildir is, or will be."""
        return self.root / "Mail"

    @property
    def ledger(self) -> Path:
        """Where its ledger is, or will be."""
        return self.root / "state" / "ledger.sqlite3"

    def count_steps(self) -> int:
        """Poll undisturbed; give how many durable steps that took."""
        counted = self.root / "counted"
        if self.poll(lambda: NotedSteps(counted)):
            raise RuntimeError((self.root / "error").read_text())
        return int(counted.read_text())

    def tally(self) -> Tally:
        """Judge what arrived, over all places."""
        tallies = [count(self.sent, arrived) for arrived in self._places()]
        return Tally(*(sum(column) for column in zip(*tallies, strict=True)))

    def left(self) -> int:
        """Give how many messages are on the server still."""
        return len(self._maildrops.messages[self._user])

    def arrived(self) -> int:
        """Give how many copies are anywhere."""
        return sum(len(place) for place in self._places())

    def refill(self) -> None:
        """Put as many other messages on the server, under other unique-ids."""
        self.sent = [*self.sent, *MORE]
        rows = [(b"more-%d" % n, message) for n, message in enumerate(MORE)]
        self._maildrops.messages[self._user] += rows

    def expected_left(self) -> int:
        """Give how many messages are to be on the server in the end."""
        if self._kind in {Kind.KEEP_BOTH_DOWN, Kind.KEEP_BOTH_FROM_SPOOL}:
            return self.left()  # a session that did not come to QUIT hid nothing
        return len(self.sent) if self._kind is Kind.KEEP_MAILDIR else 0

    def strays(self) -> int:
        """Give how many files lie in the Maildir's ``tmp/`` and in the spool."""
        places = (self.maildir / "tmp", self.root / "state" / "spool")
        return sum(len(list(place.iterdir())) for place in places if place.exists())

    def unfair(self, *, marks_allowed: bool = False) -> str:
        """Say what is not as an undisturbed run would have left it; empty when all is well.

        marks_allowed: also a Maildir may have messages twice that bear a mark.
        """
        tally = self.tally()
        maildir_only = self._kind not in _THROUGH_RECEIVER
        broken = tally.lost or tally.altered or tally.unmarked
        broken = broken or (maildir_only and not marks_allowed and tally.doubled)
        if broken or self.left() != self.expected_left() or self.strays():
            return f"{tally}, {self.left()} on the server, {self.strays()} in tmp or spool"
        return ""

    def unsafe(self) -> str:
        """Say what is lost or altered already, whatever may still come; empty when nothing is."""
        on_server = [message for _, message in self._maildrops.messages[self._user]]
        for arrived in self._places():
            tally = count(self.sent, [*on_server, *arrived])
            if tally.lost or count(self.sent, arrived).altered:
                return f"{tally} with what is on the server"
        return ""

    async def _poll(self, steps: DurableSteps, later_s: float) -> bool:
        config = load_config(self.root / "popsync.toml")
        async with open_agent(
            config, observe=_ignore, steps=steps, clock=lambda: time.time() + later_s
        ) as agent:
            (report,) = await agent.poll_round(["jane"])
        if report.error:
            self._note(repr(report.error))
        return report.error is not None

    def _note(self, error: str) -> None:
        """Leave word of an error, whatever limit this process has been given."""
        unlimited = resource.RLIM_INFINITY, resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        (self.root / "error").write_text(error)

    def _places(self) -> Iterator[list[bytes]]:
        if self._kind in _THROUGH_MAILDIR:
            maildirs = (self.maildir, self.root / AWAY)
            places = (mail / name for mail in maildirs for name in ("new", "cur"))
            yield [file.read_bytes() for p in places if p.exists() for file in p.iterdir()]
        with self._receiver.lock:
            accepted = list(self._receiver.accepted)
        if self._kind in _THROUGH_RECEIVER:
            yield [message for recipient, message in accepted if recipient.startswith("jane")]
        if self._kind is Kind.DELETE_LMTP:
            yield [message for recipient, message in accepted if recipient.startswith("joe")]

    def _text(self) -> str:
        at = f'host = "127.0.0.1"\nport = {self._receiver.port}\n'
        relay = LMTP + at + TWO if self._kind is Kind.DELETE_LMTP else SMTP + at + ONE
        destinations = MAILDIR * (self._kind in _THROUGH_MAILDIR)
        destinations += relay * (self._kind in _THROUGH_RECEIVER)
        # One after the other: what is put off then takes the same steps every time.
        destinations += "connections = 1\n" * (self._kind in SPOOLING)
        names = 'deliver_to = ["inbox", "relay"]\n' * (self._kind in _TO_BOTH)
        mode = "keep" if self._kind.name.startswith("KEEP") else "delete"
        return (
            f'state_dir = "state"\n{destinations}'
            f'[account.jane]\nhost = "127.0.0.1"\nport = {self._maildrops.port}\n'
            f'tls = "none"\nuser = "{self._user}"\npassword = "x"\nmode = "{mode}"\n'
            f"trace = false\n{names}"
        )


def _messages(kind: Kind) -> list[bytes]:
    many = {Kind.DELETE_MANY_MAILDIR, Kind.KEEP_BOTH_DOWN, Kind.KEEP_BOTH_FROM_SPOOL}
    return MANY if kind in many else MESSAGES


def _ignore(_event: object) -> None:
    """Observe nothing."""


@contextmanager
def open_desk(kind: Kind) -> Iterator[Desk]:
    """Start the servers; end them, and take every case away."""
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as home,
        run_maildrops() as maildrops,
        run_receiver(lmtp=kind is Kind.DELETE_LMTP) as receiver,
    ):
        yield Desk(kind, Path(home), maildrops, receiver)
