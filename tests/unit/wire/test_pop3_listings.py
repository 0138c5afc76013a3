"""Whole listings read at once say what their rows say, or nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popsync.wire.pop3.listings import parse_list_rows, parse_uidl_rows
from popsync.wire.pop3.replies import parse_list_row, parse_uidl_row


def test_a_listing_in_the_usual_form_is_read_at_once() -> None:
    """An empty one, too."""
    assert parse_list_rows([b"1 120", b"2 0"]) == {1: 120, 2: 0}
    assert parse_uidl_rows([b"1 a", b"02 ~!"]) == {1: b"a", 2: b"~!"}
    assert parse_list_rows([]) == {}
    assert parse_uidl_rows([]) == {}


@pytest.mark.parametrize(
    "rows",
    [
        [b"2 9"],
        [b"1 9", b"1 9"],
        [b"2 9", b"1 9"],
        [b"1 9", b"3 9"],
        [b"0 9"],
        [b"1  9"],
        [b"1\t9"],
        [b"1 9 "],
        [b" 1 9"],
        [b"1"],
        [b""],
        [b"1 9\n2 9", b"3 9"],
        [b"1 9\n", b"2 9"],
        [b"1 9\r"],
        [b"1 \xff"],
        [b"1 " + b"9" * 71],
        [b"9" * 11 + b" 9"],
    ],
)
def test_any_other_form_is_left_to_the_rows_own_reader(rows: list[bytes]) -> None:
    """Out of order, twice, left out, other blanks, other characters, too long."""
    assert parse_list_rows(rows) is None
    assert parse_uidl_rows(rows) is None


_BITS = st.sampled_from([b"1", b"2", b"3", b"10", b" ", b"  ", b"\t", b"a", b"~", b"\xff", b"\n"])
_ROWS = st.lists(st.lists(_BITS, max_size=4).map(b"".join), max_size=4)
_IN_ORDER = st.lists(st.binary(max_size=3)).map(
    lambda values: [b"%d %b" % row for row in enumerate(values, 1)]
)


@given(_ROWS | _IN_ORDER)
def test_what_is_read_at_once_is_what_each_row_says(rows: list[bytes]) -> None:
    """Never something else, whatever a server sends."""
    sizes, names = parse_list_rows(rows), parse_uidl_rows(rows)

    assert sizes is None or list(sizes.items()) == list(map(parse_list_row, rows))
    assert names is None or list(names.items()) == list(map(parse_uidl_row, rows))
