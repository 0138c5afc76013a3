"""Whether the files that hold passwords are closed to others."""

from collections.abc import Iterator

from popsync.config.entry import Entry
from popsync.config.gather import Gathered
from popsync.config.problem import Problem


def check_permissions(gathered: Gathered) -> Iterator[Problem]:
    """Give one problem for each file that holds a literal password and is open to others."""
    told = set()
    for entry in _entries(gathered):
        source = entry.source
        if source.path in told or not isinstance(entry.values.get("password"), str):
            continue
        allow_group = gathered.top.value.allow_group
        reason = source.file.distrust(source.path, allow_group=allow_group)
        if reason:
            told.add(source.path)
            yield entry.problem(f"stands in a file that {reason}", "password")


def _entries(gathered: Gathered) -> Iterator[Entry]:
    yield gathered.tables["defaults"]
    yield from gathered.accounts.values()
    yield from gathered.destinations.values()
    yield from gathered.mailboxes.values()
