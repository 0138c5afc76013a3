"""The one place that knows every concrete class."""

import platform
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from popsync.agent.agent import Agent, AgentAccount
from popsync.agent.limits import ConnectionLimits
from popsync.config import model as config_model
from popsync.config.account import AccountConfig
from popsync.config.model import Config
from popsync.config.secrets import Secret, read_secret
from popsync.destinations.lmtp import LmtpDestination, LmtpSettings
from popsync.destinations.maildir import MaildirDestination
from popsync.destinations.smtp import SmtpDestination, SmtpSettings
from popsync.ledger import SqliteLedger, open_ledger
from popsync.maildrop.opening import connect_maildrop
from popsync.maildrop.settings import Pop3Settings
from popsync.net.tls import TlsOptions
from popsync.poll.events import Observer
from popsync.poll.header import format_trace
from popsync.poll.policy import Account, Policy, Route
from popsync.poll.ports import Clock, Ports
from popsync.storage import DurableSteps, Scratch
from popsync.wire.smtp.reverse_path import find_reverse_path

Destination = MaildirDestination | SmtpDestination | LmtpDestination


@asynccontextmanager
async def open_agent(
    config: Config,
    *,
    observe: Observer,
    stopping: Callable[[], bool] = lambda: False,
    clock: Clock = time.time,
    steps: DurableSteps | None = None,
    looks_only: bool = False,
) -> AsyncIterator[Agent]:
    """Give all accounts of ``config``, ready; on leaving, connections and ledger are closed.

    stopping: once it gives True, polls finish what is in hand and begin nothing new.
    looks_only: nothing will be polled, so it may be opened beside a popsync that polls.
    Raises LedgerLocked, LedgerCorrupt, LedgerUnavailable.
    """
    steps = steps or DurableSteps()
    async with AsyncExitStack() as stack:
        ledger = await open_ledger(
            config.state_dir, steps=steps, clock=clock, beside_daemon=looks_only
        )
        stack.push_async_callback(ledger.close)
        destinations = {
            name: _destination(name, config, ledger.token, steps) for name in config.destinations
        }
        for destination in destinations.values():
            if not isinstance(destination, MaildirDestination):
                stack.push_async_callback(destination.close)
        if not looks_only:
            await _sweep(destinations, ledger)
        scratch = Scratch(config.state_dir)
        world = _World(config, ledger, destinations, observe, stopping, clock, scratch)
        yield Agent(
            {name: world.account(name, account) for name, account in config.accounts.items()},
            destinations,
            ConnectionLimits(
                connections=config.limits.connections,
                connections_per_host=config.limits.connections_per_host,
            ),
        )


async def _sweep(destinations: Mapping[str, Destination], ledger: SqliteLedger) -> None:
    """Remove the files that a crash left half written; what is staged stays for recovery."""
    staged = await ledger.staged_names()
    for destination in destinations.values():
        if isinstance(destination, MaildirDestination):
            await destination.sweep(staged)


@dataclass(frozen=True, slots=True)
class _World:
    """What all accounts of one agent share."""

    config: Config
    ledger: SqliteLedger
    destinations: Mapping[str, Destination]
    observe: Observer
    stopping: Callable[[], bool]
    clock: Clock
    scratch: Scratch

    def account(self, name: str, account: AccountConfig) -> AgentAccount:
        """Bind one account to everything its polls touch."""
        ports = Ports(
            open_maildrop=partial(
                connect_maildrop, _pop3_settings(account, self.config, self.scratch)
            ),
            destinations={name: self.destinations[name] for name in account.deliver_to},
            ledger=self.ledger,
            clock=self.clock,
            observe=self.observe,
            stopping=self.stopping,
        )
        return AgentAccount(_account(name, account, self.config), ports, account.host)


# -- configuration into each room's own terms ------------------------------------------------


def _account(name: str, account: AccountConfig, config: Config) -> Account:
    routes = tuple(Route(n, config.recipients(account, n)) for n in account.deliver_to)
    policy = Policy(
        deletes=account.mode == "delete",
        delete_after_s=account.delete_after_s,
        max_octets=account.max_octets,
        fetch_limit=account.fetch_limit,
        adopts=account.first_run == "adopt",
    )
    return Account(
        account.account_id,
        name,
        policy,
        routes,
        find_reverse_path=_reverse_path_finder(account, routes),
        trace=_trace(account) if account.trace else None,
    )


def _reverse_path_finder(
    account: AccountConfig, routes: tuple[Route, ...]
) -> Callable[[bytes], str]:
    if all(route.recipients == ("",) for route in routes):
        return lambda _head: ""  # nobody asks
    if account.reverse_path == "auto":
        return find_reverse_path
    fixed = account.reverse_path.strip("<>")
    return lambda _head: fixed


def _trace(account: AccountConfig) -> Callable[[str, float], bytes]:
    hostname = platform.node() or "localhost"
    protocol = "POP3" if account.tls == "none" else "POP3S"

    def trace(parcel: str, received_at: float) -> bytes:
        return format_trace(
            server=account.host,
            hostname=hostname,
            protocol=protocol,
            account=account.account_id,
            parcel=parcel,
            received_at=received_at,
        )

    return trace


def _pop3_settings(account: AccountConfig, config: Config, scratch: Scratch) -> Pop3Settings:
    return Pop3Settings(
        host=account.host,
        port=account.port,
        tls=_tls(account),
        user=account.user,
        password=_password(account.password, config),
        auth=account.auth,
        pipelining=account.pipelining,
        allow_plaintext=account.allow_plaintext,
        scratch=scratch,
        max_octets=account.max_octets,
    )


def _destination(name: str, config: Config, token: str, steps: DurableSteps) -> Destination:
    hostname = platform.node() or "localhost"
    match config.destinations[name]:
        case config_model.MaildirDestination(path=path):
            return MaildirDestination(name, path, token=token, hostname=hostname, steps=steps)
        case config_model.SmtpDestination() as smtp:
            return SmtpDestination(name, _smtp_settings(smtp, config, hostname))
        case config_model.LmtpDestination() as lmtp:
            return LmtpDestination(name, _lmtp_settings(lmtp, hostname))


def _smtp_settings(
    smtp: config_model.SmtpDestination, config: Config, hostname: str
) -> SmtpSettings:
    return SmtpSettings(
        host=smtp.host,
        port=smtp.port,
        tls=_tls(smtp),
        user=smtp.user,
        password=_password(smtp.password, config) if smtp.password else None,
        connections=smtp.connections,
        hello=hostname,
    )


def _lmtp_settings(lmtp: config_model.LmtpDestination, hostname: str) -> LmtpSettings:
    return LmtpSettings(
        socket=str(lmtp.socket or ""),
        host=lmtp.host,
        port=lmtp.port,
        connections=lmtp.connections,
        hello=hostname,
    )


def _tls(config: AccountConfig | config_model.SmtpDestination) -> TlsOptions:
    return TlsOptions(
        mode=config.tls,
        ca_file=str(config.ca_file) if config.ca_file else None,
        fingerprint=config.fingerprint,
    )


def _password(secret: Secret, config: Config) -> Callable[[], Awaitable[str]]:
    return partial(read_secret, secret, allow_group=config.allow_group)
