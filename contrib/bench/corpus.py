"""The mail that is fetched: the same at every run, so that it can be checked afterwards."""

import hashlib
from collections import Counter
from pathlib import Path

PASSWORD = "benchmark"  # noqa: S105 - of a server that lives for a minute
MARK = b"Message-ID: <bench-"  # the first line; what a program adds stands before it
LINE = b".The quick brown fox jumps over the lazy dog, and begins with a dot.\r\n"


def user(account: int) -> str:
    """Give the name of the login."""
    return f"bench{account}"


def message(account: int, number: int, octets: int) -> bytes:
    """Give a message of about so many octets, with CRLF line ends."""
    head = (
        b"%s%d-%d@example.org>\r\nFrom: bench@example.org\r\nTo: bench@example.org\r\n"
        b"Subject: message %d\r\nDate: Mon, 01 Jan 2024 12:00:00 +0000\r\n\r\n"
    ) % (MARK, account, number, number)
    return head + LINE * max(1, (octets - len(head)) // len(LINE))


def digest(content: bytes) -> bytes:
    """Give the SHA-256 from the mark on, whatever the line ends are."""
    lines = content.replace(b"\r\n", b"\n")
    return hashlib.sha256(lines[lines.find(MARK) :].rstrip(b"\n")).digest()


def expected(accounts: int, messages: int, octets: int) -> Counter[bytes]:
    """Count the digests that a Maildir must have."""
    return Counter(
        digest(message(account, number, octets))
        for account in range(accounts)
        for number in range(1, messages + 1)
    )


def found(maildir: Path) -> Counter[bytes]:
    """Count the digests that a Maildir has."""
    files = (path for part in ("new", "cur") for path in (maildir / part).iterdir())
    return Counter(digest(path.read_bytes()) for path in files)
