"""Reads the configuration: every error at once, else nothing but final values."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from popsync.config.drafts import Drafts, draft_all
from popsync.config.find import default_state_dir, find_config
from popsync.config.gather import Gathered, gather
from popsync.config.model import AccountConfig, Config
from popsync.config.permission import check_permissions
from popsync.config.problem import Problem
from popsync.config.rules import break_rules, resolve_destinations
from popsync.config.source import SourceRefused, read_source
from popsync.errors import ConfigError

__all__ = ["find_config", "load_config"]

_EMPTY = "is empty; put an account into it, popsync init writes one"
"""Half-written files look like that, and must not take all accounts away (P5)."""

Search = Callable[[Drafts, Mapping[str, str]], Iterable[Problem]]
"""Finds further problems, given the environment."""


def load_config(
    path: Path, environ: Mapping[str, str] = os.environ, *, searches: Iterable[Search] = ()
) -> Config:
    """Read ``path`` and what it includes; ``environ`` says where state is kept by default.

    searches: what else to look for, beside what the files themselves say.
    Raises ConfigError with all that is wrong, in the order of files and lines, each as
    ``file:line:column: key: what to do`` with the line at fault, never with a secret.
    """
    try:
        main = read_source(path.absolute())
    except SourceRefused as refusal:
        raise ConfigError(refusal.problem.format()) from None
    if not main.tables:
        raise ConfigError(Problem(main.path, _EMPTY).format())
    gathered = gather(main)
    drafts = draft_all(gathered)
    problems = [*gathered.problems, *drafts.problems]
    problems += [*break_rules(drafts), *check_permissions(gathered)]
    for search in searches:
        problems += search(drafts, environ)
    if problems:
        raise ConfigError(*_tell(problems, main.path))
    return _settle(gathered, drafts, environ)


def _tell(problems: Iterable[Problem], main: Path) -> list[str]:
    """Put the main file first; what several accounts inherit is told once."""
    in_order = sorted(
        dict.fromkeys(problems),
        key=lambda problem: (problem.file != main, problem.file, problem.line, problem.column),
    )
    return [problem.format() for problem in in_order]


def _settle(gathered: Gathered, drafts: Drafts, environ: Mapping[str, str]) -> Config:
    state_dir = drafts.top.value.state_dir or default_state_dir(environ)
    server = drafts.server.value
    mailboxes = {name: draft.value for name, draft in drafts.mailboxes.items()}
    mailstore = server.mailstore or state_dir / "mailstore"
    return Config(
        path=gathered.sources[0].path,
        state_dir=state_dir,
        accounts={n: _settle_account(d.value, drafts) for n, d in drafts.accounts.items()},
        destinations={name: draft.value for name, draft in drafts.destinations.items()},
        server=server.replace(mailbox=mailboxes, mailstore=mailstore),
        limits=drafts.limits.value,
        log=drafts.log.value,
        metrics=drafts.metrics.value,
        allow_group=drafts.top.value.allow_group,
        files=tuple(source.path for source in gathered.sources),
        include=gathered.globs,
    )


def _settle_account(account: AccountConfig, drafts: Drafts) -> AccountConfig:
    delete_after_s = account.delete_after_s if account.mode == "delete" else 0
    names = resolve_destinations(account, drafts)
    return account.replace(deliver_to=names, delete_after_s=delete_after_s)
