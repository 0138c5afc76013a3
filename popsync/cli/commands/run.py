"""``popsync run``: the daemon, in the foreground."""

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from popsync.agent.assembly import open_assembly
from popsync.agent.supervisor import Supervisor
from popsync.cli.configuration import load_invoked_config
from popsync.cli.daemon_log import DaemonLog
from popsync.cli.exit_codes import ExitCode
from popsync.cli.logs import set_up_logs
from popsync.cli.options import Command, invocation
from popsync.cli.stopping import Stopping, run_stoppable
from popsync.config.load import load_config
from popsync.config.model import Config


@click.command("run", cls=Command)
def command() -> int:
    """Poll accounts for ever, each in its own interval.

    It stays in the foreground; SIGTERM or Control-C ends it properly, a second one at once, and
    nothing is lost either way. SIGHUP has it read its configuration again, SIGUSR1 has it poll
    every account now.
    """
    config = load_invoked_config()
    set_up_logs(level=config.log.level, form=config.log.format, verbosity=invocation().verbosity)
    run_stoppable(partial(_run, config))
    return ExitCode.OK


async def _run(config: Config, stopping: Stopping) -> None:
    log = DaemonLog()
    async with open_assembly(config, observe=log, stopping=stopping) as assembly:
        supervisor = Supervisor(assembly.build_agent, stop=stopping, observe=log)
        reloading = Reloading(config.path, supervisor, log)
        on_signal = {signal.SIGHUP: reloading.ask, signal.SIGUSR1: supervisor.poll_all}
        with _obeying(on_signal):
            reloads = asyncio.create_task(reloading.run())
            try:
                await supervisor.run(config)
            finally:
                reloads.cancel()


class Reloading:
    """Reads the configuration again when asked; asked often meanwhile, once more."""

    def __init__(self, path: Path, supervisor: Supervisor, log: DaemonLog) -> None:
        self._path = path
        self._supervisor = supervisor
        self._log = log
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Have it read soon."""
        self._asked.set()

    async def run(self) -> None:
        """Reload when asked, until cancelled; a file with mistakes changes nothing (P5)."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                config = await asyncio.to_thread(load_config, self._path)
                await self._supervisor.apply(config)
            except Exception as error:  # noqa: BLE001 - no edit ever stops the daemon (P5)
                self._log.refuse_config(error)


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
