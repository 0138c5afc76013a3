"""The form a message takes in a Maildir: its octets and its name. No I/O."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from popsync.destinations.line_ends import convert_line_ends, unix_line_ends
from popsync.model import Parcel

# Larger ones are converted twice, for their size and for the file, to be in memory only in part.
_CONVERTED_ONCE_OCTETS = 2 * 1024 * 1024
# Up to here one more copy is cheaper than one more call of the kernel.
_JOINED_OCTETS = 64 * 1024
_MAX_HOST_CHARACTERS = 64

# maildir(5) writes "/" and ":" of a host name as octal; a comma would begin a field.
_UNSAFE_IN_HOST = re.compile(r"[^A-Za-z0-9._-]")


def stored_chunks(parcel: Parcel) -> Iterator[bytes]:
    """Give what the file holds: the header in front, the content, lines ended by LF."""
    return unix_line_ends(chain((parcel.header,), parcel.content.chunks()))


def form_file(parcel: Parcel) -> tuple[int, Iterable[bytes]]:
    """Give the file's size in octets and its chunks; a large content is read twice for it."""
    if parcel.content.octets > _CONVERTED_ONCE_OCTETS:
        return sum(map(len, stored_chunks(parcel))), stored_chunks(parcel)
    if parcel.content.octets > _JOINED_OCTETS:
        chunks = tuple(stored_chunks(parcel))
        return sum(map(len, chunks)), chunks
    octets = convert_line_ends(b"".join((parcel.header, *parcel.content.chunks())))
    return len(octets), (octets,)


def escape_host(hostname: str) -> str:
    """Give a host name that can be part of a file name."""
    escaped = _UNSAFE_IN_HOST.sub(lambda match: f"\\{ord(match[0]):03o}", hostname)
    return escaped[:_MAX_HOST_CHARACTERS] or "localhost"


class FileNames:
    """Makes and recognises one ledger's file names.

    ``<received at>.popsync-<token>-<parcel's name>-<inode of tmp/>.<host>,S=<octets>``: the inode
    tells on recovery whether this is still the directory the file was put into, or only one that
    has its path because a disk is not mounted.
    """

    def __init__(self, token: str, hostname: str) -> None:
        self._mark = f".popsync-{token}-"
        self._host = escape_host(hostname)
        self._inode = re.compile(rf"\d+{re.escape(self._mark)}[0-9a-z]+-([0-9a-f]+)(~\d+)?\.")

    def make(self, parcel: Parcel, *, octets: int, inode: int, attempt: int = 0) -> str:
        """Give the name; ``attempt`` counts the files of this name that were left behind."""
        again = f"~{attempt}" if attempt else ""
        seconds = int(parcel.received_at)
        return f"{seconds}{self._mark}{parcel.name}-{inode:x}{again}.{self._host},S={octets}"

    def is_ours(self, name: str) -> bool:
        """Tell whether a file was made for this ledger."""
        return self._inode.match(name) is not None

    def belongs_to(self, name: str, inode: int) -> bool:
        """Tell whether a file was made in the ``tmp/`` that has this inode."""
        match = self._inode.match(name)
        return match is not None and int(match[1], 16) == inode


def base_name(name: str) -> str:
    """Give what stays of a file's name whatever a reader appends: flags, sizes."""
    return name.partition(":")[0].partition(",")[0]
