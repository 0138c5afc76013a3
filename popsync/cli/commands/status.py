"""``popsync status``: how each account is doing, whether or not a popsync runs."""

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import click

from popsync.cli.configuration import find_state_dir, load_invoked_config
from popsync.cli.daemon import DaemonSeen, look_at_daemon
from popsync.cli.daemon_text import daemon_document, format_daemon
from popsync.cli.exit_codes import ExitCode
from popsync.cli.options import Command, invocation, json_option
from popsync.cli.status_text import (
    AccountStatus,
    format_status,
    join_polled,
    join_status,
    status_document,
)
from popsync.cli.terminal import print_json, terminal_width
from popsync.errors import ConfigError
from popsync.ledger.opening import read_ledger

WATCH_EVERY_S = 2.0


@click.command("status", cls=Command)
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Control-C.")
@json_option
def command(*, watch: bool, as_json: bool) -> int:
    """Say how the daemon and each account are doing.

    For each account: when it was last polled and will be next, how many messages today and all
    days brought, how many wait for another attempt or are held, and, when its polls fail, why and
    since when. It changes nothing, and works without a daemon from the ledger alone.

    With --quiet it prints nothing and only looks at the daemon, for health checks: exit code 0
    when it runs and polls as planned, whatever its accounts meet; else 69.

    With --watch and --json each line is one JSON document.
    """
    if invocation().verbosity < 0:
        return _check_health()
    if not watch:
        look = _look()
        if as_json:
            print_json(_document(look))
        else:
            _print(look)
    else:
        with suppress(KeyboardInterrupt):
            _watch(as_json=as_json)
    return ExitCode.OK


class _Look(NamedTuple):
    """All there is to see at one moment."""

    seen: DaemonSeen
    rows: Sequence[AccountStatus]
    now: float


def _check_health() -> ExitCode:
    overview = look_at_daemon(find_state_dir()).overview
    return ExitCode.OK if overview is not None and overview.moving else ExitCode.UNAVAILABLE


def _look() -> _Look:
    """Look at daemon and ledger; broken files are no obstacle while a daemon runs.

    Raises ConfigError when none does, LedgerError.
    """
    try:
        config = load_invoked_config()
    except ConfigError:
        state_dir = find_state_dir()
        seen = look_at_daemon(state_dir)
        if seen.overview is None:
            raise
        with read_ledger(state_dir) as ledger:
            return _Look(seen, join_polled(seen.overview.accounts, ledger.accounts()), time.time())
    state_dir = find_state_dir()
    seen = look_at_daemon(state_dir)
    with read_ledger(state_dir) as ledger:
        live = seen.overview.accounts if seen.overview else ()
        return _Look(seen, join_status(config.accounts, ledger.accounts(), live), time.time())


def _document(look: _Look) -> dict[str, Any]:
    return daemon_document(look.seen) | status_document(look.rows, look.now)


def _print(look: _Look) -> None:
    for line in _format(look):
        click.echo(line)


def _format(look: _Look) -> list[str]:
    table = format_status(look.rows, look.now, width=terminal_width())
    return [*format_daemon(look.seen, look.now), "", *table]


def _watch(*, as_json: bool) -> None:
    """Show it again and again: in place on a terminal, one after the other elsewhere."""
    while as_json:
        print_json(_document(_look()), in_one_line=True)
        time.sleep(WATCH_EVERY_S)
    if not sys.stdout.isatty():
        while True:
            _print(_look())
            click.echo()
            time.sleep(WATCH_EVERY_S)
    from rich.live import Live  # noqa: PLC0415 - for terminals alone
    from rich.text import Text  # noqa: PLC0415

    with Live(auto_refresh=False) as live:
        while True:
            live.update(Text("\n".join(_format(_look()))), refresh=True)
            time.sleep(WATCH_EVERY_S)
