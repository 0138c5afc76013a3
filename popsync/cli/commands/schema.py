"""``popsync schema``: for editors that complete and check TOML."""

import json

import click

from popsync.cli.options import Command
from popsync.config.schema import json_schema


@click.command("schema", cls=Command)
def command() -> None:
    """Print the JSON Schema of the configuration.

    An editor uses it to complete keys and to mark mistakes. Save it beside the configuration and
    put "#:schema ./popsync.schema.json" on the file's first line.
    """
    click.echo(json.dumps(json_schema(), indent=2))
