"""Reads the key ``password``: a text, or a table that says where the password is kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from popsync.config.checks import MAX_PASSWORD_OCTETS, check_text
from popsync.config.secrets import (
    CommandSecret,
    CredentialSecret,
    EnvSecret,
    FileSecret,
    LiteralSecret,
    Secret,
)

_KINDS = ("command", "file", "env", "credential")
_ADVICE = (
    'write a text, or one of { command = ["pass", "show", "mail"] }, '
    '{ file = "mail.password" }, { env = "MAIL_PASSWORD" }, { credential = "mail" }'
)

SECRET_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        *(
            {
                "type": "object",
                "properties": {kind: schema},
                "required": [kind],
                "additionalProperties": False,
            }
            for kind, schema in {
                "command": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "file": {"type": "string"},
                "env": {"type": "string"},
                "credential": {"type": "string"},
            }.items()
        ),
    ]
}


def parse_secret(value: object, expand: Callable[[str], Path]) -> Secret:
    """Give where the password comes from; ``expand`` makes a path of a file's name.

    Raises ValueError with a sentence for the user, which never holds any part of the value.
    """
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return LiteralSecret(_check_password(value))
    if not isinstance(value, dict):
        raise ValueError(f"must say where the password is; {_ADVICE}")  # noqa: TRY004 - pydantic's way
    _check_keys(value)
    kind, content = next(iter(value.items()))
    return _parse_kind(kind, content, expand)


def _check_password(text: str) -> str:
    check_text(text)
    if len(text.encode()) > MAX_PASSWORD_OCTETS:
        raise ValueError(f"is longer than {MAX_PASSWORD_OCTETS} octets")
    return text


def _check_keys(table: dict[str, object]) -> None:
    for key in table:
        if key not in _KINDS:
            import difflib  # noqa: PLC0415 - for a mistake alone

            near = difflib.get_close_matches(key, _KINDS, n=1)
            advice = f'did you mean "{near[0]}"?' if near else _ADVICE
            raise ValueError(f"has an unknown key in its table; {advice}")
    if len(table) != 1:
        raise ValueError(f"must have exactly one source; {_ADVICE}")


def _parse_kind(kind: str, content: object, expand: Callable[[str], Path]) -> Secret:
    if kind == "command":
        return CommandSecret(_parse_command(content))
    if not isinstance(content, str):
        raise ValueError(f'must have a text in quotes for "{kind}"')  # noqa: TRY004 - pydantic's way
    if kind == "file":
        return FileSecret(expand(content))
    if kind == "env":
        return EnvSecret(_check_variable(content))
    return CredentialSecret(_check_credential(content))


def _parse_command(content: object) -> tuple[str, ...]:
    if isinstance(content, str):
        raise ValueError(  # noqa: TRY004 - pydantic's way
            'needs the command as a list, one word each: { command = ["pass", "show", "mail"] }; '
            "no shell is involved"
        )
    words = content if isinstance(content, list) else []
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words):
        raise ValueError('must have a list of texts for "command", the program first')
    if not words[0]:
        raise ValueError('must have the name of a program first in "command"')
    return tuple(words)


def _check_variable(name: str) -> str:
    if not name or "=" in name or "\0" in name:
        raise ValueError('must have the name of an environment variable for "env"')
    return name


def _check_credential(name: str) -> str:
    if not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise ValueError('must have a plain file name for "credential"')
    return name
