"""Begins connections."""

import asyncio
import ipaddress
from collections.abc import Awaitable

from popsync.errors import ConnectFailed, DeadlineExceeded
from popsync.net.connection import Connection
from popsync.net.failures import connect_failure
from popsync.net.stream import Stream
from popsync.net.tls import TlsOptions, client_handshake

_NEXT_ADDRESS_AFTER_S = 0.25
"""RFC 8305 §5: how long an address may keep silent before the next one is tried beside it."""


async def connect_tcp(host: str, port: int, *, tls: TlsOptions, timeout_s: float) -> Stream:
    """Connect to ``host``, with TLS at once when its mode is implicit.

    timeout_s: for name, connection and handshake together. Raises ConnectFailed, TlsRefused,
    PeerClosed, DeadlineExceeded.
    """
    peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    connection = Connection(peer, client_handshake(tls, host))
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_s
    next_after_s = None if _is_address(host) else _NEXT_ADDRESS_AFTER_S
    connecting = loop.create_connection(
        lambda: connection, host, port, happy_eyeballs_delay=next_after_s
    )
    await _establish(peer, connecting, timeout_s)
    if tls.mode == "implicit":
        try:
            await _secure(connection, end - loop.time())
        except DeadlineExceeded:
            raise DeadlineExceeded(f"{peer}: no TLS handshake within {timeout_s:g} s") from None
    return connection


async def connect_unix(path: str, *, timeout_s: float) -> Stream:
    """Connect to a Unix socket. Raises ConnectFailed."""
    connection = Connection(path)
    connecting = asyncio.get_running_loop().create_unix_connection(lambda: connection, path)
    await _establish(path, connecting, timeout_s)
    return connection


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _establish(peer: str, connecting: Awaitable[object], timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await connecting
    except TimeoutError:
        raise ConnectFailed(f"{peer}: no connection within {timeout_s:g} s") from None
    except (OSError, UnicodeError) as error:
        raise connect_failure(peer, error) from error


async def _secure(connection: Connection, timeout_s: float) -> None:
    try:
        await connection.start_tls(timeout_s=timeout_s)
    except BaseException:
        await connection.close()
        raise
