"""What a session shows: listings, and messages as they were retrieved or refused."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from popsync.errors import RetrievalRefused, UidlUnsupported
from popsync.model.names import Digest, MessageNumber, UniqueId


class ListedMessage(NamedTuple):
    """One row of a listing."""

    number: MessageNumber
    unique_id: UniqueId
    octets: int
    """What LIST claims; may be wrong (RFC 1939 §11)."""


@dataclass(frozen=True, slots=True)
class Listing:
    """STAT, LIST and UIDL of one session, in message-number order."""

    messages: tuple[ListedMessage, ...]
    """Some may be NAMELESS."""
    complete: bool
    """Every terminator was seen and the three agree; only then does absence mean anything."""
    left_out: int = 0
    """Messages that LIST shows and UIDL does not mention."""
    without_uidl: UidlUnsupported | None = None
    """Why all are NAMELESS: the server knows no UIDL, in its own words."""


class Content(Protocol):
    """A message as RETR brought it: dot-unstuffed, without terminator, line ends untouched.

    Small ones live in memory, large ones in an unnamed file; either way it can be read any
    number of times until it is closed.
    """

    @property
    def octets(self) -> int:
        """Size of the content."""
        ...

    @property
    def digest(self) -> Digest:
        """SHA-256 of the content."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """Give the whole content, piece by piece, from its beginning."""
        ...

    def close(self) -> None:
        """Give back what it occupies. Idempotent."""
        ...


class RetrievedMessage(NamedTuple):
    """A message that was retrieved whole."""

    listed: ListedMessage
    content: Content
    suspect: str = ""
    """Why its bytes may not be the whole message; empty when there is no doubt."""


class RefusedMessage(NamedTuple):
    """A message that the server would not give."""

    listed: ListedMessage
    error: RetrievalRefused


Retrieval = RetrievedMessage | RefusedMessage
