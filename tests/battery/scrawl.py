"""Random input: words of a language in any order, damaged a little, cut anywhere."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

LINE_ENDS = (b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n.\r\n", b"\n.\n", b"\r\n.", b"\0")
POP3 = (
    *(b"+OK", b"-ERR", b"+OK ", b"+ok", b"+", b"+ ", b"-err [IN-USE] ", b"[SYS/TEMP]", b"[", b"]"),
    *(b"1 2", b"2 ", b"1 abc", b"99999999999 1", b" ", b"\t", b".", b"..", b"CAPA", b"SASL PLAIN"),
    *(b"LOGIN-DELAY ", b"\xff", b"\xb2", b"x" * 1500, b"+OK 1 200\r\n", b"1 10\r\n2 20\r\n.\r\n"),
)
COMMANDS = (
    *(b"USER ", b"PASS ", b"QUIT", b"RETR 1", b"retr", b"DELE 0", b"AUTH PLAIN ", b"AGEAYg=="),
    *(b"=", b"AA", b" ", b"\t", b"-1", b"18446744073709551616", b"\xff", b"y" * 120, b"TOP 1 1"),
)
SMTP = (
    *(b"250", b"250-", b"250 ", b"354 ", b"421", b"550 5.7.1 ", b"2.1.5", b"999", b"25", b"-"),
    *(b"SIZE 1000", b"SIZE ", b"PIPELINING", b"AUTH PLAIN LOGIN", b" ", b"\xff", b"z" * 1500),
    *(b"250-a\r\n", b"250 b\r\n", b"550-5.1.1 no\r\n", b"220 x ESMTP\r\n"),
)
HEADERS = (
    *(
        b"Message-ID:",
        b"message-id :",
        b"\nMessage-ID",
        b" <a@b>",
        b"\r\n ",
        b"\n\t",
        b"Subject: ",
    ),
    *(
        b"Return-Path: <a@b>\r\n",
        b"Return-Path:",
        b"<>",
        b"Received: x\r\n",
        b":",
        b"From a",
        b" ",
    ),
    *(b"\r\n\r\n", b"\n\n", b"\xff", b"w" * 300, b" "),
)


def scrawl(rng: Random, words: Sequence[bytes], *, opening: bytes = b"") -> bytes:
    """Give up to forty words and line ends, with at most three places damaged.

    opening: what half of the inputs begin with, so that they are not refused at once.
    """
    chosen = rng.choices((*words, *LINE_ENDS), k=rng.randrange(1, 40))
    octets = opening * rng.randrange(2) + b"".join(chosen)
    for _ in range(rng.choice((0, 0, 1, 3))):
        at = rng.randrange(len(octets) + 1)
        octets = octets[:at] + rng.randbytes(rng.randrange(4)) + octets[at + rng.randrange(3) :]
    return octets


def cut(octets: bytes, rng: Random) -> Sequence[bytes]:
    """Give the same octets in pieces, now and then one by one; none is empty."""
    places = range(len(octets) + 1)
    inner = places if rng.random() < 0.1 else sorted(rng.choices(places, k=rng.randrange(9)))
    edges = [0, *inner, len(octets)]
    return [octets[start:end] for start, end in pairwise(edges) if start < end]
