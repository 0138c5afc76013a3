"""Polls an odd server into a Maildir, or into a relay, with everything real in between."""

import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from popsync.destinations.maildir import MaildirDestination
from popsync.ledger import open_ledger
from popsync.maildrop.opening import connect_maildrop
from popsync.maildrop.settings import Deadlines, Pop3Settings
from popsync.model import AccountId
from popsync.net.tls import TlsOptions
from popsync.poll.events import Event, PollReport, Warned
from popsync.poll.once import poll_once
from popsync.poll.policy import Account, Policy, Route
from popsync.poll.ports import Destination, Ports
from popsync.spool import LocalSpool
from popsync.storage import Scratch
from tests.doubles.pop3_script import ScriptedServer
from tests.odd_servers.server import OddServer

_SUSPECT = re.compile(rb"\AX-Popsync-Suspect: .*\n")
BETWEEN_POLLS_S = 7200.0
PLAIN = TlsOptions(mode="none")
_STEPS = ("connect_s", "tls_s", "greeting_s", "login_s", "reply_s", "gap_s", "message_s")
QUICK = Deadlines(**dict.fromkeys(_STEPS, 0.5))
"""For servers that fall silent: that is not worth more in a test."""
PATIENT = Deadlines(**dict.fromkeys(_STEPS, 20.0))
"""For all others: a loaded machine is slow without being wrong."""


async def _password() -> str:
    return "hunter2-secret"


@dataclass
class Bench:
    """One account of an odd server, delivered into the Maildir ``path`` or somewhere else."""

    path: Path
    account: Account
    ports: Ports
    clock: list[float]
    events: list[Event] = field(default_factory=list)

    async def poll(self) -> PollReport:
        """Poll once, two hours after the poll before."""
        self.clock[0] += BETWEEN_POLLS_S
        return await poll_once(self.account, self.ports)

    @property
    def arrived(self) -> Counter[bytes]:
        """How often each message lies in the Maildir, whose lines end in LF.

        The line that marks a message of doubtful size is not counted as part of it.
        """
        return Counter(_SUSPECT.sub(b"", octets) for octets in self._files)

    @property
    def suspects(self) -> list[bytes]:
        """The messages that bear such a line."""
        return [octets for octets in self._files if _SUSPECT.match(octets)]

    @property
    def _files(self) -> list[bytes]:
        return [file.read_bytes() for file in (self.path / "new").glob("*")]

    @property
    def warnings(self) -> list[str]:
        """The texts of all warnings so far."""
        return [event.text for event in self.events if isinstance(event, Warned)]


@asynccontextmanager
async def open_bench(
    server: OddServer,
    directory: Path,
    *,
    deletes: bool = True,
    deadlines: Deadlines = PATIENT,
    destination: Destination | None = None,
    recipients: tuple[str, ...] = ("",),
    tls: TlsOptions = PLAIN,
    adapt: Callable[[Account], Account] = lambda account: account,
    context: ssl.SSLContext | None = None,
    **settings: Any,
) -> AsyncIterator[Bench]:
    """Serve ``server`` on a real socket and give a bench that polls it.

    destination: where the mail goes instead of into a Maildir. tls: what the poll demands.
    adapt: gives the account what it has else. context: with one, the server begins TLS at once.
    settings: others of Pop3Settings.
    """
    state, maildir = directory / "state", directory / "maildir"
    state.mkdir()
    clock = [1_000_000.0]
    events: list[Event] = []
    ledger = await open_ledger(state, clock=lambda: clock[0])
    try:
        async with ScriptedServer(server.serve, tls=context) as served:
            values: dict[str, Any] = {
                "host": "127.0.0.1",
                "port": served.port,
                "tls": tls,
                "user": "jane",
                "password": _password,
                "scratch": Scratch(state),
                "deadlines": deadlines,
            }
            made = Pop3Settings(**(values | settings))
            to = destination or MaildirDestination(
                "inbox", maildir, token=ledger.token, hostname="here"
            )
            spool = LocalSpool(state, token=ledger.token, scratch=Scratch(state), max_octets=10**9)
            ports = Ports(
                open_maildrop=partial(connect_maildrop, made),
                destinations={to.name: to},
                ledger=ledger,
                spool=spool,
                clock=lambda: clock[0],
                observe=events.append,
                stopping=lambda: False,
            )
            policy = Policy(deletes=deletes, destinations=frozenset({to.name}))
            account = Account(
                AccountId("jane@127.0.0.1"),
                "work",
                policy,
                (Route(to.name, recipients),),
                find_reverse_path=lambda _head: "",
            )
            yield Bench(maildir, adapt(account), ports, clock, events)
    finally:
        await ledger.close()
