"""``popsync reload``: has the running daemon read its configuration again."""

from collections.abc import Iterator

import click

from popsync.agent.control import AskReload, Reread
from popsync.cli.configuration import find_state_dir
from popsync.cli.daemon import ask_daemon
from popsync.cli.daemon_log import NEEDS_RESTART
from popsync.cli.options import Command, invocation
from popsync.config.diff import ConfigChanges

_PATIENCE_S = 120.0
"""Thousands of accounts are read in seconds; a file may hang on a slow disk."""


@click.command("reload", cls=Command)
def command() -> None:
    """Have the running popsync read its configuration again.

    It does so by itself when a file is edited; this says what came of it, by name. A configuration
    with mistakes changes nothing: every mistake is shown, and the exit code is 78.
    """
    reread = ask_daemon(find_state_dir(), AskReload(), Reread, timeout_s=_PATIENCE_S)
    if invocation().verbosity >= 0:
        for line in _describe(reread.changes):
            click.echo(line)


def _describe(changes: ConfigChanges) -> Iterator[str]:
    """Give a line for each kind of change, by name."""
    if not changes:
        yield "nothing changed"
    for what, names in (("accounts", changes.accounts), ("destinations", changes.destinations)):
        for kind in ("added", "removed", "changed"):
            if chosen := getattr(names, kind):
                yield f"{what} {kind}: {', '.join(sorted(chosen))}"
    if changes.settings:
        yield f"settings changed: {', '.join(sorted(changes.settings))}"
    if waiting := changes.settings & NEEDS_RESTART:
        yield f"takes effect when popsync is started again: {', '.join(sorted(waiting))}"
