"""``popsync log``: what was delivered."""

import click

from popsync.cli.configuration import complete_account, find_ledger, match_account
from popsync.cli.options import Command, json_option
from popsync.cli.story_text import delivered_document, format_delivered
from popsync.cli.terminal import print_json
from popsync.ledger.opening import read_ledger

MAX_SHOWN = 1_000_000_000
"""More than SQLite counts to would be a bug to it and not a mistake of the user's."""


@click.command("log", cls=Command)
@click.option(
    "-n",
    "--number",
    "most",
    type=click.IntRange(min=1, max=MAX_SHOWN),
    default=20,
    show_default=True,
    metavar="N",
    help="Show so many deliveries at most.",
)
@json_option
@click.argument("account", required=False, shell_complete=complete_account)
def command(account: str | None, most: int, *, as_json: bool) -> None:
    """List the last deliveries of one account or of all.

    The newest comes last. For each: when, account, unique-id, octets, Message-ID, destination and
    the destination's reply. It reads the ledger, which forgets a message 90 days after it left the
    server. An account that was taken out of the configuration goes by its id, user@host.
    """
    state_dir, names = find_ledger()
    with read_ledger(state_dir) as ledger:
        known = [report.account for report in ledger.accounts()] if account else []
        wanted = match_account(names, known, account) if account else None
        rows = ledger.delivered(wanted, most)
    if as_json:
        print_json(delivered_document(rows, names))
        return
    for row in rows:
        click.echo(format_delivered(row, names))
