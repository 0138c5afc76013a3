"""The two lines that the bundled server puts in front of a message; nothing else is changed."""

import re
from email.utils import formatdate
from typing import NamedTuple

# RFC 5321 §4.1.1.1 wants a domain or an address literal; what a client says may be anything.
_NOT_A_DOMAIN = re.compile(r"[^A-Za-z0-9.:_\[\]-]")
MAX_HELO_OCTETS = 255


class Arrival(NamedTuple):
    """How a message came."""

    reverse_path: str
    """Empty for the null reverse-path."""
    helo: str
    """What the client called itself: foreign text."""
    host: str
    """The client's address."""
    protocol: str
    """``SMTP``, ``ESMTP``, ``ESMTPS``, ``ESMTPA`` or ``ESMTPSA`` (RFC 3848)."""


def format_trace(arrival: Arrival, *, hostname: str, at_s: float) -> bytes:
    """Give one Return-Path line and one Received line (RFC 5321 §4.4), each ending in CRLF.

    ``at_s``: seconds since the epoch. There is no ``for`` clause: it would tell one recipient of
    another.
    """
    helo = _NOT_A_DOMAIN.sub("?", arrival.helo)[:MAX_HELO_OCTETS]
    return (
        f"Return-Path: <{arrival.reverse_path}>\r\n"
        f"Received: from {helo} ([{arrival.host}]) by {hostname} with {arrival.protocol};"
        f" {formatdate(at_s)}\r\n"
    ).encode()
