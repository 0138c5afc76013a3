"""The POP3 half of the bundled server: connections, and who holds which maildrop."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from popsync.errors import StreamError, escape
from popsync.net.connection import Connection
from popsync.net.tls import Handshake
from popsync.server.gate import Release
from popsync.server.mailboxes import Mailboxes
from popsync.server.mailstore import Mailstore
from popsync.server.pop3_dialogue import Dialogue
from popsync.server.pop3_login import Authorization, LoginRules
from popsync.server.pop3_maildrop import LockedMaildrop
from popsync.server.pop3_transaction import Transaction

_LOG = logging.getLogger(__name__)

# RFC 1939 §3: an autologout timer, if there is one, of at least 10 minutes.
IDLE_TIMEOUT_S = 600.0
PARTING_TIMEOUT_S = 2.0

REFUSAL = b"-ERR [SYS/TEMP] too many connections\r\n"


class Pop3Service:
    """What all POP3 connections share."""

    def __init__(
        self,
        *,
        mailboxes: Mailboxes,
        mailstore: Mailstore,
        tls: ssl.SSLContext | None = None,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._mailstore = mailstore
        self._rules = LoginRules(mailboxes, stls=tls is not None, sleep=sleep)
        self._handshake = Handshake(tls, server_side=True) if tls else None
        self._idle_timeout_s = idle_timeout_s
        self._held: set[str] = set()
        self._sessions: set[asyncio.Task[None]] = set()

    def make_protocol(self, release: Release) -> asyncio.BaseProtocol:
        """Give the protocol for one connection, which calls ``release`` at its end."""

        def begin(connection: Connection) -> None:
            session = asyncio.get_running_loop().create_task(self._serve(connection))
            self._sessions.add(session)
            session.add_done_callback(self._sessions.discard)
            session.add_done_callback(lambda _: release())

        return ServedConnection(handshake=self._handshake, on_made=begin)

    async def _serve(self, connection: Connection) -> None:
        assert isinstance(connection, ServedConnection)  # noqa: S101 — we made it
        dialogue = Dialogue(connection, idle_timeout_s=self._idle_timeout_s)
        try:
            dialogue.agree(b"popsync")
            await self._hold_session(connection, dialogue)
            await dialogue.flush()
            await connection.part()
        except StreamError as error:
            _LOG.debug("a POP3 connection ended: %s", escape(str(error)))
        except Exception as error:  # noqa: BLE001 — one connection's trouble is nobody else's
            _LOG.error("POP3: %s", escape(f"{type(error).__name__}: {error}"))
        finally:
            await connection.close()

    async def _hold_session(self, connection: Connection, dialogue: Dialogue) -> None:
        authorization = Authorization(self._rules, connection, dialogue)
        while (mailbox := await authorization.next_login()) is not None:
            with self._holding(mailbox) as free:
                if not free:
                    dialogue.refuse("another session has this maildrop", code="IN-USE")
                    continue
                maildrop = await self._open_maildrop(mailbox, dialogue)
                if maildrop is not None:
                    capabilities = authorization.capabilities
                    await Transaction(self._mailstore, maildrop, dialogue, capabilities).run()
                    return

    @contextmanager
    def _holding(self, mailbox: str) -> Iterator[bool]:
        """Hold a maildrop while the block runs; gives False when another session has it."""
        if mailbox in self._held:
            yield False
            return
        self._held.add(mailbox)
        try:
            yield True
        finally:
            self._held.discard(mailbox)

    async def _open_maildrop(self, mailbox: str, dialogue: Dialogue) -> LockedMaildrop | None:
        try:
            messages = await asyncio.to_thread(self._mailstore.scan, mailbox)
        except OSError as error:
            _LOG.error("POP3: %s cannot be listed: %s", mailbox, escape(str(error)))
            dialogue.refuse("the maildrop cannot be read now", code="SYS/TEMP")
            return None
        dialogue.agree(b"%d messages" % len(messages))
        return LockedMaildrop(messages)


class ServedConnection(Connection):
    """A client's connection to us, which can also be ended politely."""

    async def part(self) -> None:
        """Send what is still waiting, then close; a client that takes too long is cut off."""
        if self._transport is not None:
            self._transport.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(PARTING_TIMEOUT_S):
                await self._lost.wait()
