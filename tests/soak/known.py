"""A maildrop of a hundred thousand messages that are all known: what a poll of it takes.

``popsync once`` as a whole process, from its start to its exit, against a server that lists them
from memory. The first poll compares every message with the ledger; once a poll has found nothing
to do, the next one recognises the listing.
"""

import asyncio
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from popsync.ledger import open_ledger
from popsync.model import AccountId, DeliveryChange, DeliveryKey, DeliveryState
from tests.doubles.retrieved import make_key, make_seen
from tests.soak.fleet import INBOX
from tests.soak.gauge import MIB, Run, measure
from tests.system.commands import write_config

MESSAGES = 100_000
OCTETS = 4321
USER = "jane@example.org"
ACCOUNT = AccountId(f"{USER}@127.0.0.1")
BATCH = 5_000
POLLS = ("compares all", "compares all, and remembers", "recognises the listing")


class Poll(NamedTuple):
    """One process."""

    does: str
    run: Run

    def __str__(self) -> str:
        """One line."""
        return (
            f"{self.does}: {self.run.took_s:.2f} s, {self.run.cpu_s:.2f} s of a processor, "
            f"at most {self.run.most_octets / MIB:.0f} MiB resident"
        )


def measure_known(root: Path, *, messages: int = MESSAGES) -> list[Poll]:
    """Make a ledger that knows them, and poll three times."""
    names = [
        b"%08d.%08x" % (number, number * 2654435761 % (1 << 32)) for number in range(messages)
    ]
    asyncio.run(_fill_ledger(root / "state", names))
    with _serving(names) as port:
        text = (
            f'state_dir = "state"\n{INBOX}[account.jane]\nhost = "127.0.0.1"\nport = {port}\n'
            f'tls = "none"\nuser = "{USER}"\npassword = "x"\nmode = "keep"\n'
        )
        config = write_config(root / "popsync.toml", text)
        return [_poll(config, does) for does in POLLS]


async def _fill_ledger(state_dir: Path, names: list[bytes]) -> None:
    ledger = await open_ledger(state_dir)
    try:
        for first in range(0, len(names), BATCH):
            keys = [make_key(name, account=ACCOUNT) for name in names[first : first + BATCH]]
            seen = [make_seen(key, octets=OCTETS) for key in keys]
            deliveries = [DeliveryKey(key, "inbox", "") for key in keys]
            await ledger.record(
                seen, [DeliveryChange(d, DeliveryState.STAGED) for d in deliveries]
            )
            await ledger.record(
                [], [DeliveryChange(d, DeliveryState.DELIVERED) for d in deliveries]
            )
        await ledger.close_listing(ACCOUNT, gone=[], renumbering=False)
    finally:
        await ledger.close()


def _poll(config: Path, does: str) -> Poll:
    run = measure([sys.executable, "-m", "popsync", "-c", str(config), "once"])
    assert run.status == 0, run.status
    return Poll(does, run)


@contextmanager
def _serving(names: list[bytes]) -> Iterator[int]:
    server = _Server(names)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(socketserver.ThreadingTCPServer):
    """Knows its answers by heart."""

    daemon_threads = True

    def __init__(self, names: list[bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        sizes = b"".join(b"%d %d\r\n" % (n, OCTETS) for n in range(1, len(names) + 1))
        uidl = b"".join(b"%d %b\r\n" % row for row in enumerate(names, 1))
        self.answers = {
            b"CAPA": b"+OK\r\nPIPELINING\r\nUIDL\r\nUSER\r\n.\r\n",
            b"STAT": b"+OK %d %d\r\n" % (len(names), len(names) * OCTETS),
            b"LIST": b"+OK\r\n" + sizes + b".\r\n",
            b"UIDL": b"+OK\r\n" + uidl + b".\r\n",
        }


class _Session(socketserver.StreamRequestHandler):
    """Any user and password will do; no message is ever given."""

    server: _Server

    def handle(self) -> None:
        self.wfile.write(b"+OK ready\r\n")
        while line := self.rfile.readline():
            verb = line.split()[0].upper()
            self.wfile.write(self.server.answers.get(verb, b"+OK\r\n"))
            if verb == b"QUIT":
                return
