"""The JSON Schema of the configuration, for editors that complete and check TOML."""

from inspect import cleandoc
from typing import Any

from popsync.config.model import (
    DESTINATION_TYPES,
    AccountConfig,
    ConfigFile,
    LimitsConfig,
    LogConfig,
    MailboxConfig,
    MetricsConfig,
    ServerConfig,
)
from popsync.config.table import Key, Table

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TABLES: tuple[type[Table], ...] = (
    AccountConfig,
    *DESTINATION_TYPES.values(),
    ServerConfig,
    MailboxConfig,
    LimitsConfig,
    LogConfig,
    MetricsConfig,
)
_UNSTATED: tuple[object, ...] = (None, "", (), {}, ...)
"""Defaults that stand for an absent key; the user cannot write them."""


def json_schema() -> dict[str, Any]:
    """Give a schema (draft 2020-12) that every file which loads satisfies.

    An account has no required keys in it: any may be inherited from ``[defaults]``.
    """
    tables = {table.__name__: _describe_table(table) for table in _TABLES}
    del tables[AccountConfig.__name__]["required"]
    schema = _describe_table(ConfigFile)
    schema["properties"]["defaults"] = {
        "$ref": f"#/$defs/{AccountConfig.__name__}",
        "description": "What every account inherits unless it says otherwise.",
    }
    return {"$schema": DIALECT, "title": "popsync configuration", "$defs": tables, **schema}


def _describe_table(table: type[Table]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "description": cleandoc(table.__doc__ or ""),
        "properties": {name: _describe_key(key) for name, key in table.keys.items()},
        "additionalProperties": False,
    }
    required = [name for name, key in table.keys.items() if key.is_required]
    return schema | {"required": required} if required else schema


def _describe_key(key: Key) -> dict[str, Any]:
    described = {**key.kind.shape, "description": key.description}
    if key.examples:
        described["examples"] = list(key.examples)
    if key.written_default not in _UNSTATED:
        described["default"] = key.written_default
    return described
