"""How many connections at a time, in all and from one host; and how all are ended."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from popsync.server.settings import is_loopback

MAX_CONNECTIONS = 64
MAX_CONNECTIONS_PER_HOST = 8

Release = Callable[[], None]


class Inner(Protocol):
    """Makes the protocol that serves an admitted connection; it calls ``release`` at its end."""

    def __call__(self, release: Release) -> asyncio.BaseProtocol:
        """Give the protocol, not yet connected."""
        ...


class Gate:
    """Counts one listener's connections.

    This machine is free of the limit per host: a fetcher here may well serve dozens of mailboxes.
    """

    def __init__(
        self,
        *,
        connections: int = MAX_CONNECTIONS,
        connections_per_host: int = MAX_CONNECTIONS_PER_HOST,
    ) -> None:
        self._connections = connections
        self._connections_per_host = connections_per_host
        self._inside: dict[asyncio.Transport, str] = {}
        self._hosts: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()

    def enter(self, transport: asyncio.Transport) -> Release | None:
        """Admit a connection and give what ends its stay; None when there is no room."""
        host = peer_host(transport)
        if len(self._inside) >= self._connections:
            return None
        if not is_loopback(host) and self._hosts[host] >= self._connections_per_host:
            return None
        self._inside[transport] = host
        self._hosts[host] += 1
        self._empty.clear()
        return lambda: self._leave(transport)

    async def clear(self) -> None:
        """Cut every connection, and return once the last has ended its work."""
        for transport in self._inside:
            transport.abort()
        await self._empty.wait()

    def _leave(self, transport: asyncio.Transport) -> None:
        host = self._inside.pop(transport, None)
        if host is None:
            return
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]
        if not self._inside:
            self._empty.set()


class Doorkeeper(asyncio.Protocol):
    """Meets a new connection: hands it to the protocol that serves it, or turns it away."""

    def __init__(self, gate: Gate, serve: Inner, *, refusal: bytes) -> None:
        self._gate = gate
        self._serve = serve
        self._refusal = refusal

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Decide; what is admitted never comes back here."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 — asyncio's own contract
        release = self._gate.enter(transport)
        if release is None:
            transport.write(self._refusal)
            transport.close()
            return
        protocol = self._serve(release)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


def peer_host(transport: asyncio.BaseTransport) -> str:
    """Give the client's address as text; empty when it is gone already."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""
