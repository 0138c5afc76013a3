"""What one account's sessions need to know."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from popsync.net.tls import TlsOptions
from popsync.storage.content import Scratch

AuthMethod = Literal["auto", "plain", "user"]
Pipelining = Literal["auto", "on", "off"]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each step may take, in seconds."""

    connect_s: float = 30.0
    """Name, connection and, with implicit TLS, its handshake together."""
    tls_s: float = 30.0
    greeting_s: float = 30.0
    login_s: float = 120.0
    """Servers take their time to refuse a password, or to wait for the maildrop's lock."""
    secret_s: float = 60.0
    """A program that gives the password has a deadline of its own, and some time to be ended."""
    reply_s: float = 60.0
    gap_s: float = 60.0
    """Silence within a listing or a message."""
    message_s: float = 60.0
    """What any message may take, besides what its octets may."""
    min_octets_per_s: float = 1024.0
    max_message_s: float = 3600.0
    """What the largest message, or listing, may take."""
    deletion_s: float = 1.0
    """What one of many DELEs may take."""

    def for_message(self, octets: int) -> float:
        """Give what a message, or listing, of so many octets may take.

        What its octets add are whole seconds, since users read this.
        """
        return min(self.message_s + octets // self.min_octets_per_s, self.max_message_s)

    # What the poll waits for at a time, all of the above that come in it put together.

    def for_opening(self) -> float:
        """Give what may pass until a session is open, a second try without CAPA included."""
        connecting_s = self.connect_s + self.greeting_s + self.reply_s
        securing_s = 2 * self.reply_s + self.tls_s
        return 2 * connecting_s + securing_s + self.secret_s + 2 * self.login_s + self.reply_s

    def for_listing(self) -> float:
        """Give what any listing may take."""
        return 2 * self.reply_s + 2 * self.max_message_s

    def for_retrieval(self, octets: Sequence[int]) -> float:
        """Give what may pass until the next of messages of so many octets; 0 is not known."""
        known = all(octets)
        message_s = self.for_message(max(octets, default=0)) if known else self.max_message_s
        return message_s + 4 * self.reply_s

    def for_deletions(self, count: int) -> float:
        """Give what so many DELEs may take, on the whole."""
        return self.reply_s + count * self.deletion_s


@dataclass(frozen=True, slots=True)
class Pop3Settings:
    """Where the maildrop is, how to get in, and how much to ask for at a time."""

    host: str
    port: int
    tls: TlsOptions
    user: str
    password: Callable[[], Awaitable[str]] = field(repr=False)
    """Asked for once the connection may carry it. Raises SecretUnavailable."""
    scratch: Scratch
    """Makes the contents of what is retrieved."""
    auth: AuthMethod = "auto"
    pipelining: Pipelining = "auto"
    allow_plaintext: bool = False
    """Log in without TLS to another machine as well (P7)."""
    deadlines: Deadlines = Deadlines()
    window_octets: int = 1 << 20
    """How much may be on its way at once while pipelining, on a line that is not known yet."""
    max_window_octets: int = 16 << 20
    """The same on one that carries more within a second. Nothing of it waits in our memory."""
    window_messages: int = 1000
    max_listed: int = 200_000
    max_octets: int = 50 << 20
    """The largest message to take when LIST does not tell its size."""
