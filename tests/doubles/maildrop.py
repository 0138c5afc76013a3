"""A remote POP3 mailbox as polls see it over many sessions, and all that its server can do wrong.

Stands behind the ports ``OpenMaildrop`` and ``Maildrop``; no sockets. As on a real server a
deletion takes place at QUIT, or never.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256

from popsync.errors import (
    MaildropLocked,
    PeerClosed,
    PipeliningWithdrawn,
    RetrievalRefused,
    ServerUnavailable,
    SizesDisagree,
)
from popsync.model import (
    Digest,
    ListedMessage,
    Listing,
    MessageNumber,
    RefusedMessage,
    Retrieval,
    RetrievedMessage,
    UniqueId,
)


class TrackedContent:
    """A content in memory that remembers whether it was given back."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self.octets = len(octets)
        self.digest = Digest(sha256(octets).digest())
        self.closed = False

    def chunks(self) -> Iterator[bytes]:
        """Give the content in one piece."""
        assert not self.closed, "read after close"
        return iter((self._octets,) if self._octets else ())

    def close(self) -> None:
        """Remember it."""
        self.closed = True


@dataclass(eq=False, slots=True)
class Stored:
    """One message on the server."""

    unique_id: bytes
    octets: bytes
    hidden: bool = False
    """Retrieved and parted with by QUIT, on a server that then shows it no more."""


class AtQuit(Enum):
    """What becomes of the session's deletions, and of the reply."""

    OBEYED = "deletes, and says so"
    CUT_BEFORE = "the line breaks and nothing is deleted"
    CUT_AFTER = "deletes, but the line breaks before the reply"
    REFUSED = "answers -ERR and deletes nothing"
    FORGOTTEN = "says so, and deletes nothing"


@dataclass(slots=True)
class Faults:
    """What goes wrong; all at its harmless value to begin with."""

    refused_login: BaseException | None = None
    """What opening a session raises, until taken back."""
    login_delay_s: int = 0
    kept_days: int | None = None
    break_after: int | None = None
    """Steps (listing, each message, each DELE, QUIT) until ``error`` is raised, once."""
    error: BaseException = field(default_factory=lambda: PeerClosed("the server has gone"))
    disagree_after: int | None = None
    """Messages of a pipelined session until a size is not what LIST said."""
    bears_no_listing: bool = False
    """The listing of a pipelined session fails, since the server does not pipeline after all."""
    not_given: set[bytes] = field(default_factory=set)
    """Unique-ids whose RETR is answered ``-ERR``."""
    breaks_session: set[bytes] = field(default_factory=set)
    """Unique-ids whose RETR ends with ``error``."""
    not_deleted: set[bytes] = field(default_factory=set)
    """Unique-ids whose DELE is answered ``-ERR``."""
    suspect: set[bytes] = field(default_factory=set)
    """Unique-ids that arrive with bytes in doubt."""
    not_listed: set[bytes] = field(default_factory=set)
    """Unique-ids that the listing lacks, which makes it incomplete."""
    lists_nothing: bool = False
    """The listing is complete and empty."""
    at_quit: AtQuit = AtQuit.OBEYED
    hides_retrieved: bool = False
    """Shows no more what was retrieved in a session that ended with QUIT."""


async def _no_wait(burst: int) -> None:
    """Let every burst come at once."""


def _ignore(stored: Stored) -> None:
    """Let it go."""


class RemoteMaildrop:
    """The mailbox; ``open`` begins a session.

    burst: how many messages arrive at a time.
    """

    def __init__(self, *, burst: int = 2) -> None:
        self.burst = burst
        self.messages: list[Stored] = []
        self.faults = Faults()
        self.log: list[str] = []
        """What was asked of the server, in order, all sessions."""
        self.sessions = 0
        self.lock_steps: list[bool] = []
        self.contents: list[TrackedContent] = []
        """Every content ever handed out."""
        self.before_burst: Callable[[int], Awaitable[None]] = _no_wait
        self.on_deleted: Callable[[Stored], None] = _ignore
        self._numbered = 0
        self._locked = False

    def add(self, *contents: bytes, unique_id: bytes | None = None) -> None:
        """Let messages arrive, each under a new unique-id unless one is given."""
        for octets in contents:
            self._numbered += 1
            self.messages.append(Stored(unique_id or b"u%d" % self._numbered, octets))

    def renumber(self) -> None:
        """Give every message a new unique-id."""
        for stored in self.messages:
            self._numbered += 1
            stored.unique_id = b"r%d" % self._numbered

    @property
    def left(self) -> list[bytes]:
        """The contents that are still there, shown or not."""
        return [stored.octets for stored in self.messages]

    def count(self, command: str) -> int:
        """Give how often a command, ``RETR`` for one, was asked."""
        return sum(line.split()[0] == command for line in self.log)

    async def open(self, *, lock_step: bool) -> "RemoteSession":
        """Begin a session; only one at a time, as RFC 1939 §8 has it."""
        if self._locked:
            raise MaildropLocked("another session is open")
        if self.faults.refused_login is not None:
            raise self.faults.refused_login
        self._locked = True
        self.sessions += 1
        self.lock_steps.append(lock_step)
        return RemoteSession(self, lock_step=lock_step)

    def step(self, line: str) -> None:
        """Note what is asked, and break if it is time."""
        self.log.append(line)
        faults = self.faults
        if faults.break_after is None:
            return
        if faults.break_after == 0:
            faults.break_after = None
            raise faults.error
        faults.break_after -= 1

    def shown(self) -> list[Stored]:
        """Give the messages that a new session numbers."""
        if self.faults.lists_nothing:
            return []
        return [
            stored
            for stored in self.messages
            if not stored.hidden and stored.unique_id not in self.faults.not_listed
        ]

    def unlock(self) -> None:
        """Let the next session in."""
        self._locked = False

    def expunge(self, doomed: Sequence[Stored]) -> None:
        """Delete for real."""
        for stored in doomed:
            self.on_deleted(stored)
        self.messages = [stored for stored in self.messages if stored not in doomed]


class RemoteSession:
    """One session with the mailbox (``popsync.poll.ports.Maildrop``)."""

    def __init__(self, server: RemoteMaildrop, *, lock_step: bool) -> None:
        self._server = server
        self._lock_step = lock_step
        self._numbered = dict(enumerate(server.shown(), 1))
        self._doomed: list[Stored] = []
        self._retrieved: list[Stored] = []
        self._open = True

    async def list(self) -> Listing:
        """Give the session's listing."""
        self._server.step("LIST")
        if self._server.faults.bears_no_listing and not self._lock_step:
            raise PipeliningWithdrawn("silent")
        return Listing(
            tuple(
                ListedMessage(MessageNumber(n), UniqueId(stored.unique_id), len(stored.octets))
                for n, stored in self._numbered.items()
            ),
            complete=not self._server.faults.not_listed,
        )

    async def retrieve(
        self, wanted: Sequence[ListedMessage], *, stopping: Callable[[], bool]
    ) -> AsyncGenerator[Sequence[Retrieval], None]:
        """Give the wanted messages burst by burst; a broken line keeps back the burst in hand."""
        size = 1 if self._lock_step else self._server.burst
        for number, start in enumerate(range(0, len(wanted), size)):
            if stopping():
                return
            await self._server.before_burst(number)
            burst: list[Retrieval] = []
            error: BaseException | None = None
            for listed in wanted[start : start + size]:
                try:
                    burst.append(self._retrieve_one(listed))
                except BaseException as caught:  # noqa: BLE001 - raised once the burst is out
                    error = caught
                    break
            if burst:
                yield burst
            if error is not None:
                raise error

    def _retrieve_one(self, listed: ListedMessage) -> Retrieval:
        assert self._open, "RETR after the end"
        stored, faults = self._numbered[listed.number], self._server.faults
        assert listed.unique_id in {b"", stored.unique_id}  # empty: it goes by its content
        self._server.step(f"RETR {listed.number}")
        if not self._lock_step and faults.disagree_after is not None:
            if faults.disagree_after == 0:
                raise SizesDisagree(f"message {listed.number} is not as long as LIST said")
            faults.disagree_after -= 1
        if stored.unique_id in faults.breaks_session:
            raise faults.error
        if stored.unique_id in faults.not_given:
            return RefusedMessage(listed, RetrievalRefused(f"RETR {listed.number}: no"))
        self._retrieved.append(stored)
        content = TrackedContent(stored.octets)
        self._server.contents.append(content)
        suspect = "shorter than LIST said" if stored.unique_id in faults.suspect else ""
        return RetrievedMessage(listed, content, suspect)

    @property
    def pipelines(self) -> bool:
        """Whether several commands may be on their way at once."""
        return not self._lock_step

    @property
    def login_delay_s(self) -> int:
        """What the server wants to pass between sessions."""
        return self._server.faults.login_delay_s

    @property
    def kept_days(self) -> int | None:
        """How long the server says that it keeps mail."""
        return self._server.faults.kept_days

    @property
    def deletion_refusal(self) -> str:
        """What the server says to a DELE that it refuses."""
        return "no" if self._server.faults.not_deleted else ""

    async def delete(self, doomed: Sequence[ListedMessage]) -> Sequence[ListedMessage]:
        """Mark messages; the server may refuse some."""
        agreed = []
        for listed in doomed:
            assert self._open, "DELE after the end"
            self._server.step(f"DELE {listed.number}")
            stored = self._numbered[listed.number]
            if stored.unique_id not in self._server.faults.not_deleted:
                self._doomed.append(stored)
                agreed.append(listed)
        return agreed

    async def quit(self) -> None:
        """End the session the way ``Faults.at_quit`` says."""
        assert self._open, "QUIT after the end"
        self._server.step("QUIT")
        at_quit = self._server.faults.at_quit
        if at_quit in {AtQuit.OBEYED, AtQuit.CUT_AFTER}:
            self._server.expunge(self._doomed)
        if self._server.faults.hides_retrieved and at_quit is not AtQuit.CUT_BEFORE:
            for stored in self._retrieved:
                stored.hidden = True
        self._end()
        if at_quit in {AtQuit.CUT_BEFORE, AtQuit.CUT_AFTER}:
            raise PeerClosed("the server closed the connection at QUIT")
        if at_quit is AtQuit.REFUSED:
            raise ServerUnavailable("-ERR [SYS/TEMP] some deleted messages not removed")

    async def drop(self) -> None:
        """Part without QUIT; harmless after QUIT."""
        if self._open:
            self._server.log.append("DROP")
            self._end()

    def _end(self) -> None:
        self._open = False
        self._server.unlock()
