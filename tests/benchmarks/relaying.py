"""What a message costs on its way into an SMTP server: ``python -m tests.benchmarks.relaying``.

``[MESSAGES] [CONNECTIONS] [DIRECTORY]``: 3000 of 9 KB over 4 connections into Postfix's
smtp-sink, with a real ledger in DIRECTORY (a temporary one; ``-``: without a ledger), two batches
at a time as in a poll. Prints the wall time and the CPU time of this process a message, and how
many messages share a commit. Nothing is polled: POP3 and start-up come on top.
"""

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from popsync.destinations.smtp import SmtpDestination, SmtpSettings
from popsync.ledger import open_ledger
from popsync.ledger.ledger import SqliteLedger
from popsync.model import DeliveryKey, DeliveryState, DeliveryStatus, Parcel, SeenMessage
from popsync.poll.carry import MAX_BATCH_MESSAGES, MAX_DELIVERING
from popsync.poll.journal import BatchJournal
from popsync.storage import DurableSteps
from tests.unit.destinations.relaying import make_parcel

if TYPE_CHECKING:
    from popsync.poll.ports import Ports

RECIPIENT = "jane@example.org"
BODY = b"Subject: a\r\n\r\n" + b"The quick brown fox jumps over the lazy dog, twice.\r\n" * 170


class _CountedSteps(DurableSteps):
    """The real steps, and how many commits there were."""

    def __init__(self) -> None:
        self.commits = 0

    def commit(self, connection: sqlite3.Connection) -> None:
        """Count it."""
        self.commits += 1
        super().commit(connection)


class _NoJournal:
    """Keeps nothing."""

    async def record(self, _settled: object, _intents: object) -> None:
        """Take it for durable."""


def _journal(ledger: SqliteLedger, parcels: Sequence[Parcel]) -> BatchJournal:
    ports = SimpleNamespace(ledger=ledger, clock=time.time, observe=lambda _event: None)
    owed = (("sink", RECIPIENT),)
    seen = {
        p.message: SeenMessage(
            p.message, p.content.octets, copies=1, suspect=False, deliveries=owed
        )
        for p in parcels
    }
    never = DeliveryStatus(DeliveryState.SEEN, attempts=0, next_try=None)
    statuses = {DeliveryKey(message, "sink", RECIPIENT): never for message in seen}
    return BatchJournal(cast("Ports", ports), account="jane", seen=seen, statuses=statuses)


async def _deliver(port: int, messages: int, connections: int, directory: Path | None) -> None:
    parcels = [make_parcel(n, BODY, to=(RECIPIENT,)) for n in range(messages)]
    steps = _CountedSteps()
    ledger = await open_ledger(directory, clock=time.time, steps=steps) if directory else None
    settings = SmtpSettings(host="127.0.0.1", port=port, connections=connections)
    destination = SmtpDestination("sink", settings)
    firsts = iter(range(0, messages, MAX_BATCH_MESSAGES))

    async def deliver_some() -> None:
        for first in firsts:
            batch = parcels[first : first + MAX_BATCH_MESSAGES]
            await destination.deliver(batch, _journal(ledger, batch) if ledger else _NoJournal())

    steps.commits = 0
    began_at, used_at = time.perf_counter(), time.process_time()
    await asyncio.gather(*[deliver_some() for _ in range(MAX_DELIVERING)])
    wall_s, cpu_s = time.perf_counter() - began_at, time.process_time() - used_at
    commits = steps.commits
    await destination.close()
    if ledger is not None:
        await ledger.close()
    sys.stdout.write(
        f"{messages} messages, {connections} connections: "
        f"{wall_s / messages * 1e6:.0f} us of wall time, "
        f"{cpu_s / messages * 1e6:.0f} us of CPU each"
        + (f"; {messages / commits:.2f} a commit\n" if commits else "\n")
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_for(port: int) -> None:
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.02)


def main(arguments: Sequence[str]) -> None:
    """Run it once."""
    messages = int(arguments[0]) if arguments else 3000
    connections = int(arguments[1]) if len(arguments) > 1 else 4
    port = _free_port()
    user = ["-u", "mail"] if os.geteuid() == 0 else []
    sink = subprocess.Popen(["smtp-sink", *user, f"127.0.0.1:{port}", "100"])
    try:
        _wait_for(port)
        where = arguments[2] if len(arguments) > 2 else None
        with tempfile.TemporaryDirectory(dir=None if where == "-" else where) as made:
            directory = None if where == "-" else Path(made)
            asyncio.run(_deliver(port, messages, connections, directory))
    finally:
        sink.terminate()
        sink.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
