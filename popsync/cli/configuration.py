"""The configuration that a command works with, and which of its accounts."""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import click

from popsync.cli.options import invocation
from popsync.cli.whereabouts import find_whereabouts
from popsync.config.files import FileRefused, read_regular_file
from popsync.config.find import config_places, default_state_dir, find_config
from popsync.config.load import load_config
from popsync.config.model import Config
from popsync.config.source import MAX_FILE_OCTETS
from popsync.errors import ConfigError
from popsync.model import AccountId

_STATE_DIR = re.compile(r"^state_dir[ \t]*=[ \t]*(['\"])(.+?)\1", re.MULTILINE)
"""Finds it in a file that is not even TOML at the moment."""


def load_invoked_config() -> Config:
    """Load the file that the command line, the environment or custom names.

    Raises ConfigError with every problem in it.
    """
    return load_config(find_config(invocation().config, os.environ))


def load_checked_config(path: Path | None = None) -> Config:
    """Load the same file, or the one at ``path``, and look at all that it relies on.

    Raises ConfigError with every problem in it and around it.
    """
    from popsync.config.surroundings import find_missing  # noqa: PLC0415 - not for other commands

    return load_config(
        path or find_config(invocation().config, os.environ), os.environ, searches=[find_missing]
    )


def find_state_dir() -> Path:
    """Give where the same file keeps its state, also when much of the file is a mistake.

    Whoever asks a running popsync needs no more. When none runs there it is where one runs that
    was started with this file, whatever has become of the file since. Raises ConfigError when
    there is no file and none runs.
    """
    from popsync.agent.control import SOCKET_NAME  # noqa: PLC0415 - not for other commands

    try:
        usual = _usual_state_dir()
    except ConfigError:
        noted = _noted_state_dir()
        if noted is None:
            raise
        return noted
    lives_there = (usual / SOCKET_NAME).exists()
    return usual if lives_there else _noted_state_dir() or usual


def _noted_state_dir() -> Path | None:
    places = config_places(invocation().config, os.environ)
    return next(filter(None, map(find_whereabouts, places)), None)


class LedgerPlace(NamedTuple):
    """Where the ledger lies, and what its accounts are called."""

    state_dir: Path
    names: Mapping[AccountId, str]
    """Of the accounts that are configured now."""


def find_ledger() -> LedgerPlace:
    """Give where the same file keeps its ledger; while it cannot be used, accounts have no names.

    Raises ConfigError when there is no file, and no daemon that knows.
    """
    try:
        config = load_invoked_config()
    except ConfigError:
        state_dir = find_state_dir()
        said = "popsync: the configuration cannot be used, so accounts are called by their ids"
        click.echo(said, err=True)
        return LedgerPlace(state_dir, {})
    names = {account.account_id: name for name, account in config.accounts.items()}
    return LedgerPlace(config.state_dir, names)


def _usual_state_dir() -> Path:
    path = find_config(invocation().config, os.environ).absolute()
    written = _read_state_dir(path)
    return path.parent / Path(written).expanduser() if written else default_state_dir(os.environ)


def _read_state_dir(path: Path) -> str:
    """Give ``state_dir`` as it is written, or nothing."""
    try:
        file = read_regular_file(path, max_octets=MAX_FILE_OCTETS)
    except FileRefused:
        return ""
    text = file.octets.decode("utf-8", "replace")
    try:
        written = tomllib.loads(text).get("state_dir")
    except tomllib.TOMLDecodeError:
        found = _STATE_DIR.search(text)
        written = found[2] if found else None
    return written if isinstance(written, str) else ""


def complete_account(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Give the accounts that a shell may offer; none when the configuration has a mistake."""
    try:
        with ctx.scope(cleanup=False):
            config = load_invoked_config()
    except ConfigError:
        return []
    return [name for name in config.accounts if name.startswith(incomplete)]


accounts_argument = click.argument(
    "accounts", nargs=-1, metavar="[ACCOUNT]...", shell_complete=complete_account
)
"""Names of accounts, or patterns, or nothing."""


def choose_accounts(config: Config, patterns: Sequence[str]) -> list[str]:
    """Give the accounts that the user means, in file order: names, or globs such as ``work-*``.

    Without patterns all enabled ones are meant; a disabled one must be named. Raises
    click.UsageError when a pattern fits none.
    """
    if not patterns:
        return [name for name, account in config.accounts.items() if account.enabled]
    return match_names(config.accounts, patterns)


def match_names(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Give the names that fit any of the patterns. Raises click.UsageError when one fits none."""
    known, wanted = list(names), list(patterns)
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise click.UsageError(_describe_stranger(pattern, known))
    return [name for name in known if any(fnmatchcase(name, pattern) for pattern in wanted)]


def match_account(
    names: Mapping[AccountId, str], known: Iterable[AccountId], wanted: str
) -> AccountId:
    """Give the account that is called ``wanted``, or has that id; one that was taken out, too.

    known: the ids that the ledger remembers. Raises click.UsageError.
    """
    named = {name: account for account, name in names.items()}
    ids = {str(account): account for account in (*known, *names)}
    found = named.get(wanted, ids.get(wanted))
    if found is None:
        raise click.UsageError(_describe_stranger(wanted, [*named, *ids.keys() - names.keys()]))
    return found


def _describe_stranger(pattern: str, names: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - for a mistake alone

    near = get_close_matches(pattern, names, n=1)
    known = ", ".join(names) or "none"
    return f"No account {pattern!r}, " + (
        f"did you mean {near[0]!r}?" if near else f"there is: {known}"
    )
