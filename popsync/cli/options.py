"""The options that every command takes, before its name or after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import click

_CONFIG = "popsync.config"
_VERBOSITY = "popsync.verbosity"


class Invocation(NamedTuple):
    """What was asked for by global options."""

    config: Path | None
    """None when no file was named on the command line."""
    verbosity: int
    """0 as usual; each ``-v`` adds one, each ``-q`` takes one."""


def invocation() -> Invocation:
    """Give the global options of the command that runs now."""
    meta = click.get_current_context().meta
    return Invocation(meta.get(_CONFIG), meta.get(_VERBOSITY, 0))


def _note_config(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.meta[_CONFIG] = value


def _louder(ctx: click.Context, _param: click.Parameter, value: int) -> None:
    ctx.meta[_VERBOSITY] = ctx.meta.get(_VERBOSITY, 0) + value


def _quieter(ctx: click.Context, _param: click.Parameter, value: int) -> None:
    ctx.meta[_VERBOSITY] = ctx.meta.get(_VERBOSITY, 0) - value


def global_options() -> list[click.Parameter]:
    """Make the options afresh: click keeps per-command state in them."""
    return [
        click.Option(
            ["-c", "--config"],
            type=click.Path(path_type=Path, readable=False),
            metavar="FILE",
            expose_value=False,
            callback=_note_config,
            help="Read this configuration and no other.",
        ),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            callback=_louder,
            help="Say more; twice for everything.",
        ),
        click.Option(
            ["-q", "--quiet"],
            count=True,
            expose_value=False,
            callback=_quieter,
            help="Say only what went wrong; twice for nothing.",
        ),
    ]


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document with stable keys."
)
"""What every reading command takes."""


class Command(click.Command):
    """A command that takes the global options besides its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(global_options())


class CommandGroup(click.Group):
    """A command with commands of its own, which take the global options."""

    command_class = Command
