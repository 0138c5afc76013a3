"""``popsync resume``: has the running daemon poll paused and suspended accounts again."""

from collections.abc import Sequence

import click

from popsync.agent.control import AskResume, Done
from popsync.cli.configuration import accounts_argument, find_state_dir
from popsync.cli.daemon import AT_ONCE_S, ask_daemon, choose_polled
from popsync.cli.options import Command, invocation


@click.command("resume", cls=Command)
@accounts_argument
def command(accounts: Sequence[str]) -> None:
    """Have the running popsync poll accounts again.

    Those that are paused or suspended are polled now, and then as planned. Each ACCOUNT is a name,
    or a pattern such as 'work-*'; without any, all are resumed.
    """
    state_dir = find_state_dir()
    chosen = choose_polled(state_dir, accounts)
    ask_daemon(state_dir, AskResume(chosen), Done, timeout_s=AT_ONCE_S)
    if invocation().verbosity >= 0:
        click.echo(f"resumed: {', '.join(chosen) or 'every account'}")
