"""The steps on which durability rests, each one call, so that a test can fail or die at any.

Nothing here interprets a failure: every method raises OSError (``commit``: sqlite3.Error), and the
caller says what that means. A failed fsync is never tried again on the same descriptor: the kernel
may have thrown the pages away and would then answer "done".
"""

import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from popsync.storage.moving import move
from popsync.storage.syncfs import sync_file_system

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_CALL_OCTETS = 512 * 1024
_CALL_PIECES = 64


def write_pieces(descriptor: int, pieces: Iterable[bytes]) -> None:
    """Write all of ``pieces``, half a megabyte at a time.

    After each call of the kernel a thread has to wait for its turn again; and file systems that
    keep files in large pieces take as large ones as they are given.
    """
    together: list[bytes] = []
    octets = 0
    for piece in pieces:
        together.append(piece)
        octets += len(piece)
        if octets >= _CALL_OCTETS or len(together) >= _CALL_PIECES:
            _write_together(descriptor, together)
            together, octets = [], 0
    _write_together(descriptor, together)


def _write_together(descriptor: int, pieces: Sequence[bytes]) -> None:
    written = os.writev(descriptor, pieces) if pieces else 0
    octets = sum(map(len, pieces))
    if written < octets:
        write_fully(descriptor, b"".join(pieces)[written:])


def write_fully(descriptor: int, octets: bytes) -> None:
    """Write all of ``octets``, however little the kernel takes at a time."""
    written = os.write(descriptor, octets)
    while written < len(octets):
        written += os.write(descriptor, memoryview(octets)[written:])


class DurableSteps:
    """The real steps; a double overrides what it wants to count, log, fail or die at."""

    def write_file(self, path: Path | str, chunks: Iterable[bytes]) -> int:
        """Write a new file, readable by its owner only, and give its open descriptor.

        The caller owes it ``sync_file``. Raises FileExistsError when the name is taken, also by a
        symbolic link. What a failure leaves behind is a file without meaning at ``path``.
        """
        descriptor = os.open(path, _CREATE, 0o600)
        try:
            write_pieces(descriptor, chunks)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def leave_file(self, path: Path | str, chunks: Iterable[bytes]) -> None:
        """Write a new file in the same way and close it; the caller owes ``sync_file_system``."""
        os.close(DurableSteps.write_file(self, path, chunks))

    def sync_file_system(self, descriptor: int) -> None:
        """Make all contents, names and moves on the file system of an open directory durable.

        Whether it offers that is the caller's to know (``popsync.storage.syncfs``).
        """
        sync_file_system(descriptor)

    def sync_file(self, descriptor: int) -> None:
        """Make a written file's content durable; the descriptor is closed whatever happens."""
        try:
            os.fsync(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)

    def sync_path(self, path: Path | str) -> None:
        """Make the content of a file that is already there durable."""
        self.sync_file(os.open(path, _OPEN))

    def rename(self, old: Path | str, new: Path | str) -> None:
        """Give a file its new name, replacing what has it; durable after ``sync_directory``."""
        Path(old).rename(new)

    def move(self, old: str, new: str) -> None:
        """Give a file a name that nothing has; durable after ``sync_directory``.

        Raises FileExistsError when something has it.
        """
        move(old, new)

    def sync_directory(self, path: Path | str) -> None:
        """Make every name that was put into or taken out of a directory durable."""
        self.sync_file(os.open(path, _OPEN_DIRECTORY))

    def unlink(self, path: Path | str) -> None:
        """Take a file's name away."""
        Path(path).unlink()

    def make_directory(self, path: Path) -> None:
        """Make one directory that only its owner may enter."""
        path.mkdir(mode=0o700)

    def commit(self, connection: sqlite3.Connection) -> None:
        """End the open transaction durably."""
        connection.execute("COMMIT")
