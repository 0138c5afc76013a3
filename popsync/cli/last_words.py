"""What is said when the process ends, in the form of its log where programs read that."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from popsync.cli.logs import Log


def say_why(text: str) -> None:
    """Say in one line on stderr why it ends, or how."""
    log = _machine_log()
    if log is None:
        click.echo(f"popsync: {text}", err=True)
    else:
        log.error(text)


def list_problems(problems: Sequence[str]) -> None:
    """Show every problem of a configuration, each with its place; a log gets their first lines."""
    log = _machine_log()
    if log is None:
        click.echo("\n".join(problems), err=True)
    else:
        for problem in problems:
            log.error(problem.partition("\n")[0])


def confess(bug: Exception) -> None:
    """Show a bug of ours with its traceback."""
    log = _machine_log()
    if log is None:
        traceback.print_exception(bug)
        click.echo("popsync: this is a bug of popsync, please report it", err=True)
    else:
        log.error("this is a bug of popsync, please report it", exc_info=bug)


def _machine_log() -> Log | None:
    from popsync.cli.logs import Log  # noqa: PLC0415 - most commands end without a word

    arrangement = Log.arrangement
    return Log() if arrangement is not None and arrangement.form == "json" else None
