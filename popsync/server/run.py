"""Runs both halves of the bundled server in the caller's event loop."""

import asyncio
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from popsync.errors import ConfigError
from popsync.server.gate import Doorkeeper, Gate, Inner
from popsync.server.mailboxes import Mailboxes
from popsync.server.mailstore import Mailstore
from popsync.server.pop3 import REFUSAL as POP3_REFUSAL
from popsync.server.pop3 import Pop3Service
from popsync.server.settings import HostPort, ServerSettings, check_settings, is_loopback
from popsync.server.smtp import REFUSAL as SMTP_REFUSAL
from popsync.server.smtp import SmtpService

BACKLOG = 256


class Endpoints(NamedTuple):
    """Where the two halves listen, with the ports that port 0 came to."""

    smtp: HostPort
    pop3: HostPort


@asynccontextmanager
async def running_server(settings: ServerSettings) -> AsyncIterator[Endpoints]:
    """Serve until the block is left; then cut every connection and see all work ended.

    A POP3 session that is cut deletes nothing; a message is stored whole or not at all. Raises
    ConfigError; OSError when the mailstore or an address cannot be used.
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


@asynccontextmanager
async def _listening(listen: HostPort, serve: Inner, refusal: bytes) -> AsyncIterator[HostPort]:
    gate = Gate()
    server = await asyncio.get_running_loop().create_server(
        lambda: Doorkeeper(gate, serve, refusal=refusal),
        listen.host,
        listen.port,
        backlog=BACKLOG,
    )
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield HostPort(host, port)
    finally:
        server.close()
        await gate.clear()
        await server.wait_closed()


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
