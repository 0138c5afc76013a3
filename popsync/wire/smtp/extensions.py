"""What a server offers in its reply to EHLO or LHLO (RFC 5321 §4.1.1.1)."""

from dataclasses import dataclass

from popsync.wire.smtp.replies import Reply

_MAX_SIZE_DIGITS = 20  # RFC 1870 §4


@dataclass(frozen=True, slots=True)
class Extensions:
    """The service extensions that popsync knows what to do with."""

    pipelining: bool = False
    size: int | None = None
    """The most octets of a message, 0 for no limit; None: SIZE is not offered (RFC 1870 §4)."""
    eightbitmime: bool = False
    smtputf8: bool = False
    starttls: bool = False
    dsn: bool = False
    auth: frozenset[str] = frozenset()
    """SASL mechanisms in upper case."""


NO_EXTENSIONS = Extensions()
"""What a server has that only knows HELO."""


def parse_extensions(reply: Reply) -> Extensions:
    """Read the reply to EHLO or LHLO; what is unknown or malformed counts as not offered."""
    offered: dict[str, list[str]] = {}
    for line in reply.lines[1:]:
        # Old servers also write "AUTH=LOGIN PLAIN".
        words = line.decode("ascii", "replace").upper().replace("=", " ").split()
        if words:
            offered.setdefault(words[0], []).extend(words[1:])
    return Extensions(
        pipelining="PIPELINING" in offered,
        size=_parse_size(offered["SIZE"]) if "SIZE" in offered else None,
        eightbitmime="8BITMIME" in offered,
        smtputf8="SMTPUTF8" in offered,
        starttls="STARTTLS" in offered,
        dsn="DSN" in offered,
        auth=frozenset(offered.get("AUTH", [])),
    )


def _parse_size(parameters: list[str]) -> int:
    if len(parameters) != 1:
        return 0
    (digits,) = parameters
    known = digits.isascii() and digits.isdigit() and len(digits) <= _MAX_SIZE_DIGITS
    return int(digits) if known else 0
