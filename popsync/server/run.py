"""Runs both halves of the bundled server in the caller's event loop."""

import asyncio
import os
import ssl
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

from popsync.errors import ConfigError, escape
from popsync.server.gate import Doorkeeper, Gate, Inner
from popsync.server.mailboxes import Mailboxes
from popsync.server.mailstore import Mailstore
from popsync.server.pop3 import REFUSAL as POP3_REFUSAL
from popsync.server.pop3 import Pop3Service
from popsync.server.settings import HostPort, ServerSettings, check_settings, is_loopback
from popsync.server.smtp import REFUSAL as SMTP_REFUSAL
from popsync.server.smtp import SmtpService

BACKLOG = 256


class ServerUnusable(OSError):
    """The mailstore or an address cannot be had; the text says which, and why."""


class Endpoints(NamedTuple):
    """Where the two halves listen, with the ports that port 0 came to."""

    smtp: HostPort
    pop3: HostPort


@asynccontextmanager
async def running_server(settings: ServerSettings) -> AsyncIterator[Endpoints]:
    """Serve until the block is left; then cut every connection and see all work ended.

    A POP3 session that is cut deletes nothing; a message is stored whole or not at all. Raises
    ConfigError, ServerUnusable.
    """
    check_settings(settings)
    tls = _server_context(settings)
    mailboxes = Mailboxes(settings.mailboxes)
    mailstore = Mailstore(settings.mailstore)
    smtp = SmtpService(
        hostname=settings.hostname,
        mailboxes=mailboxes,
        mailstore=mailstore,
        tls=tls,
        secure_only=not is_loopback(settings.smtp_listen.host),
    )
    pop3 = Pop3Service(mailboxes=mailboxes, mailstore=mailstore, tls=tls)
    async with AsyncExitStack() as stack:
        with _mailstore_explained(mailstore.root):
            stack.enter_context(mailstore.exclusive())
            await asyncio.to_thread(mailstore.prepare, mailboxes.names)
        yield Endpoints(
            smtp=await stack.enter_async_context(
                _listening(settings.smtp_listen, smtp.make_protocol, SMTP_REFUSAL)
            ),
            pop3=await stack.enter_async_context(
                _listening(settings.pop3_listen, pop3.make_protocol, POP3_REFUSAL)
            ),
        )


@contextmanager
def _mailstore_explained(root: Path) -> Iterator[None]:
    try:
        yield
    except BlockingIOError as error:
        raise ServerUnusable(f"another popsync serves the mailstore {root}") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ServerUnusable(f"the mailstore {root} cannot be used: {reason}") from error


@asynccontextmanager
async def _listening(listen: HostPort, serve: Inner, refusal: bytes) -> AsyncIterator[HostPort]:
    gate = Gate()
    server = await _listen(listen, lambda: Doorkeeper(gate, serve, refusal=refusal))
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield HostPort(host, port)
    finally:
        server.close()
        await gate.clear()
        await server.wait_closed()


async def _listen(listen: HostPort, make: Callable[[], Doorkeeper]) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(make, listen.host, listen.port, backlog=BACKLOG)
    except OSError as error:
        address = f"[{listen.host}]" if ":" in listen.host else listen.host
        # asyncio puts words of its own before the system's, and a name may not be found.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror
        where = f"{escape(address)}:{listen.port}"
        raise ServerUnusable(f"cannot listen on {where}: {reason}") from error


def _server_context(settings: ServerSettings) -> ssl.SSLContext | None:
    cert, key = settings.tls_cert, settings.tls_key
    if cert is None or key is None:
        return None
    _check_key_mode(key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"server: {cert} with {key} cannot be used: {reason}") from error
    return context


def _check_key_mode(key: Path) -> None:
    try:
        mode = key.stat().st_mode
    except OSError as error:
        raise ConfigError(f"server.tls_key: {key}: {error.strerror}") from error
    if mode & stat.S_IRWXO:
        raise ConfigError(f"server.tls_key: {key} is open to every user; chmod o= it")
