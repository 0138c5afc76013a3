"""Where SMTP and LMTP (RFC 2033) differ for a client."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One of the two, and how much is made of it."""

    greetings: tuple[str, ...]
    """The verbs to greet with; the next one is tried when a server does not know the first."""
    normalise: bool
    """Whether bare CR and LF become CRLF (P6)."""
    reply_per_recipient: bool
    """Whether the final dot is answered once for each accepted recipient."""
    require_8bitmime: bool = False
    """Whether a message beyond ASCII is kept from a server that does not offer 8BITMIME."""


SMTP = Dialect(greetings=("EHLO", "HELO"), normalise=True, reply_per_recipient=False)
LMTP = Dialect(greetings=("LHLO",), normalise=False, reply_per_recipient=True)
