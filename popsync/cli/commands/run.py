"""``popsync run``: the daemon, in the foreground."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import click

from popsync.agent.allocator import bound_allocator
from popsync.agent.assembly import open_assembly
from popsync.agent.control import SOCKET_NAME
from popsync.agent.controller import Controller
from popsync.agent.events import AgentEvent, AgentObserver
from popsync.agent.supervisor import Supervisor
from popsync.cli.configuration import load_invoked_config
from popsync.cli.daemon_log import DaemonLog
from popsync.cli.exit_codes import ExitCode
from popsync.cli.logs import set_up_logs
from popsync.cli.options import Command, invocation
from popsync.cli.reloading import Reloading
from popsync.cli.service import Service
from popsync.cli.stopping import Stopping, run_stoppable
from popsync.cli.whereabouts import noting_whereabouts
from popsync.config.model import Config
from popsync.net.local import serve_local
from popsync.net.notify import find_service_manager
from popsync.poll.events import Event

POOL_THREADS = 64
"""Servers' names that may be looked up, and files that may be read, at a time."""

if TYPE_CHECKING:
    from popsync.cli.metrics import Metrics

NOTES_WAIT_S = 1.0
"""Polls that found nothing are noted together, once in this time."""


@click.command("run", cls=Command)
def command() -> int:
    """Poll accounts for ever, each in its own interval.

    It stays in the foreground; SIGTERM or Control-C ends it properly, a second one at once, and
    nothing is lost either way. An edited configuration takes effect at once; SIGHUP has it read
    again, SIGUSR1 has every account polled now.
    """
    bound_allocator()  # before there are threads
    config = load_invoked_config()
    set_up_logs(level=config.log.level, form=config.log.format, verbosity=invocation().verbosity)
    run_stoppable(partial(_run, config))
    return ExitCode.OK


async def _run(config: Config, stopping: Stopping) -> None:
    began_at = time.time()
    _widen_pool()
    log = DaemonLog()
    service = Service(find_service_manager())
    metrics = _make_metrics(config)
    observe = partial(_tell, [log, service, *([metrics] if metrics else [])])
    supervisor = Supervisor(stop=stopping, observe=observe)
    reloading = Reloading(config, supervisor.apply, log, announce=service.reloading)
    # From the beginning: until they are obeyed, these signals kill.
    with (
        noting_whereabouts(config.path, config.state_dir),
        _obeying({signal.SIGHUP: reloading.ask, signal.SIGUSR1: supervisor.poll_all}),
    ):
        async with (
            open_assembly(
                config, observe=observe, stopping=stopping, patience_s=NOTES_WAIT_S
            ) as assembly,
            reloading.at_work(),
            service.at_work(
                supervisor, stopping, is_config_refused=lambda: reloading.refused is not None
            ),
            _showing(metrics, config, supervisor, reloading),
            _taking_commands(config, Controller(supervisor, reloading, began_at=began_at), log),
        ):
            await supervisor.run(config, assembly.build_agent, assembly.memory, assembly.gates)


def _widen_pool() -> None:
    """Let names and passwords that are long in coming keep no other account waiting (P5).

    asyncio's own pool has a few threads for each processor; one that waits costs next to nothing.
    """
    pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="popsync-waits")
    asyncio.get_running_loop().set_default_executor(pool)


def _make_metrics(config: Config) -> "Metrics | None":
    """Give what counts for Prometheus; None, and nothing imported, where nobody asks."""
    if config.metrics.listen is None:
        return None
    from popsync.cli.metrics import Metrics  # noqa: PLC0415 - takes a while and some memory

    return Metrics(config.metrics.listen)


@asynccontextmanager
async def _showing(
    metrics: "Metrics | None", config: Config, supervisor: Supervisor, reloading: Reloading
) -> AsyncIterator[None]:
    """Serve ``metrics``, if there are any, as long as the block lasts."""
    if metrics is None:
        yield
        return
    from popsync.cli.metrics import showing_figures  # noqa: PLC0415 - as above

    async with showing_figures(metrics, config.state_dir, supervisor, reloading):
        yield


def _tell(observers: Iterable[AgentObserver], event: Event | AgentEvent) -> None:
    for observe in observers:
        observe(event)


@asynccontextmanager
async def _taking_commands(
    config: Config, controller: Controller, log: DaemonLog
) -> AsyncIterator[None]:
    """Do what other commands ask, as long as the block lasts; polling goes on without, too."""
    async with AsyncExitStack() as stack:
        try:
            path = config.state_dir / SOCKET_NAME
            await stack.enter_async_context(serve_local(path, controller.answer))
        except OSError as error:
            log.miss_commands(error)
        yield


@contextmanager
def _obeying(handlers: Mapping[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """Have each signal call its handler in the event loop, as long as the block lasts."""
    loop = asyncio.get_running_loop()
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
