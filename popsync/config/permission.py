"""Whether a file that holds secrets may be trusted."""

import os
from collections.abc import Iterator

from popsync.config.entry import Entry
from popsync.config.gather import Gathered
from popsync.config.problem import Problem

_OTHERS = 0o077
_OTHERS_BUT_GROUP_READS = 0o037


def distrust(permissions: int, owner: int, *, allow_group: bool) -> str:
    """Say why a file cannot be trusted with a secret; empty when it can.

    ``permissions``: the low twelve bits of its mode. A file of root's is as good as our own.
    """
    if owner not in {0, os.geteuid()}:
        return f"belongs to another user (id {owner})"
    if permissions & (_OTHERS_BUT_GROUP_READS if allow_group else _OTHERS):
        return f"can be read or changed by others (mode {permissions:04o})"
    return ""


def check_permissions(gathered: Gathered) -> Iterator[Problem]:
    """Give one problem for each file that holds a literal password and is open to others."""
    told = set()
    for entry in _entries(gathered):
        source = entry.source
        if source.path in told or not isinstance(entry.values.get("password"), str):
            continue
        allow_group = gathered.top.value.allow_group
        reason = distrust(source.permissions, source.owner, allow_group=allow_group)
        if reason:
            told.add(source.path)
            cure = f"chown it and chmod 600 {source.path}" if "belongs" in reason else ""
            yield entry.problem(
                f"stands in a file that {reason}; run: {cure or f'chmod 600 {source.path}'}",
                "password",
            )


def _entries(gathered: Gathered) -> Iterator[Entry]:
    yield gathered.tables["defaults"]
    yield from gathered.accounts.values()
    yield from gathered.destinations.values()
    yield from gathered.mailboxes.values()
