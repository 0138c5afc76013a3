"""What arrived, beside what was sent: lost, altered, doubled, and doubled without a mark."""

import re
from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

TOKEN = re.compile(rb"token-\d+-\d+@corpus\.example")
MARK = re.compile(rb"^X-Popsync-(?:Redelivery|Suspect): .*\r?\n", re.MULTILINE)


class Tally(NamedTuple):
    """How many messages met which fate."""

    sent: int
    lost: int
    altered: int
    doubled: int
    unmarked: int
    """Of the doubled: copies beyond the first that carry no mark."""


def token_in(message: bytes) -> bytes | None:
    """Give the token of a message of the corpus, None when it carries none."""
    found = TOKEN.search(message)
    return found.group() if found else None


def plain(message: bytes) -> bytes:
    """Give a message with LF line ends and without popsync's marks: what must be equal."""
    whole = message.replace(b"\r\n", b"\n")
    return MARK.sub(b"", whole if whole.endswith(b"\n") else whole + b"\n")


def condense(message: bytes) -> bytes:
    """Give marks, token and a digest of what must be equal: ``count`` sees the same in it."""
    marks = b"".join(mark.strip() + b"\n" for mark in MARK.findall(message))
    token = token_in(message) or b"no token"
    return marks + token + b"\n" + sha256(plain(message)).hexdigest().encode() + b"\n"


def count(sent: Iterable[bytes], arrived: Iterable[bytes]) -> Tally:
    """Compare by token, then by octets. What carries no token of ours counts as altered."""
    expected = {token_in(message): plain(message) for message in sent}
    copies: dict[bytes | None, list[bytes]] = defaultdict(list)
    for message in arrived:
        copies[token_in(message)].append(message)
    altered = sum(
        plain(copy) != expected.get(token) for token, same in copies.items() for copy in same
    )
    doubles = [same for same in copies.values() if len(same) > 1]
    return Tally(
        sent=len(expected),
        lost=len(expected.keys() - copies.keys()),
        altered=altered,
        doubled=sum(len(same) - 1 for same in doubles),
        unmarked=sum(
            max(0, sum(MARK.search(copy) is None for copy in same) - 1) for same in doubles
        ),
    )
