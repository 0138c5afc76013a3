from collections.abc import Sequence

import pytest

from popsync.errors import UidlUnsupported
from popsync.maildrop.listing import ListingAnswers, combine
from popsync.model import NAMELESS, ListedMessage, Listing, MessageNumber, UniqueId
from popsync.wire.pop3.replies import Totals

ONE = (MessageNumber(1), UniqueId(b"a"), 10)
TWO = (MessageNumber(2), UniqueId(b"b"), 20)
LIST_ROWS = (b"1 10", b"2 20")
UIDL_ROWS = (b"1 a", b"2 b")


def listing(*messages: tuple[MessageNumber, UniqueId, int], complete: bool = False) -> Listing:
    """Give the listing that is expected."""
    return Listing(tuple(ListedMessage(*message) for message in messages), complete)


def test_three_answers_that_agree_are_complete() -> None:
    """Only then does absence mean anything."""
    answers = ListingAnswers(Totals(2, 30), LIST_ROWS, UIDL_ROWS)
    assert combine(answers) == listing(ONE, TWO, complete=True)


def test_an_empty_maildrop_is_complete() -> None:
    """Nothing is there, three times over."""
    assert combine(ListingAnswers(Totals(0, 0), (), ())) == listing(complete=True)


def test_rows_out_of_order_are_put_in_order() -> None:
    """A number is a name, not a place."""
    answers = ListingAnswers(Totals(2, 30), LIST_ROWS[::-1], (b"002 b", b"1  a"))
    assert combine(answers) == listing(ONE, TWO, complete=True)


def test_a_repeated_unique_id_is_listed_twice() -> None:
    """Whether it is the same message its bytes will tell."""
    answers = ListingAnswers(Totals(2, 30), LIST_ROWS, (b"1 a", b"2 a"))
    assert combine(answers) == listing(ONE, (TWO[0], UniqueId(b"a"), 20), complete=True)


@pytest.mark.parametrize("totals", [None, Totals(0, 0), Totals(1, 30), Totals(3, 30)])
def test_totals_that_differ_make_it_incomplete(totals: Totals | None) -> None:
    """What is consistent is still listed."""
    assert combine(ListingAnswers(totals, LIST_ROWS, UIDL_ROWS)) == listing(ONE, TWO)


def test_without_list_sizes_are_zero() -> None:
    """UIDL alone is enough to go on, never to conclude."""
    answers = ListingAnswers(Totals(2, 30), None, UIDL_ROWS)
    assert combine(answers) == listing((*ONE[:2], 0), (*TWO[:2], 0))


@pytest.mark.parametrize(
    ("list_rows", "uidl_rows", "messages"),
    [
        (LIST_ROWS, (b"1 a",), [ONE]),
        (LIST_ROWS, (b"1 a", b"-ERR gone"), [ONE]),
        (LIST_ROWS, (b"1 a", b"2 b", b"2 c"), [ONE]),
        (LIST_ROWS, (b"1 a", b"2 b", b"2 b", b"2 b"), [ONE]),
        (LIST_ROWS, (b"1 a", b"2 b", b"0 z"), [ONE, TWO]),
        (LIST_ROWS, (b"1 a", b"3 c"), [ONE, (MessageNumber(3), UniqueId(b"c"), 0)]),
        ((b"1 10",), UIDL_ROWS, [ONE, (*TWO[:2], 0)]),
        ((b"1 10", b"2 x"), UIDL_ROWS, [ONE, (*TWO[:2], 0)]),
        ((b"1 10", b"2 20", b"2 21"), UIDL_ROWS, [ONE, (*TWO[:2], 0)]),
    ],
)
def test_rows_that_cannot_be_used_are_left_out_and_make_it_incomplete(
    list_rows: Sequence[bytes],
    uidl_rows: Sequence[bytes],
    messages: list[tuple[MessageNumber, UniqueId, int]],
) -> None:
    """One odd row never stops the mailbox (P5)."""
    combined = combine(ListingAnswers(Totals(2, 30), list_rows, uidl_rows))
    assert (combined.messages, combined.complete) == (listing(*messages).messages, False)


@pytest.mark.parametrize("uidl_rows", [(b"1 a",), (b"1 a", b"-ERR gone")])
def test_a_message_that_uidl_does_not_mention_is_counted(uidl_rows: Sequence[bytes]) -> None:
    """LIST shows that it is there, so somebody should know that it stays."""
    assert combine(ListingAnswers(Totals(2, 30), LIST_ROWS, uidl_rows)).left_out == 1


@pytest.mark.parametrize("uidl_row", [b"2", b"2 \0", b"2 " + b"u" * 1025])
def test_a_message_without_a_usable_unique_id_is_listed_nameless(uidl_row: bytes) -> None:
    """Which messages there are is known, so the listing is complete."""
    combined = combine(ListingAnswers(Totals(2, 30), LIST_ROWS, (b"1 a", uidl_row)))

    assert combined == listing(ONE, (MessageNumber(2), NAMELESS, 20), complete=True)


def test_without_uidl_all_are_nameless() -> None:
    """LIST and STAT tell how many there are; it is said why."""
    refusal = UidlUnsupported("no such command")
    combined = combine(ListingAnswers(Totals(2, 30), LIST_ROWS, refusal))

    assert [listed.unique_id for listed in combined.messages] == [NAMELESS, NAMELESS]
    assert combined.complete
    assert combined.without_uidl is refusal


@pytest.mark.parametrize("totals", [Totals(2, 30), None])
def test_without_uidl_and_list_there_is_what_stat_says(totals: Totals | None) -> None:
    """As many messages as it counts, of no known size; nothing is concluded from that."""
    combined = combine(ListingAnswers(totals, None, UidlUnsupported("no")))

    assert [m.number for m in combined.messages] == ([1, 2] if totals else [])
    assert not combined.complete


def test_a_gap_in_the_numbers_makes_it_incomplete() -> None:
    """A session begins with all numbers from 1 (RFC 1939 §5)."""
    answers = ListingAnswers(Totals(2, 30), (b"1 10", b"3 20"), (b"1 a", b"3 b"))
    assert not combine(answers).complete


def test_a_row_of_list_that_cannot_be_used_makes_it_incomplete() -> None:
    """Though the others agree: nobody knows what it was to say."""
    listing = combine(ListingAnswers(Totals(1, 10), [b"1 10", b"garbage"], [b"1 a"]))

    assert [message.octets for message in listing.messages] == [10]
    assert not listing.complete
