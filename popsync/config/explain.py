"""Turns what pydantic finds into a sentence that says what to write instead."""

from collections.abc import Callable, Mapping

from pydantic_core import ErrorDetails

from popsync.config.model import DESTINATION_TYPES, AccountConfig
from popsync.config.table import Key, Table
from popsync.config.vocabulary import TABLES, home_of, kind_of, near, quote, to_toml

_Sentence = Callable[[str, Key, ErrorDetails], str]

_MODE_MISSING = (
    'missing, and there is no default: write mode = "keep" to leave messages on the server, '
    'or mode = "delete" to delete each one there after its delivery; here or in [defaults]'
)
_FOREIGN_KEYS = {
    "keep": ("mode", 'write mode = "keep" or mode = "delete"'),
    "ssl": ("tls", 'write tls = "implicit", "starttls" or "none"'),
    "username": ("user", 'write user = "…"'),
    "destination": ("deliver_to", 'write deliver_to = ["…"]'),
    "server": ("host", 'write host = "…"'),
    "interval": ("poll_every", 'write poll_every = "5m"'),
    "cron": ("schedule", 'write schedule = "*/5 8-18 * * mon-fri"'),
    "passwordeval": ("password", 'write password = { command = ["…"] }'),
    "password_command": ("password", 'write password = { command = ["…"] }'),
}
"""What accounts are told by in other programs: our key for it, and how to write it."""


def is_misspelt(key: str, strangers: list[str]) -> bool:
    """Whether one of the unknown keys ``strangers`` was probably meant to be ``key``."""
    foreign = (_FOREIGN_KEYS[name][0] for name in strangers if name in _FOREIGN_KEYS)
    return key in foreign or bool(near(key, strangers))


def explain(error: ErrorDetails, table: type[Table]) -> str:
    """Say what is wrong with one key of ``table``, without any value that may be secret."""
    key = str(error["loc"][0])
    field = table.keys.get(key)
    if field is None:
        return _explain_unknown(key, table)
    sentence = _SENTENCES.get(error["type"], _explain_other)
    return sentence(key, field, error)


def _explain_unknown(key: str, table: type[Table]) -> str:
    known = table.keys
    if key in _FOREIGN_KEYS and table is AccountConfig:
        return f"unknown key; {_FOREIGN_KEYS[key][1]}"
    types = [quote(name) for name, other in DESTINATION_TYPES.items() if key in other.keys]
    if types and table in DESTINATION_TYPES.values():
        return f"unknown key here; only destinations of type {' or '.join(types)} have it"
    if key in TABLES:
        return f"unknown key here; {TABLES[key]} is a table of its own"
    if home_of(key):
        return f"unknown key here; it belongs {home_of(key)}"
    meant = near(key, known)
    if meant:
        return f'unknown key, did you mean "{meant}"?'
    return f"unknown key; the keys here are {', '.join(known)}"


def _example(key: str, field: Key) -> str:
    return f"{key} = {to_toml(field.examples[0])}" if field.examples else f"[{key}]"


def _explain_missing(key: str, field: Key, _error: ErrorDetails) -> str:
    if key == "mode":
        return _MODE_MISSING
    meaning = field.description.partition(". ")[0].rstrip(".")
    return f"missing; write {_example(key, field)} ({meaning[:1].lower()}{meaning[1:]})"


def _must_be(wanted: str) -> _Sentence:
    def sentence(key: str, field: Key, error: ErrorDetails) -> str:
        return f"must be {wanted}, such as {_example(key, field)}, not {kind_of(error['input'])}"

    return sentence


def _explain_text(key: str, field: Key, error: ErrorDetails) -> str:
    if len(error["loc"]) > 1:
        return f"must be a text in quotes, not {kind_of(error['input'])}"
    return _must_be("a text in quotes")(key, field, error)


def _explain_choice(_key: str, field: Key, error: ErrorDetails) -> str:
    shape = field.kind.shape
    choices = shape["enum"] if "enum" in shape else [shape["const"]]
    listed = " or ".join([", ".join(map(quote, choices[:-1])), quote(choices[-1])])
    given = error["input"]
    if not isinstance(given, str):
        return f"must be {listed}, not {kind_of(given)}"
    meant = near(given.lower(), choices)
    advice = f'did you mean "{meant}"? It must be' if meant else "it must be"
    return f"{quote(given)} is not possible; {advice} {listed}"


def _explain_range(_key: str, field: Key, _error: ErrorDetails) -> str:
    low, high = field.kind.shape["minimum"], field.kind.shape["maximum"]
    return f"must be from {low} to {high}"


def _explain_own(_key: str, _field: Key, error: ErrorDetails) -> str:
    return str(error.get("ctx", {}).get("error", "cannot be used"))


def _explain_other(key: str, field: Key, _error: ErrorDetails) -> str:
    return f"cannot be used; write for example {_example(key, field)}"


_SENTENCES: Mapping[str, _Sentence] = {
    "missing": _explain_missing,
    "string_type": _explain_text,
    "int_type": _must_be("a whole number"),
    "bool_type": _must_be("true or false without quotes"),
    "tuple_type": _must_be("a list in brackets"),
    "literal_error": _explain_choice,
    "greater_than_equal": _explain_range,
    "less_than_equal": _explain_range,
    "value_error": _explain_own,
}
