"""Where a password comes from. A literal one never shows in a repr."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LiteralSecret:
    """The password itself stands in the configuration."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CommandSecret:
    """A program prints it."""

    command: tuple[str, ...]
    """The program and its arguments; no shell is involved."""


@dataclass(frozen=True, slots=True)
class FileSecret:
    """A file holds it and nothing else."""

    file: Path


@dataclass(frozen=True, slots=True)
class EnvSecret:
    """An environment variable holds it."""

    env: str


@dataclass(frozen=True, slots=True)
class CredentialSecret:
    """The service manager left it in ``$CREDENTIALS_DIRECTORY`` (systemd's LoadCredential)."""

    credential: str


Secret = LiteralSecret | CommandSecret | FileSecret | EnvSecret | CredentialSecret
