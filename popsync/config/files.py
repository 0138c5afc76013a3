"""Reads files that somebody else may have put there."""

import os
import pwd
import shlex
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

    def distrust(self, path: Path, *, allow_group: bool) -> str:
        """Say why it cannot be trusted with a secret, and what to do; empty when it can.

        path: what it was read from. A file of root's is as good as our own.
        """
        named = shlex.quote(str(path))
        if self.owner not in {0, os.geteuid()}:
            cure = f"run as root: chown {_name_of(os.geteuid())} {named}"
            return f"belongs to another user, {_name_of(self.owner)}; {cure}"
        forbidden = _ALL_BUT_OWNER_AND_GROUP_READS if allow_group else _ALL_BUT_OWNER
        if self.permissions & forbidden:
            return f"is open to others (mode {self.permissions:04o}); run: chmod 600 {named}"
        return ""


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


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
