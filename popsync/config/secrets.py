"""Where a password comes from, and how to get it. A literal one never shows in a repr.

No error holds any part of what a program, file or variable gave (P7).
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from popsync.config.checks import MAX_PASSWORD_OCTETS, check_text
from popsync.config.files import FileRefused, read_regular_file
from popsync.config.program import ProgramFailed, run_program
from popsync.errors import SecretUnavailable

MAX_SECRET_OCTETS = 64 * 1024
COMMAND_TIMEOUT_S = 30.0


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


KeptSecret = FileSecret | EnvSecret | CredentialSecret
Secret = LiteralSecret | CommandSecret | KeptSecret


def find_secret_file(secret: Secret, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Give the file that the password is read from; None when it comes from elsewhere."""
    match secret:
        case FileSecret(path):
            return path
        case CredentialSecret(name) if environ.get("CREDENTIALS_DIRECTORY"):
            return Path(environ["CREDENTIALS_DIRECTORY"], name)
        case _:
            return None


async def read_secret(
    secret: Secret,
    *,
    allow_group: bool = False,
    environ: Mapping[str, str] = os.environ,
    command_timeout_s: float = COMMAND_TIMEOUT_S,
) -> str:
    """Get the password, with one line end at its end cut off.

    allow_group: a password file may be readable by its group. Raises SecretUnavailable.
    """
    if isinstance(secret, LiteralSecret):
        return secret.value
    if isinstance(secret, CommandSecret):
        return await _read_command(secret.command, command_timeout_s)
    return await asyncio.to_thread(
        read_kept_secret, secret, allow_group=allow_group, environ=environ
    )


def read_kept_secret(
    secret: KeptSecret, *, allow_group: bool, environ: Mapping[str, str] = os.environ
) -> str:
    """Get a password that lies somewhere, without running anything. Blocks.

    Otherwise as ``read_secret``.
    """
    match secret:
        case EnvSecret(name):
            return _check(_read_variable(name, environ), f"environment variable {name}")
        case FileSecret(path):
            return _read_file(path, allow_group=allow_group)
        case CredentialSecret(name):
            directory = _read_variable("CREDENTIALS_DIRECTORY", environ)
            return _read_credential(Path(directory, name))


def _read_variable(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise SecretUnavailable(f"environment variable {name} is not set")
    return environ[name]


async def _read_command(command: tuple[str, ...], timeout_s: float) -> str:
    who = f'password command "{command[0]}"'
    try:
        output = await run_program(command, max_octets=MAX_SECRET_OCTETS, timeout_s=timeout_s)
    except ProgramFailed as failure:
        raise SecretUnavailable(f"{who} {failure}") from None
    return _decode(output, who)


def _read_file(path: Path, *, allow_group: bool) -> str:
    who = f"password file {path}"
    try:
        content = read_regular_file(path, max_octets=MAX_SECRET_OCTETS)
    except FileRefused as refusal:
        raise SecretUnavailable(f"{who} {refusal}") from None
    reason = content.distrust(path, allow_group=allow_group)
    if reason:
        raise SecretUnavailable(f"{who} {reason}")
    return _decode(content.octets, who)


def _read_credential(path: Path) -> str:
    """Read what the service manager put there; its permissions are the manager's business."""
    who = f"credential {path}"
    try:
        return _decode(read_regular_file(path, max_octets=MAX_SECRET_OCTETS).octets, who)
    except FileRefused as refusal:
        raise SecretUnavailable(f"{who} {refusal}") from None


def _decode(octets: bytes, who: str) -> str:
    text = None
    with suppress(UnicodeDecodeError):
        text = octets.decode()
    if text is None:
        raise SecretUnavailable(f"{who} gave something that is not UTF-8 text")
    return _check(text.removesuffix("\n").removesuffix("\r"), who)


def _check(password: str, who: str) -> str:
    try:
        check_text(password)
    except ValueError as error:
        raise SecretUnavailable(f"{who} gave a password that {error}") from None
    if len(password.encode("utf-8", "surrogateescape")) > MAX_PASSWORD_OCTETS:
        raise SecretUnavailable(f"{who} gave more than {MAX_PASSWORD_OCTETS} octets")
    return password
