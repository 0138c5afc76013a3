"""One table as it was written: where each of its keys comes from, and what is sound in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic_core import ValidationError

from popsync.config.locate import TomlPath
from popsync.config.problem import Problem
from popsync.config.source import Source
from popsync.config.table import Table

_STAND_INS: Mapping[str, object] = {
    "host": "stand-in.invalid",
    "user": "stand-in",
    "password": {"env": "STAND_IN"},
    "mode": "keep",
    "path": "/",
}
_ALTERNATIVES = {"poll_every": "schedule", "schedule": "poll_every"}
"""Keys that say the same thing in another way: whoever states one does not inherit the other."""
_CONSEQUENCES = {"default_factory_not_called"}
"""What pydantic reports only because another key is wrong."""

T_co = TypeVar("T_co", bound=Table, covariant=True)


class Entry(NamedTuple):
    """A table with its keys, and those that it inherits."""

    source: Source
    path: TomlPath
    values: Mapping[str, Any]
    inherited: "Entry | None" = None

    @property
    def name(self) -> str:
        """The last part of its path."""
        return str(self.path[-1])

    @property
    def where(self) -> str:
        """``file:line`` of its header."""
        return f"{self.source.path}:{self.source.place(self.path).line}"

    def merged(self) -> dict[str, Any]:
        """Give its own values, and the inherited ones that it does not state itself."""
        inherited = self.inherited.values if self.inherited else {}
        kept = {k: v for k, v in inherited.items() if _ALTERNATIVES.get(k) not in self.values}
        return {**kept, **self.values}

    def origin(self, key: str) -> "Entry":
        """Give the entry that states ``key``; this one when none does."""
        inherits = key not in self.values and self.inherited and key in self.inherited.values
        return self.inherited if inherits and self.inherited else self

    def base_of(self, key: str) -> Path:
        """Give the directory that a path under ``key`` starts from."""
        return self.origin(key).source.path.parent

    def problem(self, sentence: str, *inside: str | int) -> Problem:
        """Point at the key ``inside``, wherever it is stated, or at this table's header."""
        stated = self.origin(str(inside[0])) if inside else self
        return stated.source.problem((*stated.path, *inside), sentence)


@dataclass(frozen=True, slots=True)
class Draft(Generic[T_co]):
    """What could be made of an entry; keys in ``unsound`` hold a stand-in or a default."""

    entry: Entry
    value: T_co
    unsound: frozenset[str]
    problems: tuple[Problem, ...]


def stand_ins(table: type[Table]) -> dict[str, object]:
    """Give a value for each key that ``table`` insists on.

    With them in place of what is wrong, the other keys can still be checked against one another.
    """
    return {
        name: _STAND_INS[name]
        for name, key in table.keys.items()
        if key.is_required and name in _STAND_INS
    }


def draft_table(table: type[T_co], entry: Entry) -> Draft[T_co]:
    """Check each key of ``entry`` by itself."""
    values = entry.merged()
    context = {"base_of": entry.base_of}
    try:
        return Draft(entry, table.read(values, context), frozenset(), ())
    except ValidationError as error:
        problems = tuple(_problems(table, entry, error))
        unsound = frozenset(str(detail["loc"][0]) for detail in error.errors(include_url=False))
    sound = {key: value for key, value in values.items() if key not in unsound}
    value = table.read({**stand_ins(table), **sound}, context)
    return Draft(entry, value, unsound, problems)


def _problems(table: type[Table], entry: Entry, error: ValidationError) -> Iterator[Problem]:
    from popsync.config.explain import explain, is_misspelt  # noqa: PLC0415 - for mistakes alone

    details = error.errors(include_url=False)
    strangers = [str(d["loc"][0]) for d in details if d["type"] == "extra_forbidden"]
    for detail in details:
        misspelt = detail["type"] == "missing" and is_misspelt(str(detail["loc"][0]), strangers)
        if not misspelt and detail["type"] not in _CONSEQUENCES:
            yield entry.problem(explain(detail, table), *detail["loc"])
