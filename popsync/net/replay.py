"""A Stream that plays back what a server once said, without a network."""

from collections.abc import Iterable

from popsync.errors import PeerClosed


class ReplayStream:
    """Gives out ``steps`` one a read, then ``b""``; keeps what is written.

    steps: octets to give, or an exception to raise in their place.
    """

    def __init__(
        self,
        steps: Iterable[bytes | Exception],
        *,
        peer: str = "replay:110",
        secured: bool = True,
        loopback: bool = False,
    ) -> None:
        self._steps = list(steps)[::-1]
        self._peer = peer
        self._secured = secured
        self._loopback = loopback
        self.writes: list[bytes] = []
        self.closed = False

    @property
    def written(self) -> bytes:
        """All that was written, in one piece."""
        return b"".join(self.writes)

    @property
    def peer(self) -> str:
        """The name it was given."""
        return self._peer

    @property
    def secured(self) -> bool:
        """Whether it passes for a TLS connection."""
        return self._secured

    @property
    def loopback(self) -> bool:
        """Whether it passes for this machine."""
        return self._loopback

    @property
    def unread(self) -> int:
        """Nothing: a step arrives when it is read."""
        return 0

    async def read(self, *, timeout_s: float) -> bytes:  # noqa: ARG002
        """Give the next step."""
        if not self._steps:
            return b""
        step = self._steps.pop()
        if isinstance(step, Exception):
            raise step
        return step

    async def write(self, octets: bytes, *, timeout_s: float) -> None:  # noqa: ARG002
        """Keep ``octets``. Raises PeerClosed after close."""
        if self.closed:
            raise PeerClosed(f"{self._peer}: closed by us")
        self.writes.append(octets)

    async def start_tls(self, *, timeout_s: float) -> None:  # noqa: ARG002
        """Pass for a TLS connection from now on."""
        self._secured = True

    async def close(self) -> None:
        """Take no more writes."""
        self.closed = True
