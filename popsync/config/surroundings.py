"""What the configuration relies on outside of itself: files, programs, variables, directories.

A daemon meets these when it needs them, and they may come and go; whoever checks a configuration
wants to know now. Nothing is run and nothing is made.
"""

import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from popsync.config.drafts import Drafts
from popsync.config.entry import Draft
from popsync.config.files import FileContent, FileRefused, read_regular_file
from popsync.config.find import default_state_dir
from popsync.config.problem import Problem
from popsync.config.secrets import (
    CommandSecret,
    CredentialSecret,
    LiteralSecret,
    Secret,
    read_kept_secret,
)
from popsync.errors import SecretUnavailable, TlsRefused
from popsync.net.tls import TlsOptions, client_context
from popsync.storage import is_mounted_read_only

MAX_PEM_OCTETS = 16 * 1024 * 1024
_EVERY_USER = 0o007


def find_missing(drafts: Drafts, environ: Mapping[str, str] = os.environ) -> Iterator[Problem]:
    """Give a problem for each thing that is not there, or not as it must be.

    What a disabled account needs is not looked for.
    """
    top = drafts.top.value
    looks: Mapping[str, Callable[[Any], str]] = {
        "password": partial(_look_at_secret, allow_group=top.allow_group, environ=environ),
        "ca_file": _look_at_authorities,
        "tls_cert": _look_at_file,
        "tls_key": _look_at_key,
        "path": _look_at_directory,
        "mailstore": _look_at_directory,
        "state_dir": _look_at_directory,
    }
    for draft in _in_use(drafts):
        for key, look in looks.items():
            value = getattr(draft.value, key, None)
            wrong = look(value) if value is not None and key not in draft.unsound else ""
            if wrong:
                yield draft.entry.problem(wrong, key)
    if top.state_dir is None:
        yield from _miss_default_state_dir(drafts.top.entry.source.path, environ)


def _in_use(drafts: Drafts) -> Iterator[Draft[Any]]:
    yield drafts.top
    yield from (draft for draft in drafts.accounts.values() if draft.value.enabled)
    yield from drafts.destinations.values()
    yield from drafts.mailboxes.values()
    yield drafts.server


def _miss_default_state_dir(main: Path, environ: Mapping[str, str]) -> Iterator[Problem]:
    state_dir = default_state_dir(environ)
    wrong = _look_at_directory(state_dir)
    if wrong:
        sentence = f"there is no state_dir, and {state_dir} {wrong}; write state_dir"
        yield Problem(main, sentence)


# Each look gives what is wrong, as a problem's sentence; empty when nothing is.


def _look_at_secret(secret: Secret, *, allow_group: bool, environ: Mapping[str, str]) -> str:
    if isinstance(secret, LiteralSecret):
        return ""
    if isinstance(secret, CommandSecret):
        program = secret.command[0]
        found = shutil.which(program, path=environ.get("PATH"))
        return "" if found else f"needs the program {program}, which cannot be found"
    if isinstance(secret, CredentialSecret) and "CREDENTIALS_DIRECTORY" not in environ:
        return ""  # nobody can tell outside of the service
    try:
        read_kept_secret(secret, allow_group=allow_group, environ=environ)
    except SecretUnavailable as refusal:
        return str(refusal)
    return ""


def _look_at_authorities(path: Path) -> str:
    wrong = _look_at_file(path)
    if wrong:
        return wrong
    try:
        client_context(TlsOptions(ca_file=str(path)))
    except TlsRefused:
        return f"{path} holds no certificate in PEM form"
    return ""


def _look_at_file(path: Path) -> str:
    return _read(path)[0]


def _look_at_key(path: Path) -> str:
    wrong, file = _read(path)
    if file and file.permissions & _EVERY_USER:
        return f"{path} is open to every user; run: chmod o= {shlex.quote(str(path))}"
    return wrong


def _read(path: Path) -> tuple[str, FileContent | None]:
    try:
        return "", read_regular_file(path, max_octets=MAX_PEM_OCTETS)
    except FileRefused as refusal:
        return f"{path} {refusal}", None


def _look_at_directory(path: Path) -> str:
    """See whether ``path`` is, or can be made, a directory that we may write to."""
    nearest = next(place for place in (path, *path.parents) if os.path.lexists(place))
    if not nearest.is_dir():
        return f"cannot be made: {nearest} is not a directory"
    if not os.access(nearest, os.W_OK | os.X_OK):
        if is_mounted_read_only(nearest):
            return f"cannot be used: the file system of {nearest} is mounted read-only"
        return f"cannot be used: no permission to write to {nearest}"
    return ""
