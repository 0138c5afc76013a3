"""Reads files that somebody else may have put there."""

import os
import stat
from pathlib import Path
from typing import NamedTuple

_ALL_BUT_OWNER = 0o077
_ALL_BUT_OWNER_AND_GROUP_READS = 0o037


class FileRefused(Exception):
    """A file cannot be used; the text says why, after the file's name."""


class FileContent(NamedTuple):
    """A file as it was at one moment, all from one descriptor."""

    octets: bytes
    permissions: int
    """The low twelve bits of its mode."""
    owner: int

    def distrust(self, *, allow_group: bool) -> str:
        """Say why it cannot be trusted with a secret; empty when it can.

        A file of root's is as good as our own.
        """
        if self.owner not in {0, os.geteuid()}:
            return f"belongs to another user (id {self.owner})"
        forbidden = _ALL_BUT_OWNER_AND_GROUP_READS if allow_group else _ALL_BUT_OWNER
        if self.permissions & forbidden:
            return f"is open to others (mode {self.permissions:04o})"
        return ""


def read_regular_file(path: Path, *, max_octets: int) -> FileContent:
    """Read ``path``, following links; a pipe or a device never blocks, and is refused.

    Raises FileRefused.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            status = os.fstat(descriptor)
            octets = _read(descriptor, status, max_octets + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise FileRefused(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise FileRefused("cannot be read: its name holds a NUL character") from None
    if len(octets) > max_octets:
        raise FileRefused(f"is larger than {max_octets // 1024} KB")
    return FileContent(octets, stat.S_IMODE(status.st_mode), status.st_uid)


def _read(descriptor: int, status: os.stat_result, max_octets: int) -> bytes:
    if not stat.S_ISREG(status.st_mode):
        raise FileRefused("is not a regular file")
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read(max_octets)
