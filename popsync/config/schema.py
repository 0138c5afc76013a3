"""The JSON Schema of the configuration, for editors that complete and check TOML."""

from typing import Any

from popsync.config.model import AccountConfig, ConfigFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NEEDLESS = ("title", "discriminator")
_UNSTATED: tuple[object, ...] = (None, "", [])
"""Defaults that stand for an absent key; the user cannot write them."""


def json_schema() -> dict[str, Any]:
    """Give a schema (draft 2020-12) that every file which loads satisfies.

    An account has no required keys in it: any may be inherited from ``[defaults]``.
    """
    schema: dict[str, Any] = _simplify(ConfigFile.model_json_schema())
    account = schema["$defs"][AccountConfig.__name__]
    del account["required"]
    schema["properties"]["defaults"] = {
        "$ref": f"#/$defs/{AccountConfig.__name__}",
        "description": "What every account inherits unless it says otherwise.",
    }
    return {"$schema": DIALECT, "title": "popsync configuration", **schema}


def _simplify(node: Any, *, names: bool = False) -> Any:
    """Drop what tells an editor nothing. ``names``: the keys of ``node`` are the user's."""
    if isinstance(node, list):
        return [_simplify(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _simplify(value, names=key in {"properties", "$defs"} and not names)
        for key, value in node.items()
        if names or not _says_nothing(key, value)
    }


def _says_nothing(key: str, value: object) -> bool:
    return key in _NEEDLESS or (key == "default" and value in _UNSTATED)
