"""``popsync explain``: what became of one message."""

import time

import click

from popsync.cli.configuration import find_ledger
from popsync.cli.exit_codes import ExitCode
from popsync.cli.options import Command, json_option
from popsync.cli.story_text import format_story, stories_document
from popsync.cli.terminal import print_json
from popsync.ledger.opening import read_ledger


@click.command("explain", cls=Command)
@json_option
@click.argument("message", metavar="MESSAGE-ID")
def command(message: str, *, as_json: bool) -> int:
    """Tell the whole story of one message.

    MESSAGE-ID is what the message's header says, with or without angle brackets, or its unique-id
    on the server. All messages of that name are told. When the ledger knows none, the exit code is
    64. It reads the ledger and changes nothing.
    """
    state_dir, names = find_ledger()
    with read_ledger(state_dir) as ledger:
        stories = ledger.stories(message)
    if as_json:
        print_json(stories_document(stories, names))
    else:
        for story in stories:
            click.echo("\n".join(format_story(story, names, time.time())))
    if stories:
        return ExitCode.OK
    click.echo(f"popsync: the ledger knows no message {message!r}", err=True)
    return ExitCode.USAGE
