"""The configuration that a command works with, and which of its accounts."""

import os
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

import click

from popsync.cli.options import invocation
from popsync.config.load import find_config, load_config
from popsync.config.model import Config


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


def choose_accounts(config: Config, patterns: Sequence[str]) -> list[str]:
    """Give the accounts that the user means, in file order: names, or globs such as ``work-*``.

    Without patterns all enabled ones are meant; a disabled one must be named. Raises
    click.UsageError when a pattern fits none.
    """
    if not patterns:
        return [name for name, account in config.accounts.items() if account.enabled]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in config.accounts):
            raise click.UsageError(_describe_stranger(pattern, config.accounts))
    return [
        name for name in config.accounts if any(fnmatchcase(name, pattern) for pattern in patterns)
    ]


def _describe_stranger(pattern: str, names: Iterable[str]) -> str:
    near = get_close_matches(pattern, names, n=1)
    known = ", ".join(names) or "none"
    return f"No account {pattern!r}, " + (
        f"did you mean {near[0]!r}?" if near else f"there is: {known}"
    )
