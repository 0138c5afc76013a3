"""Which keys each kind of table knows, and how to put values and their kinds into words."""

import json
from collections.abc import Iterable, Mapping
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
from popsync.config.table import Table

_TABLES: Mapping[str, tuple[type[Table], ...]] = {
    "at the top of the file, above the first [table]": (ConfigFile,),
    "in [defaults] or [account.NAME]": (AccountConfig,),
    "in [destination.NAME]": tuple(DESTINATION_TYPES.values()),
    "in [server]": (ServerConfig,),
    "in [server.mailbox.NAME]": (MailboxConfig,),
    "in [limits]": (LimitsConfig,),
    "in [log]": (LogConfig,),
    "in [metrics]": (MetricsConfig,),
}
_SECRET_KEYS = ("command", "file", "env", "credential")


KNOWN_KEYS = frozenset(_SECRET_KEYS).union(
    *(table.keys for tables in _TABLES.values() for table in tables), {"defaults"}
)


TABLES: Mapping[str, str] = {
    "account": "[account.NAME]",
    "destination": "[destination.NAME]",
    "defaults": "[defaults]",
    "server": "[server]",
    "limits": "[limits]",
    "log": "[log]",
    "metrics": "[metrics]",
}
"""The headers that the file may have, by the first word of each."""


def near(word: str, words: Iterable[str]) -> str:
    """Give the one of ``words`` that ``word`` may be meant for, or the empty string."""
    import difflib  # noqa: PLC0415 - for a mistake alone

    matches = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return matches[0] if matches else ""


def home_of(key: str) -> str:
    """Say where ``key`` belongs, or give the empty string when it belongs nowhere."""
    homes = (
        home for home, tables in _TABLES.items() if any(key in table.keys for table in tables)
    )
    return next(homes, "")


def quote(text: str) -> str:
    """Write a text as TOML does."""
    return json.dumps(text, ensure_ascii=False)


def to_toml(value: Any) -> str:
    """Write an example's value as TOML does, on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {to_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(to_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


_KINDS = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number with a fraction"),
    (str, "a text"),
    (list, "a list"),
    (dict, "a table"),
)


def kind_of(value: object) -> str:
    """Say what kind of TOML value this is."""
    return next((words for kind, words in _KINDS if isinstance(value, kind)), "a date or a time")
