"""The kinds of values that the tables are made of, for pydantic and for the JSON Schema."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, Strict, ValidationInfo, WithJsonSchema
from pydantic.functional_validators import PlainValidator

from popsync.config import checks
from popsync.config.cron import CronTimes, parse_cron
from popsync.config.secret_table import SECRET_SCHEMA, parse_secret
from popsync.config.secrets import Secret
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


Text = Annotated[str, AfterValidator(checks.check_text)]
TextList = Annotated[tuple[Annotated[Text, Strict()], ...], BeforeValidator(_to_tuple)]
GlobList = Annotated[
    tuple[Annotated[Text, Strict(), AfterValidator(_expand_glob)], ...], BeforeValidator(_to_tuple)
]
Host = Annotated[str, AfterValidator(checks.check_host)]
User = Annotated[str, AfterValidator(checks.check_user)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Fingerprint = Annotated[str, AfterValidator(checks.check_fingerprint)]
ReversePath = Annotated[str, AfterValidator(checks.check_reverse_path)]
Address = Annotated[str, AfterValidator(checks.check_address)]
AddressList = Annotated[tuple[Annotated[Address, Strict()], ...], BeforeValidator(_to_tuple)]
FilePath = Annotated[Path, PlainValidator(_path), WithJsonSchema({"type": "string"})]
OptionalPath = Annotated[Path | None, PlainValidator(_path), WithJsonSchema({"type": "string"})]
SecretField = Annotated[Secret, PlainValidator(_secret), WithJsonSchema(SECRET_SCHEMA)]
OptionalSecret = Annotated[Secret | None, PlainValidator(_secret), WithJsonSchema(SECRET_SCHEMA)]
_DURATION_SCHEMA = {"type": "string", "pattern": "^[0-9]{1,9}[smhd]$"}
Duration = Annotated[int, PlainValidator(parse_duration), WithJsonSchema(_DURATION_SCHEMA)]
Interval = Annotated[int, PlainValidator(parse_interval), WithJsonSchema(_DURATION_SCHEMA)]
Schedule = Annotated[
    CronTimes | None, PlainValidator(parse_cron), WithJsonSchema({"type": "string"})
]
Size = Annotated[
    int,
    PlainValidator(parse_size),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,9}[KMG]?B$"}),
]
_LISTEN_SCHEMA = {"type": "string", "pattern": "^.+:[0-9]{1,5}$"}
Listen = Annotated[
    checks.ListenAddress,
    PlainValidator(checks.parse_listen_address),
    WithJsonSchema(_LISTEN_SCHEMA),
]
OptionalListen = Annotated[
    checks.ListenAddress | None,
    PlainValidator(checks.parse_listen_address),
    WithJsonSchema(_LISTEN_SCHEMA),
]
