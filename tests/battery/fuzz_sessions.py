"""Whole POP3 sessions with a server that says anything, and polls of it into a real ledger.

The server is a good one, whose replies are damaged now and then: replaced, cut, swallowed, said
twice, mixed with words of the language and with octets of no language.
"""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from random import Random

from popsync.destinations.memory import MemoryDestination
from popsync.errors import (
    DeadlineExceeded,
    DeliveryDeferred,
    DeliveryRejected,
    PeerClosed,
    PopsyncError,
    UnexpectedError,
)
from popsync.maildrop.opening import open_maildrop
from popsync.maildrop.session import Pop3Maildrop
from popsync.maildrop.settings import Deadlines, Pop3Settings
from popsync.model import ListedMessage, RetrievedMessage, UniqueId
from popsync.net.tls import TlsOptions
from popsync.poll.once import poll_once
from popsync.poll.policy import Policy
from popsync.storage import Scratch
from tests.battery.scenario import MEMORY
from tests.battery.scrawl import POP3, cut, scrawl
from tests.doubles.polling import Desk

CRLF = b"\r\n"
QUIET_POLLS = 8
DAY_S = 86400.0
RATES = (0.0, 0.02, 0.1, 0.4)
REFUSALS = (DeliveryDeferred("full"), DeliveryRejected("unwanted"))
FORGED = b"\r\n.\r\n+OK\r\nFrom: a@example.org\r\n\r\nforged\r\n.\r\n"


async def _password() -> str:
    return "secret"


SETTINGS = Pop3Settings(
    "fuzz.example.org",
    110,
    TlsOptions(mode="none"),
    "jane",
    _password,
    Scratch(Path(tempfile.gettempdir())),
    deadlines=Deadlines(*[DAY_S] * 7),  # nobody waits here, and a process may be stopped a while
)


class OddMaildrop:
    """Messages on a server whose replies are damaged at a rate; ``open`` begins a session."""

    def __init__(self, rng: Random, messages: Sequence[bytes]) -> None:
        self.rng = rng
        self.messages = [(b"u-%d" % n, octets) for n, octets in enumerate(messages)]
        self.rate = rng.choice(RATES)
        self.tainted: set[bytes] = set()
        """Messages that were ever sent as something else."""
        self.pipelines = rng.random() < 0.5

    async def open(self, *, lock_step: bool) -> Pop3Maildrop:
        """Begin a session over a stream of its own."""
        return await open_maildrop(_OddStream(self), SETTINGS, lock_step=lock_step)


class _OddStream:
    """One session of the server, as a ``popsync.net.stream.Stream``."""

    def __init__(self, maildrop: OddMaildrop) -> None:
        self._maildrop, self._rng = maildrop, maildrop.rng
        self._there = list(maildrop.messages)
        self._doomed: set[int] = set()
        self._commands = b""
        self._pieces: list[bytes] = []
        self._ended = False
        self._say(b"+OK ready\r\n")

    peer, secured, loopback = "fuzz:110", True, True

    @property
    def unread(self) -> int:
        """All that the server has said is there, though it is read piece by piece."""
        return sum(map(len, self._pieces))

    async def read(self, *, timeout_s: float) -> bytes:
        """Give the next piece; at the end what a closed or a silent server gives."""
        if self._pieces:
            return self._pieces.pop(0)
        if self._ended:
            return b""
        raise DeadlineExceeded(f"{self.peer}: silent for {timeout_s} s")

    async def write(self, octets: bytes, *, timeout_s: float) -> None:
        """Answer each whole command."""
        if self._ended:
            raise PeerClosed(f"{self.peer}: closed")
        *lines, self._commands = (self._commands + octets).split(CRLF)
        for line in lines:
            if not self._ended:
                self._answer(line)

    async def start_tls(self, *, timeout_s: float) -> None:
        """Never asked for."""

    async def close(self) -> None:
        """Part; without QUIT nothing is deleted."""
        self._ended = True

    # -- the server --------------------------------------------------------------------------

    def _answer(self, line: bytes) -> None:
        verb, _, rest = line.upper().partition(b" ")
        number = int(rest) if rest.isdigit() else 0
        if verb == b"RETR" and 0 < number <= len(self._there):
            self._give(self._there[number - 1][1])
        elif verb == b"DELE" and 0 < number <= len(self._there):
            self._doomed.add(number - 1)
            self._say(b"+OK\r\n")
        elif verb == b"QUIT":
            gone = [self._there[index] for index in self._doomed]
            self._maildrop.messages = [m for m in self._maildrop.messages if m not in gone]
            self._say(b"+OK\r\n")
            self._ended = True
        else:
            self._say(self._usual(verb, number))

    def _usual(self, verb: bytes, number: int) -> bytes:
        rows = {
            b"LIST": [b"%d %d" % (n, len(m)) for n, (_, m) in enumerate(self._there, 1)],
            b"UIDL": [b"%d %b" % (n, u) for n, (u, _) in enumerate(self._there, 1)],
            b"CAPA": [b"UIDL", b"USER", *[b"PIPELINING"] * self._maildrop.pipelines],
        }.get(verb)
        if rows is not None and number:
            return b"+OK " + rows[number - 1] + CRLF if number <= len(rows) else b"-ERR no\r\n"
        if rows is not None:
            return b"".join(row + CRLF for row in (b"+OK", *rows, b"."))
        if verb == b"STAT":
            octets = sum(len(message) for _, message in self._there)
            return b"+OK %d %d\r\n" % (len(self._there), octets)
        return b"+OK\r\n"

    def _give(self, message: bytes) -> None:
        stuffed = (CRLF + message).replace(b"\r\n.", b"\r\n..")[2:]
        reply = b"+OK\r\n" + stuffed + b".\r\n"
        if not self._say(reply):
            self._maildrop.tainted.add(message)

    def _say(self, reply: bytes) -> bool:
        """Say it, damaged or not; give whether what was said of it was its own."""
        rng, kept = self._rng, True
        if rng.random() < self._maildrop.rate:
            reply, kept = rng.choice(_DAMAGES)(reply, rng)
            self._ended = self._ended or rng.random() < 0.1
        self._pieces += cut(reply, rng)
        return kept


def _replaced(reply: bytes, rng: Random) -> tuple[bytes, bool]:
    del reply
    return scrawl(rng, POP3), False


def _mixed(reply: bytes, rng: Random) -> tuple[bytes, bool]:
    at = rng.randrange(len(reply) + 1)
    strange = rng.choice((scrawl(rng, POP3), FORGED, rng.randbytes(3)))
    return reply[:at] + strange + reply[at + rng.randrange(4) :], False


def _cut_short(reply: bytes, rng: Random) -> tuple[bytes, bool]:
    return reply[: rng.randrange(len(reply))], True


def _said_twice(reply: bytes, rng: Random) -> tuple[bytes, bool]:
    del rng
    return reply * 2, True


def _talkative(reply: bytes, rng: Random) -> tuple[bytes, bool]:
    return reply + rng.choice((b"+OK\r\n", b"-ERR\r\n", b".\r\n", b"+OK 1 2\r\n")), True


_DAMAGES: Sequence[Callable[[bytes, Random], tuple[bytes, bool]]] = (
    _replaced,
    _mixed,
    _cut_short,
    _said_twice,
    _talkative,
)


# -- checks ------------------------------------------------------------------------------------


def survives_any_session(rng: Random) -> None:
    """A session ends well or with an error of ours; undamaged, it gives what was sent."""
    messages = _make_messages(rng)
    maildrop = OddMaildrop(rng, messages)
    given = asyncio.run(_visit(maildrop, lock_step=rng.random() < 0.3))
    if maildrop.rate == 0 and given != messages:
        raise AssertionError(f"{given} was given of {messages}")


async def _visit(maildrop: OddMaildrop, *, lock_step: bool) -> list[bytes]:
    given: list[bytes] = []
    try:
        session = await maildrop.open(lock_step=lock_step)
        try:
            listing = await session.list()
            await _retrieve(session, listing.messages, given)
            await session.delete(listing.messages)
            await session.quit()
        finally:
            await session.drop()
    except PopsyncError as error:
        if isinstance(error, UnexpectedError):
            raise
    return given


async def _retrieve(
    session: Pop3Maildrop, wanted: Sequence[ListedMessage], given: list[bytes]
) -> None:
    async with aclosing(session.retrieve(wanted, stopping=lambda: False)) as bursts:
        async for burst in bursts:
            for retrieval in burst:
                if isinstance(retrieval, RetrievedMessage):
                    given.append(b"".join(retrieval.content.chunks()))
                    retrieval.content.close()


def polls_any_server(rng: Random) -> None:
    """Whatever a server says, what it has deleted has arrived; once it is sane, all arrives.

    The destination, too, refuses some of it at first.

    Messages that were ever sent as something else are left out: nobody can tell.
    """
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        asyncio.run(_poll_often(rng, Path(directory)))


async def _poll_often(rng: Random, directory: Path) -> None:
    messages = _make_messages(rng)
    maildrop, inbox = OddMaildrop(rng, messages), MemoryDestination("inbox")
    desk = Desk(directory / "state", inbox)
    desk.policy = Policy(deletes=rng.random() < 0.7, destinations=frozenset({"inbox"}))
    await desk.open()
    try:
        inbox.refusals = {
            UniqueId(unique_id): rng.choice(REFUSALS)
            for unique_id, _ in maildrop.messages
            if rng.random() < 0.2
        }
        for poll in range(3 + QUIET_POLLS):
            if poll == 3:
                maildrop.rate, inbox.refusals = 0.0, {}
            desk.now += DAY_S
            report = await poll_once(
                desk.account, replace(desk.ports, open_maildrop=maildrop.open)
            )
            if isinstance(report.error, UnexpectedError):
                raise report.error
            _check_deleted(messages, maildrop, inbox)
    finally:
        await desk.close()
    missing = _missing(messages, inbox) - maildrop.tainted
    if missing:
        raise AssertionError(f"never arrived: {missing}")


def _check_deleted(
    messages: Sequence[bytes], maildrop: OddMaildrop, inbox: MemoryDestination
) -> None:
    left = {octets for _, octets in maildrop.messages}
    lost = _missing(messages, inbox) - left - maildrop.tainted
    if lost:
        raise AssertionError(f"deleted and not delivered: {lost}")


def _missing(messages: Sequence[bytes], inbox: MemoryDestination) -> set[bytes]:
    arrived = [octets for _, octets in inbox.arrived]
    return {m for m in messages if not any(octets.endswith(m) for octets in arrived)}


def _make_messages(rng: Random) -> list[bytes]:
    """Give a few messages, each by its own Message-ID; some are of one size."""
    bodies = (b"short\r\n", b".\r\n..\r\n", b"x" * 300 + CRLF, b"")
    return [
        b"Message-ID: <%d@example.org>\r\n\r\n" % n + rng.choice(bodies)
        for n in range(rng.randrange(5))
    ]
