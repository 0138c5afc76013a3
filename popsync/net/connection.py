"""A Stream over asyncio.

Not asyncio's StreamReader: that one keeps plaintext which came before a TLS upgrade and gives it
out afterwards as if TLS had brought it (CVE-2011-0411). Here the upgrade refuses instead, for
a client and for a server.
"""

import asyncio
import ipaddress
import threading
from collections.abc import Callable

from popsync.errors import DeadlineExceeded, TlsRefused
from popsync.net.failures import PLAINTEXT_HINT, loss, tls_failure
from popsync.net.tls import Handshake, check_fingerprint

MAX_UNREAD_OCTETS = 128 << 10
"""What may wait unread before the peer is made to wait; the system holds more for each."""
_READ_OCTETS = 64 << 10
_MAX_CLOSING_S = 2.0


class _Landing(threading.local):
    """Where octets land before their number is known: one place for all connections of a loop.

    Each read would else begin with 256 KiB of its own, most of them for nothing.
    """

    def __init__(self) -> None:
        self.place = memoryview(bytearray(_READ_OCTETS))


_landing = _Landing()


class Connection(asyncio.BufferedProtocol):
    """One connection, either side of it. Reads and writes are for one task at a time.

    peer: how to call the other side; left empty it is the address.
    on_made: called once connected, for servers.
    """

    def __init__(
        self,
        peer: str = "",
        handshake: Handshake | None = None,
        on_made: "OnMade | None" = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._peer = peer
        self._handshake = handshake
        self._on_made = on_made
        self._transport: asyncio.Transport | None = None
        self._chunks: list[bytes] = []
        self._unread_octets = 0
        self._reading = True
        self._ended = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = asyncio.Event()
        self._secured = False
        self._loopback = False

    # -- what a Stream offers ----------------------------------------------------------------

    @property
    def peer(self) -> str:
        """The other side as a person would name it."""
        return self._peer

    @property
    def secured(self) -> bool:
        """Whether TLS is on."""
        return self._secured

    @property
    def loopback(self) -> bool:
        """Whether the peer is this machine."""
        return self._loopback

    @property
    def unread(self) -> int:
        """Octets that have arrived and were not read yet."""
        return self._unread_octets

    async def read(self, *, timeout_s: float) -> bytes:
        """Give all that has arrived, at least one octet; ``b""`` once the peer has closed.

        Raises PeerClosed when the connection broke, DeadlineExceeded after ``timeout_s`` of
        silence.
        """
        if not self._chunks and not self._ended:
            await self._wait_for_octets(timeout_s)
        if self._chunks:
            return self._take()
        if self._error is not None:
            raise loss(self._peer, self._error) from self._error
        return b""

    async def write(self, octets: bytes, *, timeout_s: float) -> None:
        """Send ``octets``; returns once few enough are still waiting.

        Raises PeerClosed, or DeadlineExceeded when the peer takes nothing for ``timeout_s``.
        """
        self._open_transport().write(octets)
        if self._writable.is_set():
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._writable.wait()
        except TimeoutError:
            raise DeadlineExceeded(
                f"{self._peer}: took nothing from us for {timeout_s:g} s"
            ) from None
        self._open_transport()

    async def start_tls(self, *, timeout_s: float) -> None:
        """Turn the connection into a TLS one, as its handshake demands.

        Raises TlsRefused, also when plaintext is waiting unread; PeerClosed, DeadlineExceeded.
        The connection is of no use after that.
        """
        if self._handshake is None or self._secured:
            raise TlsRefused(f"{self._peer}: TLS was not prepared, or is on already")
        transport = self._open_transport()
        if self._chunks:
            raise TlsRefused(f"{self._peer}: plaintext where TLS should begin; {PLAINTEXT_HINT}")
        await self._upgrade(transport, self._handshake, timeout_s)
        if self._handshake.fingerprint:
            self._check_pin(self._handshake.fingerprint)

    async def close(self) -> None:
        """Part at once, without flushing, and see the transport gone. Idempotent."""
        if self._transport is None:
            return
        self._transport.abort()
        try:
            async with asyncio.timeout(_MAX_CLOSING_S):
                await self._lost.wait()
        except TimeoutError:
            return

    # -- what asyncio tells us ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 — asyncio's own contract
        self._transport = transport
        address = transport.get_extra_info("peername")
        self._loopback = _is_loopback(address)
        self._peer = self._peer or _shown(address)
        if self._on_made is not None:
            self._on_made(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's form
        """Give the place for what comes, which is read from it at once."""
        return _landing.place

    def buffer_updated(self, nbytes: int) -> None:
        """Keep what came; make the peer wait when too much of it is unread."""
        self._chunks.append(bytes(_landing.place[:nbytes]))
        self._unread_octets += nbytes
        if self._reading and self._unread_octets > MAX_UNREAD_OCTETS:
            self._reading = False
            self._open_transport().pause_reading()
        self._wake_reader()

    def eof_received(self) -> None:
        """Note the end; without close_notify it is the same end, framing tells what it cut."""
        self._ended = True
        self._wake_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end and why; let go of the transport.

        TLS and this connection know each other. Their buffers would otherwise stay until the
        collector looks for what keeps itself alive, which in a large process is seldom.
        """
        if not self._ended:
            self._error = exc
        self._ended = True
        self._transport = None
        self._lost.set()
        self._writable.set()
        self._wake_reader()

    def pause_writing(self) -> None:
        """Make writers wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let writers go on."""
        self._writable.set()

    # -- inside ------------------------------------------------------------------------------

    def _open_transport(self) -> asyncio.Transport:
        if self._transport is None or self._ended or self._transport.is_closing():
            raise loss(self._peer, self._error) from self._error
        return self._transport

    def _take(self) -> bytes:
        octets = b"".join(self._chunks)
        self._chunks.clear()
        self._unread_octets = 0
        if not self._reading:
            self._reading = True
            if not self._ended and self._transport is not None:
                self._transport.resume_reading()
        return octets

    async def _wait_for_octets(self, timeout_s: float) -> None:
        # Once for each read, so a timer alone: asyncio.timeout takes several times as long.
        reader = self._reader = self._loop.create_future()
        timer = self._loop.call_later(timeout_s, self._give_up, reader, timeout_s)
        try:
            await reader
        finally:
            timer.cancel()
            self._reader = None

    def _give_up(self, reader: "asyncio.Future[None]", timeout_s: float) -> None:
        if not reader.done():
            reader.set_exception(DeadlineExceeded(f"{self._peer}: silent for {timeout_s:g} s"))

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def _upgrade(
        self, transport: asyncio.Transport, handshake: Handshake, timeout_s: float
    ) -> None:
        # Between the check for plaintext and the switch inside start_tls nothing is awaited.
        try:
            async with asyncio.timeout(timeout_s):
                secured = await self._loop.start_tls(
                    transport,
                    self,
                    handshake.context,
                    server_side=handshake.server_side,
                    server_hostname=handshake.server_hostname,
                    ssl_handshake_timeout=timeout_s + 1,
                )
        except TimeoutError:
            await self._abandon(transport)
            raise DeadlineExceeded(
                f"{self._peer}: no TLS handshake within {timeout_s:g} s"
            ) from None
        except OSError as error:
            await self._abandon(transport)
            raise tls_failure(self._peer, error) from error
        except BaseException:
            await self._abandon(transport)
            raise
        if secured is None:
            raise loss(self._peer, None)
        self._transport = secured
        self._secured = True

    async def _abandon(self, transport: asyncio.Transport) -> None:
        # The half-made TLS layer hears of the end in our place.
        self._ended = True
        self._transport = None
        self._lost.set()
        transport.abort()
        await asyncio.sleep(0)

    def _check_pin(self, pinned: str) -> None:
        session = self._open_transport().get_extra_info("ssl_object")
        check_fingerprint(self._peer, pinned, session.getpeercert(binary_form=True))


OnMade = Callable[[Connection], None]
"""Takes a connection that a server has accepted."""


def _is_loopback(address: object) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket
    ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def _shown(address: object) -> str:
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "a Unix socket"
