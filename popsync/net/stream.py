"""What the rooms above see of a connection."""

from typing import Protocol


class Stream(Protocol):
    """Octets to and from one server, each step with its own deadline.

    Every method but ``close`` raises PeerClosed, DeadlineExceeded or TlsRefused; the text names
    the server.
    """

    @property
    def peer(self) -> str:
        """The server as a person would name it: ``pop.example.org:995`` or a socket's path."""
        ...

    @property
    def secured(self) -> bool:
        """Whether TLS is on."""
        ...

    @property
    def loopback(self) -> bool:
        """Whether the peer is this machine: 127.0.0.0/8, ::1 or a Unix socket."""
        ...

    @property
    def unread(self) -> int:
        """Octets that have arrived and were not read yet."""
        ...

    async def read(self, *, timeout_s: float) -> bytes:
        """Give what has arrived, at least one octet; ``b""`` once the peer has closed."""
        ...

    async def write(self, octets: bytes, *, timeout_s: float) -> None:
        """Send ``octets``; returns once few enough are still waiting in our buffer."""
        ...

    async def start_tls(self, *, timeout_s: float) -> None:
        """Turn the connection into a TLS one, verified as its options demand.

        Raises TlsRefused, also when plaintext is waiting unread: it may have been injected
        (RFC 2595 §4, CVE-2011-0411).
        """
        ...

    async def close(self) -> None:
        """Part at once. Idempotent; never raises."""
        ...
