"""The bundled server's messages: one Maildir per mailbox, each file exactly the octets received.

Line ends stay CRLF in the files. So a file's size, which its name tells, is what LIST tells, and
its content is what RETR sends: bare CR, bare LF, NUL and 8-bit octets need no special case.
Readers of Maildirs take CRLF as well as LF. A file that another program has put here has LF line
ends as a rule; it is served with CRLF, and read through once to know its size.
"""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from popsync.storage import DurableSteps
from popsync.wire.pop3.server import listed_octets

BLOCK_OCTETS = 256 * 1024

# seconds . M microseconds R random . popsync , S = octets: what we wrote needs no stat.
_OWN_NAME = re.compile(r"\d+\.M\d{6}R[0-9a-f]{16}\.popsync,S=(\d+)")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class StoredMessage(NamedTuple):
    """One message of a mailbox, as a scan found it."""

    base: str
    """The file's name without flags: it survives the move from ``new/`` to ``cur/``."""
    path: Path
    octets: int
    """What LIST tells (RFC 1939 §11)."""
    file_octets: int
    exact: bool
    """Its octets are sent as they are; otherwise each line end, and the last, becomes CRLF."""

    @property
    def unique_id(self) -> bytes:
        """32 hex digits, the same after a restart, a move to ``cur/`` and any flag."""
        name = self.base.encode("utf-8", "surrogateescape")
        return hashlib.blake2b(name, digest_size=16).hexdigest().encode()


class Mailstore:
    """The Maildirs below one directory. Every method blocks; call them in a worker thread.

    ``time_ns`` gives the time in nanoseconds since the epoch.
    """

    def __init__(
        self,
        root: Path,
        *,
        steps: DurableSteps | None = None,
        time_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.root = root
        self._steps = steps or DurableSteps()
        self._time_ns = time_ns
        self._foreign: dict[str, StoredMessage] = {}

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the mailstore while the block runs, so that no second server works with it.

        Raises OSError, BlockingIOError when there is one.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(descriptor)

    def prepare(self, mailboxes: Iterable[str]) -> None:
        """Make what is missing of the directories, and clear away what a crash left half written.

        Raises OSError.
        """
        for mailbox in mailboxes:
            for part in ("", "tmp", "new", "cur"):
                with suppress(FileExistsError):
                    self._steps.make_directory(self.root / mailbox / part)
            self._steps.sync_directory(self.root / mailbox)
            self._clear_tmp(self.root / mailbox / "tmp")
        self._steps.sync_directory(self.root)

    def store(
        self, mailboxes: Sequence[str], *, octets: int, chunks: Callable[[], Iterable[bytes]]
    ) -> str:
        """Put one message into each mailbox, durable on return (P2); give its file's name.

        ``chunks`` gives the whole message, ``octets`` long, anew at each call. Raises OSError:
        then no mailbox shows the message.
        """
        name = self._make_name(octets)
        homes = [self.root / mailbox for mailbox in mailboxes]
        try:
            for home in homes:
                self._steps.sync_file(self._steps.write_file(home / "tmp" / name, chunks()))
            for home in homes:
                self._steps.rename(home / "tmp" / name, home / "new" / name)
            for home in homes:
                self._steps.sync_directory(home / "new")
        except BaseException:
            self._take_back(homes, name)
            raise
        return name

    def scan(self, mailbox: str) -> list[StoredMessage]:
        """Give the mailbox's messages in order of arrival. Raises OSError.

        ``new/`` is read before ``cur/``: a message that a reader moves meanwhile is seen twice
        rather than not at all, and counts once.
        """
        found: dict[str, StoredMessage] = {}
        for part in ("new", "cur"):
            for name in _list_files(self.root / mailbox / part):
                base = name.partition(":")[0]
                with suppress(FileNotFoundError):
                    found[base] = self._inspect(base, self.root / mailbox / part / name)
        return sorted(found.values(), key=_arrival)

    def read(self, message: StoredMessage) -> Iterator[bytes]:
        """Give the file's octets block by block.

        Raises FileNotFoundError, before the first block, when it is no longer there; OSError,
        also later, when it cannot be read or has become shorter.
        """
        descriptor = _open(message)
        try:
            yield from _read_blocks(descriptor, message.file_octets)
        finally:
            os.close(descriptor)

    def remove(self, messages: Iterable[StoredMessage]) -> list[StoredMessage]:
        """Remove messages, durably; give those that are still there.

        One that somebody else has removed counts as removed.
        """
        left, parents = [], set()
        for message in messages:
            try:
                parents.add(self._unlink(message))
            except FileNotFoundError:
                continue
            except OSError:
                left.append(message)
        for parent in parents:
            with suppress(OSError):
                self._steps.sync_directory(parent)
        return left

    def _inspect(self, base: str, path: Path) -> StoredMessage:
        own = _OWN_NAME.fullmatch(base)
        if own:
            return StoredMessage(base, path, int(own[1]), int(own[1]), exact=True)
        # A Maildir's files never change, so one look for each is enough.
        key = f"{path.parent.parent.name}/{base}"
        known = self._foreign.get(key) or _measure(base, path)
        self._foreign[key] = known
        return known._replace(path=path)

    def _unlink(self, message: StoredMessage) -> Path:
        path = message.path
        try:
            self._steps.unlink(path)
        except FileNotFoundError:
            path = _find_moved(message)
            self._steps.unlink(path)
        return path.parent

    def _make_name(self, octets: int) -> str:
        seconds, nanoseconds = divmod(self._time_ns(), 1_000_000_000)
        microseconds = nanoseconds // 1000
        return f"{seconds}.M{microseconds:06}R{secrets.token_hex(8)}.popsync,S={octets}"

    def _take_back(self, homes: Iterable[Path], name: str) -> None:
        for home in homes:
            for part in ("tmp", "new"):
                with suppress(OSError):
                    self._steps.unlink(home / part / name)

    def _clear_tmp(self, tmp: Path) -> None:
        for name in _list_files(tmp):
            if _OWN_NAME.fullmatch(name):
                self._steps.unlink(tmp / name)


def _open(message: StoredMessage) -> int:
    try:
        return os.open(message.path, _READ)
    except FileNotFoundError:
        return os.open(_find_moved(message), _READ)


def _find_moved(message: StoredMessage) -> Path:
    # A reader moves it to cur/ when it first sees it, and renames it there with each flag.
    current = message.path.parent.parent / "cur"
    for name in _list_files(current):
        if name.partition(":")[0] == message.base:
            return current / name
    raise FileNotFoundError(errno.ENOENT, "a stored message is no longer there")


def _list_files(directory: Path) -> list[str]:
    with os.scandir(directory) as entries:
        return [
            entry.name
            for entry in entries
            if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False)
        ]


def _measure(base: str, path: Path) -> StoredMessage:
    descriptor = os.open(path, _READ)
    try:
        file_octets = os.fstat(descriptor).st_size
        octets = listed_octets(_read_blocks(descriptor, file_octets))
    finally:
        os.close(descriptor)
    return StoredMessage(base, path, octets, file_octets, exact=False)


def _read_blocks(descriptor: int, octets: int) -> Iterator[bytes]:
    while octets:
        block = os.read(descriptor, min(octets, BLOCK_OCTETS))
        if not block:
            raise OSError(errno.EIO, "a stored message became shorter")
        octets -= len(block)
        yield block


def _arrival(message: StoredMessage) -> tuple[int, str]:
    seconds = message.base.partition(".")[0]
    return (int(seconds) if seconds.isdecimal() else 0, message.base)
