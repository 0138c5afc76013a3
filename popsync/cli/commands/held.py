"""``popsync held``: messages that no destination has taken, and what their owner wants done."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import click

from popsync.cli.configuration import find_ledger, find_state_dir
from popsync.cli.exit_codes import ExitCode
from popsync.cli.held_text import (
    format_held,
    format_held_message,
    held_document,
    read_fields,
)
from popsync.cli.options import CommandGroup, json_option
from popsync.cli.terminal import print_json
from popsync.cli.words import count
from popsync.errors import SpoolDamaged, escape
from popsync.ledger.assembly import open_ledger
from popsync.ledger.ledger import SqliteLedger
from popsync.ledger.opening import read_ledger
from popsync.ledger.reports import HeldDelivery
from popsync.model import MessageKey
from popsync.spool import read_spooled_head, remove_spooled


@click.group("held", cls=CommandGroup)
def command() -> None:
    """Look after messages that were set aside or wait here.

    A message is held when a destination refuses it for good, or when it is larger than max_size.
    It stays on the server and is never deleted there. What was retrieved and not delivered has a
    copy in the spool, and may wait there for a destination that will take it later.
    """


@command.command("list")
@json_option
def list_held(*, as_json: bool) -> None:
    """List what is held or waits in the spool, oldest first."""
    state_dir, names = find_ledger()
    rows = _read_held(state_dir)
    if as_json:
        print_json(held_document(rows, names))
    else:
        for line in format_held(rows, names, time.time()):
            click.echo(line)


@command.command("show")
@json_option
@click.argument("number", type=int, metavar="ID")
def show(number: int, *, as_json: bool) -> int:
    """Show all that is known of one message, with its header if it is in the spool."""
    state_dir, names = find_ledger()
    rows = [row for row in _read_held(state_dir) if row.id == number]
    if not rows:
        return _complain(number, "is not held")
    fields = _read_fields(state_dir, rows[0])
    if as_json:
        print_json(held_document(rows, names, fields))
    else:
        for line in format_held_message(rows, names, time.time(), fields):
            click.echo(line)
    return ExitCode.OK


@command.command("retry")
@click.option("--all", "everything", is_flag=True, help="Retry every held message.")
@click.argument("numbers", type=int, nargs=-1, metavar="[ID]...")
def retry(numbers: Sequence[int], *, everything: bool) -> int:
    """Have messages tried again at the next poll, whatever their size."""
    if not numbers and not everything:
        raise click.UsageError("Name at least one ID, or --all")
    state_dir = find_state_dir()
    chosen = [row.id for row in _read_held(state_dir)] if everything else numbers
    done = _change(state_dir, chosen, SqliteLedger.retry_held)
    if done:
        click.echo(f"{count(len(done), 'message')} will be tried again at the next poll")
    return _complain_about(chosen, done, "is not held")


@command.command("drop")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.argument("numbers", type=int, nargs=-1, required=True, metavar="ID...")
def drop(numbers: Sequence[int], *, yes: bool) -> int:
    """Give messages up: they are not delivered, and stay on the server if they are there."""
    state_dir = find_state_dir()
    rows = {row.id: row for row in _read_held(state_dir) if row.id in numbers}
    last = count(sum(row.left for row in rows.values()), "message")
    if not yes:
        question = f"Never deliver {count(len(set(numbers)), 'held message')}?"
        if any(row.left for row in rows.values()):
            question += f" The server does not show {last} any more: this deletes the last copy."
        if not click.confirm(question, err=True):
            click.echo("Nothing was given up")
            return ExitCode.OK
    done = _change(state_dir, numbers, SqliteLedger.drop_held)
    _remove_copies(state_dir, [row for row in rows.values() if row.id in done])
    if done:
        click.echo(f"{count(len(done), 'message')} given up; on the server nothing changes")
    return _complain_about(numbers, done, "is not held, or a destination may still take it")


def _read_held(state_dir: Path) -> Sequence[HeldDelivery]:
    with read_ledger(state_dir) as ledger:
        return ledger.held()


def _read_fields(state_dir: Path, row: HeldDelivery) -> Mapping[str, str] | None:
    """Give the fields of the header of a copy in the spool; None when there is none."""
    if row.digest is None or not row.spooled:
        return None
    key = MessageKey(row.account, row.unique_id, row.digest)
    with read_ledger(state_dir) as ledger:
        token = ledger.token()
    try:
        return read_fields(read_spooled_head(state_dir, token, key))
    except SpoolDamaged as error:
        click.echo(f"popsync: {escape(str(error), limit=500)}", err=True)
        return None


def _remove_copies(state_dir: Path, rows: Sequence[HeldDelivery]) -> None:
    """Take the copies of dropped messages away now; a daemon would do so at its next poll."""
    with read_ledger(state_dir) as ledger:
        token = ledger.token()
    for row in rows:
        if row.digest is not None and row.spooled:
            with suppress(OSError):
                key = MessageKey(row.account, row.unique_id, row.digest)
                remove_spooled(state_dir, token, key)


def _change(
    state_dir: Path,
    numbers: Sequence[int],
    change: Callable[[SqliteLedger, int], Awaitable[bool]],
) -> list[int]:
    """Apply a change to each message, beside a running popsync too; give those it worked for."""

    async def change_all() -> list[int]:
        ledger = await open_ledger(state_dir, beside_daemon=True)
        try:
            return [number for number in dict.fromkeys(numbers) if await change(ledger, number)]
        finally:
            await ledger.close()

    return asyncio.run(change_all()) if numbers else []


def _complain_about(numbers: Sequence[int], done: Sequence[int], what: str) -> int:
    codes = [_complain(number, what) for number in dict.fromkeys(numbers) if number not in done]
    return codes[0] if codes else ExitCode.OK


def _complain(number: int, what: str) -> int:
    click.echo(f"popsync: {number} {what}", err=True)
    return ExitCode.USAGE
