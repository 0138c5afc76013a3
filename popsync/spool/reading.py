"""A look at a copy, for the operator: only its header, and whatever state it is in."""

import os
from pathlib import Path

from popsync.errors import SpoolDamaged
from popsync.model import MessageKey
from popsync.spool.spool import spooled_path
from popsync.storage import DurableSteps

MAX_HEAD_OCTETS = 64 * 1024


def read_spooled_head(state_dir: Path, token: str, message: MessageKey) -> bytes:
    """Give the first octets of a copy, enough for any sane header. Raises SpoolDamaged."""
    path = spooled_path(state_dir, token, message)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(MAX_HEAD_OCTETS)
    except OSError as error:
        words = f"the copy in the spool cannot be read: {path}: {error.strerror or error}"
        raise SpoolDamaged(words) from error


def remove_spooled(state_dir: Path, token: str, message: MessageKey) -> None:
    """Take a copy away that the operator has given up. Raises OSError, also when it is gone."""
    steps = DurableSteps()
    steps.unlink(spooled_path(state_dir, token, message))
