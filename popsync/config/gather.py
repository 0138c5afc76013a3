"""Reads the main file and those it includes, and lists the tables that they hold."""

import glob
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from popsync.config.entry import Draft, Entry, draft_table
from popsync.config.model import ConfigFile
from popsync.config.problem import Problem, format_key
from popsync.config.source import Source, SourceRefused, read_source

_NAMED_TABLES = ("account", "destination")
_TABLES = (*_NAMED_TABLES, "defaults", "server", "limits", "log", "metrics")

_BLANK = "is empty, as half-written files are; remove it, or say in a comment why it is there"


@dataclass(frozen=True, slots=True)
class Gathered:
    """All files of one configuration, taken apart but not checked."""

    top: Draft[ConfigFile]
    """The keys above the first table; the tables themselves are elsewhere."""
    sources: list[Source]
    globs: tuple[str, ...]
    """What ``include`` says, absolute."""
    tables: dict[str, Entry] = field(default_factory=dict)
    """``defaults``, ``server``, ``limits``, ``log`` and ``metrics`` of the main file."""
    accounts: dict[str, Entry] = field(default_factory=dict)
    destinations: dict[str, Entry] = field(default_factory=dict)
    mailboxes: dict[str, Entry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def gather(main: Source) -> Gathered:
    """Take apart ``main`` and all that it includes; what is wrong goes to ``problems``."""
    keys = {key: value for key, value in main.tables.items() if key not in _TABLES}
    top = draft_table(ConfigFile, Entry(main, (), keys))
    base = Path(glob.escape(str(main.path.parent)))
    globs = tuple(str(base / pattern) for pattern in top.value.include)
    gathered = Gathered(top, [main], globs, problems=list(top.problems))
    _take_main_tables(gathered, main)
    _take_named_tables(gathered, main)
    for index, pattern in enumerate(globs):
        for path in _matches(gathered, index, pattern):
            _take_included(gathered, path)
    return gathered


def _take_main_tables(gathered: Gathered, main: Source) -> None:
    for name in ("defaults", "server", "limits", "log", "metrics"):
        values = _table(gathered, main, (name,), main.tables.get(name, {}))
        if name == "server":
            mailboxes = values.pop("mailbox", {})
            _take_named(gathered, gathered.mailboxes, main, ("server", "mailbox"), mailboxes)
        gathered.tables[name] = Entry(main, (name,), values)


def _take_named_tables(gathered: Gathered, source: Source) -> None:
    for kind, entries in (
        ("account", gathered.accounts),
        ("destination", gathered.destinations),
    ):
        _take_named(gathered, entries, source, (kind,), source.tables.get(kind, {}))


def _take_named(
    gathered: Gathered, entries: dict[str, Entry], source: Source, path: tuple[str, ...], raw: Any
) -> None:
    """Take the tables ``[path.NAME]``."""
    inherited = gathered.tables["defaults"] if path == ("account",) else None
    for name, content in _table(gathered, source, path, raw, named=True).items():
        if not isinstance(content, dict):
            where = format_key(path)
            sentence = f"must be a table; give it a name and write [{where}.NAME] above its keys"
            gathered.problems.append(source.problem((*path, name), sentence))
        elif name in entries:
            gathered.problems.append(_twice(source, (*path, name), entries[name]))
        else:
            entries[name] = Entry(source, (*path, name), content, inherited)


def _twice(source: Source, path: tuple[str, ...], first: Entry) -> Problem:
    line = first.source.place(first.path).line
    return source.problem(
        path, f"is defined twice; the other one is at {first.source.path}:{line}"
    )


def _table(
    gathered: Gathered, source: Source, path: tuple[str, ...], raw: Any, *, named: bool = False
) -> dict[str, Any]:
    if isinstance(raw, dict):
        return dict(raw)
    header = f"[{format_key(path)}{'.NAME' * named}]"
    sentence = f"must be a table; write {header} in single brackets on a line of its own"
    gathered.problems.append(source.problem(path, sentence))
    return {}


def _matches(gathered: Gathered, index: int, pattern: str) -> Iterator[Path]:
    """Give the files of one ``include``, in order, each but once."""
    paths = sorted(Path(path) for path in glob.glob(pattern))  # noqa: PTH207 - relative ones too
    if not paths and not glob.has_magic(gathered.top.value.include[index]):
        gathered.problems.append(gathered.top.entry.problem("no such file", "include", index))
    read = {source.path for source in gathered.sources}
    yield from (path for path in paths if path not in read)


def _take_included(gathered: Gathered, path: Path) -> None:
    try:
        source = read_source(path)
    except SourceRefused as refusal:
        gathered.problems.append(refusal.problem)
        return
    gathered.sources.append(source)
    if not source.text.strip():
        gathered.problems.append(Problem(path, _BLANK))
    for key in source.tables:
        if key not in _NAMED_TABLES:
            sentence = (
                f"belongs in {gathered.top.entry.source.path}; an included file holds only "
                "[account.NAME] and [destination.NAME]"
            )
            gathered.problems.append(source.problem((key,), sentence))
    _take_named_tables(gathered, source)
