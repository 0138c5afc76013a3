"""The bundled server's halves on free ports, with everything about them within reach."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from popsync.server.gate import Doorkeeper, Gate, Inner
from popsync.server.mailboxes import Mailboxes
from popsync.server.mailstore import Mailstore
from popsync.server.settings import MailboxSettings
from popsync.storage import DurableSteps
from tests.doubles.line_client import LineClient, line_client

MAILBOXES = {
    "jane": MailboxSettings("secret word", ("jane@example.org", "postmaster@example.org")),
    "joe": MailboxSettings("other", ("joe@example.org",)),
}


class Bench:
    """A mailstore with jane's and joe's mailboxes, and what to build services from."""

    def __init__(self, directory: Path, *, steps: DurableSteps | None = None) -> None:
        self.mailboxes = Mailboxes(MAILBOXES)
        self.mailstore = Mailstore(directory / "mailstore", steps=steps)
        self.slept: list[float] = []
        self.address = ("", 0)
        with self.mailstore.exclusive():
            self.mailstore.prepare(self.mailboxes.names)

    async def sleep(self, delay_s: float) -> None:
        """Note a delay in place of waiting."""
        self.slept.append(delay_s)
        await asyncio.sleep(0)

    def put(self, *messages: bytes, mailbox: str = "jane") -> None:
        """Store messages."""
        for message in messages:
            self.mailstore.store([mailbox], octets=len(message), chunks=partial(list, [message]))

    def contents(self, mailbox: str = "jane") -> list[bytes]:
        """Give what a mailbox holds."""
        found = self.mailstore.scan(mailbox)
        return [b"".join(self.mailstore.read(message)) for message in found]

    @asynccontextmanager
    async def serving(self, serve: Inner, *, refusal: bytes = b"") -> AsyncIterator[Gate]:
        """Listen while the block runs, at ``address``."""
        gate = Gate()
        server = await asyncio.get_running_loop().create_server(
            lambda: Doorkeeper(gate, serve, refusal=refusal), "127.0.0.1", 0
        )
        self.address = server.sockets[0].getsockname()
        try:
            yield gate
        finally:
            server.close()
            await gate.clear()

    @asynccontextmanager
    async def pop3_login(self) -> AsyncIterator[LineClient]:
        """Connect to a POP3 service and log in as jane."""
        async with line_client(self.address, b"+OK") as client:
            assert (await client.ask(b"USER jane")).startswith(b"+OK")
            assert (await client.ask(b"PASS secret word")).startswith(b"+OK")
            yield client


def trusting(ca_file: Path) -> ssl.SSLContext:
    """Give a client's context that trusts only ``ca_file``."""
    return ssl.create_default_context(cafile=ca_file)
