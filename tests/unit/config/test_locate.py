import tomllib

import pytest

from popsync.config.locate import TomlPath, locate


def at(text: str, *path: str | int) -> tuple[int, int]:
    """Give line and column of ``path``, in a text that tomllib takes."""
    tomllib.loads(text)
    place = locate(text)[path]
    return place.line, place.column


@pytest.mark.parametrize(
    ("text", "path", "where"),
    [
        ("a = 1", ("a",), (1, 1)),
        ("\n  # b = 1\n  b = 2 # c", ("b",), (3, 3)),
        ("[t]\na = 1", ("t",), (1, 1)),
        ("[t]\na = 1", ("t", "a"), (2, 1)),
        ("[t.u]\n", ("t",), (1, 2)),
        ("[t.u]\n", ("t", "u"), (1, 1)),
        ("[ t . u ]\n", ("t", "u"), (1, 1)),
        ("[t.u]\n[t]\n", ("t",), (2, 1)),
        ("a.b.c = 1", ("a", "b"), (1, 3)),
        ("a . b = 1", ("a", "b"), (1, 5)),
        ('"a.b" = 1', ("a.b",), (1, 1)),
        ("'a\"b' = 1", ('a"b',), (1, 1)),
        ('"\\u00e4\\t\\"" = 1', ('ä\t"',), (1, 1)),
        ("1.2 = 3", ("1", "2"), (1, 3)),
        ("a = [1, [2, 3], 'x']", ("a", 1, 1), (1, 13)),
        ("a = [\n 1,\n # no\n 2,\n]", ("a", 1), (4, 2)),
        ("a = { b = 1, c.d = [ ] }\ne = 1", ("a", "c", "d"), (1, 16)),
        ("a = { b = 1, c.d = [ ] }\ne = 1", ("e",), (2, 1)),
        ("a = {}\nb = []\nc = 1", ("c",), (3, 1)),
        ("[[t]]\na = 1\n[[t]]\na = 2", ("t", 1, "a"), (4, 1)),
        ("[[t]]\n[t.u]\nb = 1\n[[t]]\n[t.u]\nb = 2", ("t", 1, "u", "b"), (6, 1)),
        ("[[t]]\n[[t.u]]\n[[t.u]]\nb = 1", ("t", 0, "u", 1, "b"), (4, 1)),
        ('a = """x\n[no]\ny = 1"""\nb = 1', ("b",), (4, 1)),
        ("a = '''x\n''y = 1'''''\nb = 1", ("b",), (3, 1)),
        ('a = """\\""" x ""\\\n """""\nb = 1', ("b",), (3, 1)),
        ('a = "x\\"] # }"\nb = 1', ("b",), (2, 1)),
        ("a = 1979-05-27 07:32:00 # t\nb = 1", ("b",), (2, 1)),
        ('a = [{ b = "]" }, { b = 2 }]', ("a", 1, "b"), (1, 21)),
        ('"" = 1', ("",), (1, 1)),
    ],
)
def test_key_stands_where_a_reader_sees_it(
    text: str, path: TomlPath, where: tuple[int, int]
) -> None:
    """Lines and columns count from 1, columns in characters."""
    assert at(text, *path) == where


def test_place_spans_key_and_value() -> None:
    """Offsets cut out exactly the key and its value, without comment."""
    text = 'a = 1\nbc = "x#y"  # z\n'

    place = locate(text)[("bc",)]

    assert text[place.start : place.end] == "bc"
    assert text[place.value_start : place.value_end] == '"x#y"'


def test_header_has_no_value() -> None:
    """A header spans its brackets."""
    text = "[a.b]\nc = 1\n"

    place = locate(text)[("a", "b")]

    assert text[place.start : place.end] == "[a.b]"
    assert place.value_start == place.value_end == place.end


def test_large_text_takes_linear_time() -> None:
    """Twenty thousand tables are located at once; a quadratic scan would meet the time-out."""
    text = "".join(f'[account.a{n}]\nuser = "u{n}"\nx = [1, 2]\n' for n in range(20_000))

    assert locate(text)[("account", "a19999", "x", 1)].line == 60_000
