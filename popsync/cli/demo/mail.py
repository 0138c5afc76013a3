"""Mail for the demonstration: generated, varied, and recognisable wherever it ends up. Pure."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from random import Random
from typing import NamedTuple

MARK = b"X-Popsync-Demo: "
"""Begins every message; what stands before it was put in front on the way."""


class DemoMessage(NamedTuple):
    """One message as it is sent, with CRLF line ends."""

    name: str
    """Unique in one demonstration; stands behind the mark."""
    content: bytes


def generate_mail(mailbox: str, count: int, *, seed: int) -> list[DemoMessage]:
    """Give ``count`` messages to ``mailbox``, each kind in turn; the same for the same seed."""
    random = Random(f"{seed}/{mailbox}")  # noqa: S311 - test mail, not a secret
    return [_compose(f"{mailbox}/{n}", n, random) for n in range(count)]


def fingerprints(messages: Iterable[DemoMessage], *, line_end: bytes) -> Mapping[str, str]:
    """Give the SHA-256 of each message's content by its name, with ``line_end`` for CRLF."""
    return {
        message.name: hashlib.sha256(message.content.replace(b"\r\n", line_end)).hexdigest()
        for message in messages
    }


def fingerprint_stored(stored: bytes) -> tuple[str, str]:
    """Give name and SHA-256 of a stored message, without what was put in front of it.

    Two empty strings when it is none of ours.
    """
    start = stored.find(MARK)
    if start < 0:
        return "", ""
    content = stored[start:]
    name = content[len(MARK) :].split(b"\n", 1)[0].strip().decode("ascii", "replace")
    return name, hashlib.sha256(content).hexdigest()


def _compose(name: str, number: int, random: Random) -> DemoMessage:
    make_body = _BODIES[number % len(_BODIES)]
    mailbox = name.partition("/")[0]
    head = (
        f"From: Somebody <sender{number}@example.org>\r\n"
        f"To: {mailbox}@demo.test\r\n"
        f"Subject: {(make_body.__doc__ or '').rstrip('.')} ({number})\r\n"
        f"Message-ID: <{number}.{mailbox}@demo.test>\r\n"
    )
    return DemoMessage(name, MARK + f"{name}\r\n{head}".encode() + make_body(random))


def _plain(random: Random) -> bytes:
    """Plain text."""
    return b"\r\n" + b"".join(_sentences(random, 12))


def _nothing(_random: Random) -> bytes:
    """No body at all."""
    return b"\r\n"


def _dots(_random: Random) -> bytes:
    """Lines that begin with dots."""
    return b"\r\n.\r\n..\r\n...\r\n.hidden\r\nQUIT\r\n.\r\n"


def _mbox(random: Random) -> bytes:
    """Lines that look like an mbox."""
    return b"\r\nFrom the start\r\n>From here\r\n" + b"From ".join(_sentences(random, 4))


def _long_line(random: Random) -> bytes:
    """One line of 20,000 octets."""
    return b"\r\n" + bytes(random.choices(b"abcdefgh ", k=20_000)) + b"\r\n"


def _eight_bit(random: Random) -> bytes:
    """Text in no known encoding."""
    octets = bytes(b for b in random.randbytes(3000) if b not in b"\0\r\n")
    return b"Content-Transfer-Encoding: 8bit\r\n\r\n" + octets + b"\r\n"


def _utf8(_random: Random) -> bytes:
    """Text in many scripts."""
    return "\r\nGr\u00fc\u00dfe, \u041f\u0440\u0438\u0432\u0435\u0442, \u3053\u3093\r\n".encode()


def _attachment(random: Random) -> bytes:
    """Large attachment."""
    encoded = base64.encodebytes(random.randbytes(120_000)).replace(b"\n", b"\r\n")
    return (
        b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
        b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + encoded
        + b"--b--\r\n"
    )


def _blank_end(random: Random) -> bytes:
    """Empty lines at its end."""
    return b"\r\n" + b"".join(_sentences(random, 2)) + b"\r\n" * 5


_BODIES: tuple[Callable[[Random], bytes], ...] = (
    _plain,
    _nothing,
    _dots,
    _mbox,
    _long_line,
    _eight_bit,
    _utf8,
    _attachment,
    _blank_end,
)


def _sentences(random: Random, count: int) -> Iterator[bytes]:
    words = b"mail arrives once and only once whatever happens on its way".split()
    for _ in range(count):
        yield b" ".join(random.choices(words, k=random.randint(4, 12))) + b".\r\n"
