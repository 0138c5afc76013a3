"""``popsync pause``: has the running daemon leave accounts alone."""

from collections.abc import Sequence

import click

from popsync.agent.control import AskPause, Done
from popsync.cli.configuration import accounts_argument, find_state_dir
from popsync.cli.daemon import AT_ONCE_S, ask_daemon, choose_polled
from popsync.cli.options import Command, invocation


@click.command("pause", cls=Command)
@accounts_argument
def command(accounts: Sequence[str]) -> None:
    """Have the running popsync leave accounts alone.

    They are not polled until 'popsync resume'. Each ACCOUNT is a name, or a pattern such as
    'work-*'; without any, all are paused. A poll under way goes on to its end, and 'popsync poll'
    still polls a paused account. It stays paused when popsync is started again.
    """
    state_dir = find_state_dir()
    chosen = choose_polled(state_dir, accounts)
    ask_daemon(state_dir, AskPause(chosen), Done, timeout_s=AT_ONCE_S)
    if invocation().verbosity >= 0:
        click.echo(f"paused: {', '.join(chosen) or 'every account'}")
