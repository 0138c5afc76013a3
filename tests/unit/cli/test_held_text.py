"""Messages that were set aside, in words and as JSON."""

from typing import Any

from popsync.cli.held_text import (
    format_held,
    format_held_message,
    held_document,
    read_fields,
)
from popsync.ledger.reports import HeldDelivery
from popsync.model import AccountId, UniqueId

NOW = 1_000_000.0
JANE = AccountId("jane@pop.example")
NAMES = {JANE: "gmx"}


def held(number: int, **changes: Any) -> HeldDelivery:
    """Make one delivery that was refused for good an hour ago."""
    row = HeldDelivery(
        id=number,
        account=JANE,
        unique_id=UniqueId(b"u\x1b"),
        octets=1500,
        first_seen=NOW - 3600,
        destination="mta",
        recipient="a@b",
        reply="550 no such user",
        attempts=2,
        next_try=NOW + 60,
        reason="",
        oversize=False,
    )
    return row._replace(**changes)


TOO_LARGE = held(
    8, destination="", recipient="", reply="", reason="larger than max_size", oversize=True
)


def test_nothing_held_is_said_in_words() -> None:
    """No table without rows."""
    assert format_held([], NAMES, NOW) == ["Nothing is held."]


def test_each_delivery_has_a_line_with_its_reason() -> None:
    """The destination's words, or why it was never retrieved."""
    _, refused, large = format_held([held(7), TOO_LARGE], NAMES, NOW)

    assert " ".join(refused.split()) == ("7 gmx 1 hour ago 1.5 kB mta a@b 550 no such user")
    assert large.endswith("  -            larger than max_size")


def test_one_message_is_shown_with_all_its_deliveries() -> None:
    """Unique-id escaped, attempts, and when it is tried again if ever."""
    other = held(7, recipient="c@d", attempts=1, next_try=None)

    assert list(format_held_message([held(7), other], NAMES, NOW)) == [
        "Message 7",
        "  account:     gmx (jane@pop.example)",
        "  unique-id:   u\\x1b",
        "  size:        1.5 kB (1500 octets)",
        "  first seen:  1 hour ago",
        "  where:       on the server",
        "  mta a@b:",
        "    why:       550 no such user",
        "    tried:     2 times",
        "    next try:  in 1 minute",
        "  mta c@d:",
        "    why:       550 no such user",
        "    tried:     1 time",
    ]


def test_the_document_groups_deliveries_by_message() -> None:
    """One entry for each message; what is absent is null."""
    document = held_document([held(7), held(7, recipient="c@d"), TOO_LARGE], NAMES)

    first = document["messages"][0]
    assert (first["account"], first["account_id"]) == ("gmx", JANE)
    assert [(m["id"], len(m["deliveries"])) for m in document["messages"]] == [(7, 2), (8, 1)]
    assert document["messages"][1]["deliveries"][0]["destination"] is None
    assert document["messages"][1]["oversize"] is True


def test_what_waits_in_the_spool_says_so() -> None:
    """With the destination's last words, or none; and with why its copy cannot be used."""
    waiting = held(9, is_waiting=True, spooled=True, reply="451 later", reason="damaged")
    _, told, silent = format_held([waiting, waiting._replace(reply="", reason="")], {}, NOW)

    assert told.endswith("waits: 451 later; damaged")
    assert silent.endswith("waits for its destination")


def test_a_message_says_where_it_is_and_who_wrote_it() -> None:
    """The fields of its header stand behind, whatever strangers put into them."""
    here = held(9, spooled=True)
    fields = {"Subject": "a\x1b[2J"}
    lines = list(format_held_message([here], NAMES, NOW, fields))

    assert "  where:       here and on the server" in lines
    assert "  Subject:     a\\x1b[2J" in lines
    alone = list(format_held_message([here._replace(left=True)], {}, NOW))
    assert "  where:       here, and not on the server any more" in alone


def test_the_document_of_one_message_has_its_header() -> None:
    """And says whether there is a copy, and whether the server still has it."""
    document = held_document([held(9, spooled=True, left=True)], {}, {"Subject": "hello"})

    (message,) = document["messages"]
    assert message["header"] == {"Subject": "hello"}
    assert (message["spooled"], message["on_server"]) == (True, False)


def test_fields_are_read_from_a_header() -> None:
    """Folded, decoded, the first of each, and nothing behind the empty line."""
    head = (
        b"Received: by x\r\nSUBJECT : =?iso-8859-1?q?gr=FCn?=\r\n =?utf-8?q?_und?=\r\n"
        b"Subject: second\r\nFrom: \xff\xfe@x\r\n\r\nTo: text"
    )

    assert read_fields(head) == {"Subject": "grün und", "From": "\\xff\\xfe@x"}


def test_fields_that_cannot_be_decoded_are_shown_as_they_are() -> None:
    """No header, however odd, keeps a message from being shown."""
    assert read_fields(b"Subject: =?nonsense?q?x?=\n") == {"Subject": "=?nonsense?q?x?="}
    assert read_fields(b"") == {}
    assert read_fields(b"no header at all\n\n") == {}
