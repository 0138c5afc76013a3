from pathlib import Path

from popsync.config.excerpt import MAX_EXCERPT_CHARACTERS, excerpt_of
from popsync.config.problem import Problem, format_key


def test_excerpt_underlines_the_fault_without_leading_blanks() -> None:
    """The caret stands under the key, however far it was indented."""
    text = "a = 1\n\t  bc = 2\n"

    assert excerpt_of(text, (9, 11), []).format() == "    bc = 2\n    ^^"


def test_hidden_span_becomes_one_ellipsis_and_shifts_the_caret() -> None:
    """What stands behind a secret is still underlined."""
    text = 'x = { password = "hunter2", b = 1 }'

    shown = excerpt_of(text, (28, 29), [(17, 26)]).format()

    assert shown.splitlines() == ["    x = { password = …, b = 1 }", "    " + " " * 20 + "^"]


def test_secret_that_began_on_an_earlier_line_is_hidden_on_this_one() -> None:
    """Of a span over several lines, each line shows only the ellipsis."""
    text = 'x = { p = """hun\nter2""", b = 1 }'

    shown = excerpt_of(text, (text.index("b ="), text.index("b =") + 1), [(10, 24)]).format()

    assert "ter2" not in shown
    assert shown.splitlines()[0] == "    …, b = 1 }"


def test_secret_that_ends_where_the_line_begins_hides_nothing() -> None:
    """Spans that merely touch the line leave it as it is."""
    assert excerpt_of("ab\ncd", (3, 4), [(0, 3)]).line == "cd"


def test_long_line_is_cut_around_the_fault() -> None:
    """A minified line does not flood the terminal."""
    text = "a = [" + "1, " * 500 + "x, " + "2, " * 500 + "]"
    fault = text.index("x,")

    excerpt = excerpt_of(text, (fault, fault + 1), [])

    assert len(excerpt.line) <= MAX_EXCERPT_CHARACTERS
    assert excerpt.line[excerpt.indent] == "x"


def test_control_characters_are_shown_as_blanks() -> None:
    """A file cannot steer the terminal of whoever checks it."""
    assert excerpt_of("a = '\x1b[2J\u202e'", (0, 1), []).line == "a = ' [2J '"


def test_empty_fault_is_still_underlined() -> None:
    """There is always something to look at."""
    assert excerpt_of("", (0, 0), []).format() == "    \n    ^"


def test_problem_of_a_whole_file_has_no_line() -> None:
    """A file that cannot be read has no line to show."""
    assert Problem(Path("/x"), "is odd").format() == "/x: is odd"


def test_problem_escapes_foreign_text() -> None:
    """A key may be any text."""
    assert "\x1b" not in Problem(Path("/x"), "s", key=format_key(("\x1b[2J",))).format()


def test_key_is_written_as_toml_does() -> None:
    """What is not bare is quoted, what is in a list has its index."""
    assert (
        format_key(("account", "jane doe", "deliver_to", 0)) == 'account."jane doe".deliver_to[0]'
    )
