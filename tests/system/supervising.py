"""A daemon's decisions within reach of a test: everything is real but the process around it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from popsync.agent.assembly import open_assembly
from popsync.agent.events import AgentEvent
from popsync.agent.supervisor import Supervisor
from popsync.config.model import Config
from popsync.poll.events import Event
from tests.doubles.supervision import AskedStop


@dataclass
class Bench:
    """A daemon at work whose clock for stuck polls is set forward by hand."""

    ahead_s: float = 0.0
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    events: "asyncio.Queue[Event | AgentEvent]" = field(default_factory=asyncio.Queue)

    def monotonic(self) -> float:
        """Give the time."""
        return time.monotonic() + self.ahead_s

    async def next_event(self, kind: type) -> Event | AgentEvent:
        """Give the next one of this kind."""
        while not isinstance(event := await self.events.get(), kind):
            pass
        return event


@asynccontextmanager
async def supervising(config: Config, bench: Bench) -> AsyncIterator[Supervisor]:
    """Run a supervisor over everything that is real."""
    stop = AskedStop()
    observe = bench.events.put_nowait
    async with open_assembly(config, observe=observe, stopping=stop) as assembly:
        supervisor = Supervisor(stop=stop, observe=observe, monotonic=bench.monotonic)
        running = asyncio.create_task(
            supervisor.run(config, assembly.build_agent, assembly.memory, assembly.gates)
        )
        try:
            yield supervisor
        finally:
            stop.ask()
            await running
