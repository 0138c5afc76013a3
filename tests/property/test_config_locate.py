import datetime
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from popsync.config.locate import TomlPath, locate

keys = st.one_of(
    st.text("abXYZ019_-", min_size=1, max_size=6),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6),
)
scalars = st.one_of(
    st.integers(-(10**9), 10**9),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.dates(),
    st.times(),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
documents = st.dictionaries(keys, values, max_size=5)


def paths(node: Any, path: TomlPath = ()) -> Iterator[TomlPath]:
    """Give the path of every table, key and item."""
    inner: Iterator[tuple[str | int, Any]] = iter(())
    if isinstance(node, dict):
        inner = iter(node.items())
    elif isinstance(node, list):
        inner = iter(enumerate(node))
    for key, value in inner:
        yield (*path, key)
        yield from paths(value, (*path, key))


def look_up(tables: Mapping[str, Any], path: TomlPath) -> Any:
    """Follow ``path`` through what tomllib read."""
    node: Any = tables
    for part in path:
        node = node[part]
    return node


@given(documents)
def test_locator_finds_what_tomllib_reads(document: dict[str, Any]) -> None:
    """Every path has a place, nothing else has, and each value's span means that value."""
    text = tomlkit.dumps(document)
    tables = tomllib.loads(text)

    places = locate(text)

    assert set(places) == set(paths(tables))
    for path, place in places.items():
        if place.value_end > place.end:
            again = tomllib.loads(f"x = {text[place.value_start : place.value_end]}")["x"]
            assert again == look_up(tables, path)


quotes = st.sampled_from(['"', "'"])
pieces = st.sampled_from(
    [
        "a",
        "b.c",
        "[a]",
        "[[b]]",
        "\n",
        " = ",
        "1",
        "'x'",
        '"""',
        "'''",
        "{",
        "}",
        "[",
        "]",
        ",",
        "#",
        "\\",
        " ",
    ]
)


@given(st.lists(pieces, max_size=25).map("".join))
def test_whatever_tomllib_takes_is_located(text: str) -> None:
    """Odd but legal texts have the same paths as tomllib's result."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return

    assert set(locate(text)) == set(paths(tables))


@given(st.dates(), st.times())
def test_date_with_a_blank_is_one_value(date: datetime.date, time: datetime.time) -> None:
    """RFC 3339 allows a blank for the T."""
    text = f"a = [{date} {time}, 1]\nb = {date} {time} # c"

    assert set(locate(text)) == {("a",), ("a", 0), ("a", 1), ("b",)}
