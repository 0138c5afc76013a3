"""``popsync status``: how each account is doing, whether or not a popsync runs."""

import time

import click

from popsync.cli.configuration import load_invoked_config
from popsync.cli.options import Command, json_option
from popsync.cli.status_text import format_status, join_status, status_document
from popsync.cli.terminal import print_json, terminal_width
from popsync.ledger.opening import read_ledger


@click.command("status", cls=Command)
@json_option
def command(*, as_json: bool) -> None:
    """Say how each account is doing.

    For each account: when it was last polled, how many messages that brought and how many all
    polls together, how many wait for another attempt or are held, and, when its polls fail, why
    and since when. It reads the ledger and changes nothing.
    """
    config = load_invoked_config()
    with read_ledger(config.state_dir) as ledger:
        rows = join_status(config.accounts, ledger.accounts())
    if as_json:
        print_json(status_document(rows))
    else:
        for line in format_status(rows, time.time(), width=terminal_width()):
            click.echo(line)
