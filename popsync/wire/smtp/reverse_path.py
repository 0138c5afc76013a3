"""Finds the reverse-path that the server which received a message wrote down (RFC 5321 §4.4).

That server puts Return-Path at the very top. Further down anybody may have written one, so
only what stands above the first Received counts, and only if there is no doubt about it.
"""

import re

from popsync.wire.smtp.addresses import is_mailbox

MAX_HEADER_OCTETS = 256 * 1024

_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:([^\n]*)\n")
_FOLDED = (b" ", b"\t")
_PATH = re.compile(rb"[ \t]*<([!-~]*)>[ \t]*\r?")


def find_reverse_path(head: bytes) -> str:
    """Give the address in the only Return-Path above the first Received; else ``""`` for ``<>``.

    head: a message's beginning; at most 256 KiB of it are looked at, in time linear to that.
    Folded, repeated, 8-bit, malformed or over-long: all mean ``<>``. Nothing is ever repaired.
    """
    head = head[:MAX_HEADER_OCTETS]
    paths = []
    position = 0
    while found := _FIELD.match(head, position):
        position = _end_of_field(head, found.end())
        name = found[1].lower()
        if name == b"received":
            break
        if name == b"return-path":
            paths.append(found[2] if position == found.end() else b"")
    return _read_path(paths[0]) if len(paths) == 1 else ""


def _end_of_field(head: bytes, position: int) -> int:
    while head.startswith(_FOLDED, position):
        position = head.find(b"\n", position) + 1 or len(head)
    return position


def _read_path(value: bytes) -> str:
    found = _PATH.fullmatch(value)
    address = found[1].decode("ascii") if found else ""
    return address if is_mailbox(address) else ""
