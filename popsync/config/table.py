"""What all tables of the configuration have in common, and what a key of one is.

pydantic-core, the part of pydantic that checks, is told by each key what it may hold. pydantic's
own classes over it take longer to import, and to be made, than all else that a poll needs before
its first octet (decision 18).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self, dataclass_transform

from pydantic_core import CoreSchema, SchemaValidator, core_schema

TlsMode = Literal["implicit", "starttls", "none"]


class Kind(NamedTuple):
    """What a key may hold."""

    check: CoreSchema
    """For pydantic-core."""
    shape: Mapping[str, Any]
    """The same for editors, in JSON Schema."""


class Key(NamedTuple):
    """One key of a table."""

    kind: Kind
    description: str
    examples: Sequence[Any]
    """As the user may write it; empty for a table, which has examples of its own."""
    default: Any
    """The value in its absence; ``...`` when it must be stated."""
    default_factory: Callable[[dict[str, Any]], Any] | None
    """Gives the default where that depends on the keys above it."""
    written_default: Any
    """The default as the user would write it."""
    alias: str | None
    """What the user calls it, where the name in the code says a unit."""

    @property
    def is_required(self) -> bool:
        """Whether it must be stated."""
        return self.default is ... and self.default_factory is None


def key(
    kind: Kind,
    *,
    description: str,
    examples: Sequence[Any] = (),
    default: Any = ...,
    default_factory: Callable[[dict[str, Any]], Any] | None = None,
    written_default: Any = None,
    alias: str | None = None,
) -> Any:
    """Make a key; Any, as a dataclass's ``field`` does, for it stands in the place of a value."""
    written = default if written_default is None else written_default
    return Key(kind, description, examples, default, default_factory, written, alias)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(key,))
class Table:
    """A table of the file: nothing unknown in it, nothing guessed from another type.

    Made in code it takes the same keys, and raises the same ValidationError.
    """

    keys: ClassVar[Mapping[str, Key]]
    """By what the user calls them."""
    _named: ClassVar[Mapping[str, Key]]
    """By their names in the code."""
    _validator: ClassVar[SchemaValidator | None]
    """Made at the first use: most files have few of all the tables."""

    def __init_subclass__(cls) -> None:
        cls._named = {name: value for name, value in vars(cls).items() if isinstance(value, Key)}
        cls.keys = {own.alias or name: own for name, own in cls._named.items()}
        cls._validator = None
        for name in cls._named:
            delattr(cls, name)

    def __init__(self, **values: Any) -> None:
        vars(self).update(self._check(values, {}))

    @classmethod
    def read(cls, values: Mapping[str, Any], context: Mapping[str, Any]) -> Self:
        """Give the table that ``values`` say; ``context`` is for what checks paths.

        Raises pydantic_core.ValidationError, whose text may hold a secret.
        """
        return cls._of(cls._check(values, context))

    def replace(self, **changes: Any) -> Self:
        """Give the same table with other values, which are believed."""
        return self._of({**vars(self), **changes})

    @classmethod
    def _check(cls, values: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
        if cls._validator is None:
            fields = {name: _field(own) for name, own in cls._named.items()}
            schema = core_schema.typed_dict_schema(fields, extra_behavior="forbid")
            cls._validator = SchemaValidator(schema)
        checked: dict[str, Any] = cls._validator.validate_python(values, context=dict(context))
        return checked

    @classmethod
    def _of(cls, values: Mapping[str, Any]) -> Self:
        table = cls.__new__(cls)
        vars(table).update(values)
        return table

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({values})"


def _field(own: Key) -> core_schema.TypedDictField:
    check = own.kind.check
    if own.default_factory is not None:
        check = core_schema.with_default_schema(
            check, default_factory=own.default_factory, default_factory_takes_data=True
        )
    elif not own.is_required:
        check = core_schema.with_default_schema(check, default=own.default)
    return core_schema.typed_dict_field(
        check, required=own.is_required, validation_alias=own.alias
    )
