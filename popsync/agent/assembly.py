"""The one place that knows every concrete class."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from popsync.agent.agent import Agent, AgentAccount
from popsync.agent.gates import Gate, Gates
from popsync.agent.limits import ConnectionLimits
from popsync.agent.translation import account_for, destination_for, pop3_settings_for
from popsync.config.model import Config
from popsync.destinations.maildir import MaildirDestination
from popsync.ledger import SqliteLedger, look_at_ledger, open_ledger
from popsync.maildrop.opening import connect_maildrop
from popsync.poll.allowance import Allowance
from popsync.poll.events import Observer
from popsync.poll.ports import Clock, Ports
from popsync.spool import LocalSpool
from popsync.storage import DurableSteps, Scratch, SharedSyncs

if TYPE_CHECKING:
    from popsync.agent.memory import StandingMemory
    from popsync.agent.translation import Destination


@asynccontextmanager
async def open_assembly(
    config: Config,
    *,
    observe: Observer,
    stopping: Callable[[], bool] = lambda: False,
    clock: Clock = time.time,
    steps: DurableSteps | None = None,
    looks_only: bool = False,
    patience_s: float = 0.0,
) -> AsyncIterator["Assembly"]:
    """Open the ledger of ``config``; on leaving, connections and ledger are closed.

    stopping: once it gives True, polls finish what is in hand and begin nothing new.
    looks_only: nothing can be polled and nothing changes on disk, so it may be opened beside a
    popsync that polls, and by anybody who may read.
    patience_s: how long what a poll that found nothing came to may wait to be written.
    Raises LedgerLocked, LedgerCorrupt, LedgerUnavailable.
    """
    steps = steps or DurableSteps()
    async with AsyncExitStack() as stack:
        if looks_only:
            ledger = await look_at_ledger(config.state_dir, clock=clock)
        else:
            ledger = await open_ledger(
                config.state_dir, steps=steps, clock=clock, patience_s=patience_s
            )
        stack.push_async_callback(ledger.close)
        scratch, syncs = Scratch(config.state_dir), SharedSyncs(steps)
        spool = LocalSpool(
            config.state_dir,
            token=ledger.token,
            scratch=scratch,
            max_octets=config.limits.spool_octets,
            steps=steps,
            syncs=syncs,
        )
        world = _World(ledger, spool, scratch, observe, stopping, clock, steps, syncs)
        assembly = Assembly(world, sweeps=not looks_only)
        stack.push_async_callback(assembly.close)
        yield assembly


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
    """Give all accounts of ``config``, ready, for a command that never reloads it.

    Takes and raises what ``open_assembly`` does.
    """
    async with open_assembly(
        config,
        observe=observe,
        stopping=stopping,
        clock=clock,
        steps=steps,
        looks_only=looks_only,
    ) as assembly:
        yield await assembly.build_agent(config)


@dataclass(frozen=True, slots=True)
class _World:
    """What all accounts share, whatever the configuration becomes."""

    ledger: SqliteLedger
    spool: LocalSpool
    scratch: Scratch
    observe: Observer
    stopping: Callable[[], bool]
    clock: Clock
    steps: DurableSteps
    syncs: SharedSyncs
    allowance: Allowance = field(default_factory=Allowance)


class Assembly:
    """Builds an agent for each configuration in turn, over one ledger.

    A destination or limit that a new configuration does not change is used again, with its open
    connections. What it replaces serves the polls under way to their end.
    """

    def __init__(self, world: _World, *, sweeps: bool) -> None:
        self._world = world
        self._sweeps = sweeps
        self._config: Config | None = None
        self._destinations: Mapping[str, Destination] = {}
        self.gates = Gates(world.clock)
        """What every account's deliveries go through."""
        self._retired: list[Destination] = []
        self._limits: ConnectionLimits | None = None

    @property
    def memory(self) -> "StandingMemory":
        """What a supervisor remembers over a restart."""
        return self._world.ledger

    async def build_agent(self, config: Config) -> Agent:
        """Give all accounts of ``config``, ready. Raises LedgerUnavailable, the first time."""
        destinations = {name: self._destination(name, config) for name in config.destinations}
        gates = await self.gates.put_before(destinations)
        if self._sweeps:
            self._sweeps = False
            await _sweep(destinations, gates, self._world)
        accounts = {
            name: _agent_account(name, config, gates, self._world) for name in config.accounts
        }
        limits = self._limits_for(config)
        self._world.spool.max_octets = config.limits.spool_octets
        replaced = [d for n, d in self._destinations.items() if destinations.get(n) is not d]
        self._config, self._destinations, self._limits = config, destinations, limits
        self._retired += replaced
        await _close(replaced)
        return Agent(accounts, destinations, limits)

    async def close(self) -> None:
        """Part from all destinations; nothing polls any more."""
        await self.gates.close()
        await _close([*self._retired, *self._destinations.values()])

    def _destination(self, name: str, config: Config) -> "Destination":
        old = self._config
        if (
            old is not None
            and old.destinations.get(name) == config.destinations[name]
            and old.allow_group == config.allow_group
        ):
            return self._destinations[name]
        world = self._world
        token, stopping = world.ledger.token, world.stopping
        return destination_for(name, config, token, world.steps, world.syncs, stopping=stopping)

    def _limits_for(self, config: Config) -> ConnectionLimits:
        if self._limits is not None and self._config and self._config.limits == config.limits:
            return self._limits
        return ConnectionLimits(
            connections=config.limits.connections,
            connections_per_host=config.limits.connections_per_host,
        )


async def _close(destinations: Iterable["Destination"]) -> None:
    """Part from idle servers; a connection that is in use is kept and can be closed later."""
    for destination in destinations:
        if not isinstance(destination, MaildirDestination):
            await destination.close()


async def _sweep(
    destinations: Mapping[str, "Destination"], gates: Mapping[str, Gate], world: _World
) -> None:
    """Remove the files that a crash left half written; what is staged stays for recovery.

    Nothing is delivered where that is still going on: it would be taken for what a crash left.
    """
    await world.spool.open(await world.ledger.all_spooled())
    staged = await world.ledger.staged_names()
    maildirs = {n: d for n, d in destinations.items() if isinstance(d, MaildirDestination)}
    await asyncio.gather(*(gates[n].prepare(d.sweep(staged)) for n, d in maildirs.items()))


def _agent_account(
    name: str, config: Config, destinations: Mapping[str, Gate], world: _World
) -> AgentAccount:
    """Bind one account to everything its polls touch."""
    account = config.accounts[name]
    ports = Ports(
        open_maildrop=partial(connect_maildrop, pop3_settings_for(account, config, world.scratch)),
        destinations={target: destinations[target] for target in account.deliver_to},
        ledger=world.ledger,
        spool=world.spool,
        clock=world.clock,
        observe=world.observe,
        stopping=world.stopping,
        allowance=world.allowance,
    )
    polled = account_for(name, account, config, world.ledger.token)
    return AgentAccount(polled, ports, account.host)
