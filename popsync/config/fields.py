"""The kinds of values that the tables are made of, for pydantic-core and in JSON Schema."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from pydantic_core import core_schema
from pydantic_core.core_schema import ValidationInfo

from popsync.config import checks
from popsync.config.cron import parse_cron
from popsync.config.secret_table import SECRET_SCHEMA, parse_secret
from popsync.config.secrets import Secret
from popsync.config.table import Kind
from popsync.config.units import parse_duration, parse_interval, parse_size

BaseOf = Callable[[str], Path]
"""Gives the directory that a key's relative path starts from."""


def expand_path(text: str, base: Path | None) -> Path:
    """Expand ``~`` and nothing else; start a relative path from ``base`` when there is one.

    Raises ValueError with a sentence for the user.
    """
    if not text or "\0" in text:
        raise ValueError("must be a path")
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError("begins with ~, but there is no such home directory") from error
    return path if base is None else base / path


def _base(info: ValidationInfo) -> Path | None:
    base_of: BaseOf | None = (info.context or {}).get("base_of")
    return base_of(info.field_name) if base_of and info.field_name else None


def _path(value: object, info: ValidationInfo) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str):
        raise ValueError('must be a path in quotes, such as "~/Mail"')  # noqa: TRY004 - pydantic wants a ValueError
    return expand_path(value, _base(info))


def _secret(value: object, info: ValidationInfo) -> Secret:
    return parse_secret(value, lambda text: expand_path(text, _base(info)))


def _expand_glob(text: str) -> str:
    return str(expand_path(text, None))


def _to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _checked_text(check: Callable[[str], str]) -> core_schema.CoreSchema:
    return core_schema.no_info_after_validator_function(check, core_schema.str_schema(strict=True))


def _text(check: Callable[[str], str]) -> Kind:
    return Kind(_checked_text(check), {"type": "string"})


def _texts(check: Callable[[str], str]) -> Kind:
    many = core_schema.tuple_schema([_checked_text(check)], variadic_item_index=0, strict=True)
    return Kind(
        core_schema.no_info_before_validator_function(_to_tuple, many),
        {"type": "array", "items": {"type": "string"}},
    )


def _parsed(parse: Callable[[Any], object], pattern: str | None = None) -> Kind:
    shape = {"type": "string"} if pattern is None else {"type": "string", "pattern": pattern}
    return Kind(core_schema.no_info_plain_validator_function(parse), shape)


def number(least: int, most: int) -> Kind:
    """Give the kind of whole numbers from ``least`` to ``most``."""
    return Kind(
        core_schema.int_schema(strict=True, ge=least, le=most),
        {"type": "integer", "minimum": least, "maximum": most},
    )


def choice(literal: object) -> Kind:
    """Give the kind of the texts that ``literal``, a ``Literal`` of typing, names."""
    texts = list(get_args(literal))
    listed = {"enum": texts} if len(texts) > 1 else {"const": texts[0]}
    return Kind(core_schema.literal_schema(texts), {"type": "string", **listed})


def table(name: str) -> Kind:
    """Give the kind of what is checked as a table of its own."""
    return Kind(core_schema.any_schema(), {"$ref": f"#/$defs/{name}"})


def named_tables(*names: str) -> Kind:
    """Give the same for tables with a name that the user chose, each of one of the types."""
    types = [{"$ref": f"#/$defs/{name}"} for name in names]
    shape = types[0] if len(types) == 1 else {"oneOf": types}
    return Kind(core_schema.any_schema(), {"type": "object", "additionalProperties": shape})


FLAG = Kind(core_schema.bool_schema(strict=True), {"type": "boolean"})
TEXTS = _texts(checks.check_text)
GLOBS = _texts(lambda text: _expand_glob(checks.check_text(text)))
HOST = _text(checks.check_host)
USER = _text(checks.check_user)
PORT = number(1, 65_535)
FINGERPRINT = _text(checks.check_fingerprint)
REVERSE_PATH = _text(checks.check_reverse_path)
ADDRESSES = _texts(checks.check_address)
PATH = Kind(core_schema.with_info_plain_validator_function(_path), {"type": "string"})
SECRET = Kind(core_schema.with_info_plain_validator_function(_secret), SECRET_SCHEMA)
DURATION = _parsed(parse_duration, "^[0-9]{1,9}[smhd]$")
INTERVAL = _parsed(parse_interval, "^[0-9]{1,9}[smhd]$")
SCHEDULE = _parsed(parse_cron)
SIZE = _parsed(parse_size, "^[0-9]{1,9}[KMG]?B$")
LISTEN = _parsed(checks.parse_listen_address, "^.+:[0-9]{1,5}$")
