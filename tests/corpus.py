"""Messages of many shapes, the same at every run, and how two sets of them are compared."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from hashlib import sha256

CRLF = b"\r\n"
MIB = 1 << 20
HUGE_OCTETS = 20 * MIB


def token_of(number: int, seed: int = 0) -> bytes:
    """Give what message ``number`` of that seed, and no other, contains in its header."""
    return b"token-%d-%06d@corpus.example" % (seed, number)


def varied_messages(count: int, seed: int = 0, *, huge: bool = False) -> list[bytes]:
    """Give ``count`` messages with CRLF line ends, each different, the shapes taking turns.

    Every message but the degenerate ones (see ``degenerate_messages``) carries ``token_of`` its
    number as its Message-ID. ``huge``: the last one has more than 20 MiB.
    """
    messages = [varied_message(number, seed) for number in range(count)]
    if huge and messages:
        messages[-1] = huge_message(count - 1, seed)
    return messages


def varied_message(number: int, seed: int = 0) -> bytes:
    """Give message ``number``; its shape is the one whose turn it is."""
    shape = SHAPES[number % len(SHAPES)]
    return shape(header(number, seed), random.Random(f"{seed} {number}"))


def huge_message(number: int, seed: int = 0) -> bytes:
    """Give a message of more than 20 MiB in lines of 76 octets."""
    line = random.Random(seed).randbytes(38).hex().encode() + CRLF
    return header(number, seed) + CRLF + line * (HUGE_OCTETS // len(line) + 1)


def degenerate_messages() -> list[bytes]:
    """Give what hardly is a message: nothing at all, one empty line, no header, no last CRLF."""
    return [
        b"",
        CRLF,
        CRLF + b"no header" + CRLF,
        b"no header and no empty line" + CRLF,
        b"Subject: no last line end" + CRLF * 2 + b"the end is missing",
    ]


def digests(messages: Iterable[bytes]) -> Counter[str]:
    """Give how often each content occurs: two sets of messages are equal when these are."""
    return Counter(sha256(message).hexdigest() for message in messages)


def header(number: int, seed: int = 0) -> bytes:
    """Give a header without the empty line behind it."""
    lines = (
        b"Return-Path: <sender@corpus.example>",
        b"From: Sender <sender@corpus.example>",
        b"To: jane@example.org",
        b"Subject: message %d" % number,
        b"Date: Mon, 02 Nov 2026 %02d:%02d:%02d +0000" % (number % 24, number % 60, number % 59),
        b"Message-ID: <" + token_of(number, seed) + b">",
    )
    return b"".join(line + CRLF for line in lines)


# -- shapes: each turns a header into a message ----------------------------------------------

Shape = Callable[[bytes, random.Random], bytes]


def plain(head: bytes, dice: random.Random) -> bytes:
    """A few hundred lines of text at most."""
    lines = (
        dice.randbytes(dice.randint(1, 38)).hex().encode() for _ in range(dice.randint(1, 300))
    )
    return head + CRLF + b"".join(line + CRLF for line in lines)


def eight_bit(head: bytes, dice: random.Random) -> bytes:
    """Every octet but NUL, CR and LF, as no charset has them."""
    octets = bytes(octet for octet in range(1, 256) if octet not in CRLF)
    return head + CRLF + b"".join(bytes(dice.sample(octets, 70)) + CRLF for _ in range(40))


def null_octets(head: bytes, dice: random.Random) -> bytes:
    """NUL in the body."""
    return head + CRLF + b"before\0after\0\0" + CRLF + b"\0" * dice.randint(1, 20) + CRLF


def long_line(head: bytes, dice: random.Random) -> bytes:
    """One line of a megabyte in the body."""
    return head + CRLF + dice.randbytes(MIB // 2).hex().encode() + CRLF + b"short" + CRLF


def leading_dots(head: bytes, dice: random.Random) -> bytes:
    """Lines that begin with dots, and lines that are nothing but dots."""
    lines = (b"." * dots + dice.choice((b"", b" text", b"x.")) for dots in (1, 2, 3, 1, 64, 0, 1))
    return head + CRLF + b".".join((b"", b"")) + CRLF + b"".join(line + CRLF for line in lines)


def header_only(head: bytes, dice: random.Random) -> bytes:
    """A header and the empty line behind it, no body."""
    return head + CRLF


def header_unfinished(head: bytes, dice: random.Random) -> bytes:
    """A header and nothing behind it, not even the empty line."""
    return head


def only_empty_lines(head: bytes, dice: random.Random) -> bytes:
    """A body of empty lines."""
    return head + CRLF * dice.randint(2, 50)


def long_header(head: bytes, dice: random.Random) -> bytes:
    """A folded field of 40 lines, and one of 4,000 octets on a single line."""
    folded = b"References: " + b"".join(
        b"<%d@corpus.example>" % dice.getrandbits(64) + CRLF + b" " for _ in range(40)
    )
    return head + folded + b"<end@x>" + CRLF + b"X-Long: " + b"y" * 4_000 + CRLF * 2 + b"." + CRLF


def unicode_header(head: bytes, dice: random.Random) -> bytes:
    """Encoded words, raw UTF-8 and raw Latin-1 in the header."""
    subject = b"=?utf-8?q?Gr=C3=BC=C3=9Fe?="
    fields = (b"X-Encoded: " + subject, "X-Raw: Grüße 邮件 ✉".encode(), b"X-Latin: Gr\xfc\xdfe")
    return head + b"".join(field + CRLF for field in fields) + CRLF + b"text" + CRLF


def attachments(head: bytes, dice: random.Random) -> bytes:
    """Nested MIME: a text, an attached message, a binary in base64."""
    outer, inner = (b"=_%016x" % dice.getrandbits(64) for _ in range(2))
    encoded = dice.randbytes(dice.randint(1_000, 60_000)).hex().encode()
    binary = b"".join(encoded[at : at + 76] + CRLF for at in range(0, len(encoded), 76))
    lines = (
        b"MIME-Version: 1.0",
        b'Content-Type: multipart/mixed; boundary="' + outer + b'"',
        b"",
        b"--" + outer,
        b'Content-Type: multipart/alternative; boundary="' + inner + b'"',
        b"",
        b"--" + inner,
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Transfer-Encoding: 8bit",
        b"",
        "Grüße".encode(),
        b"--" + inner + b"--",
        b"--" + outer,
        b"Content-Type: message/rfc822",
        b"",
        b"Subject: inside",
        b"Message-ID: <inside@corpus.example>",
        b"",
        b".",
        b"--" + outer,
        b"Content-Type: application/octet-stream",
        b"",
        binary + b"--" + outer + b"--",
    )
    return head + b"".join(line + CRLF for line in lines)


def looks_like_protocol(head: bytes, dice: random.Random) -> bytes:
    """Lines that a client out of step would take for replies, or a server for commands."""
    lines = (
        b"+OK",
        b"-ERR no such message",
        b"..",
        b"250 2.0.0 Ok",
        b"QUIT",
        b"From here on",
        b"",
    )
    return head + CRLF + b"".join(line + CRLF for line in lines)


SHAPES: tuple[Shape, ...] = (
    plain,
    eight_bit,
    leading_dots,
    attachments,
    header_only,
    null_octets,
    unicode_header,
    looks_like_protocol,
    long_header,
    only_empty_lines,
    header_unfinished,
    long_line,
)
