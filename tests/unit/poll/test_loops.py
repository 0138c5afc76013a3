"""A message that goes round in circles is set aside, and only a person may send it on."""

import pytest

from popsync.errors import DeliveryLooped
from popsync.model import AccountId, DeliveryState
from popsync.poll.header import (
    format_loop_mark,
    make_loop_mark,
    read_header,
)
from popsync.poll.policy import Policy
from tests.doubles.destination import TwoPhaseDestination
from tests.doubles.polling import ACCOUNT_ID, DAY_S, Desk

HELD, DELIVERED = DeliveryState.HELD, DeliveryState.DELIVERED
WORDS = "it seems to go round in a loop: 51 servers have received it already"


def received(times: int, body: bytes = b"") -> bytes:
    """Give a message that so many servers have received."""
    return b"Received: from a by b;\r\n\tdate\r\n" * times + b"Subject: a\r\n\r\n" + body


LOOPED = received(51)


@pytest.mark.parametrize(
    ("head", "times"),
    [
        pytest.param(b"", 0, id="nothing"),
        pytest.param(received(1), 1, id="first"),
        pytest.param(received(51), 51, id="many"),
        pytest.param(b"RECEIVED: a\nreceived : b\n\nReceived: c\n", 2, id="spellings"),
        pytest.param(b"Received-SPF: pass\r\nX-Received: a\r\n\r\n", 0, id="other names"),
        pytest.param(b"Subject: a\r\n Received: b\r\n\r\n", 0, id="folded"),
        pytest.param(received(2, b"Received: a\r\n" * 99), 2, id="body"),
    ],
)
def test_received_fields_are_counted_in_the_header_only(head: bytes, times: int) -> None:
    """One for each server on the way."""
    assert read_header(iter((head,))).received == times


async def test_a_message_that_was_received_too_often_is_held(
    both: Desk, inbox: TwoPhaseDestination
) -> None:
    """By every destination, with the reason, while the others are delivered (P5)."""
    both.policy = Policy(deletes=True)
    both.server.add(received(50), LOOPED)

    report = await both.poll_well()

    assert inbox.contents == [received(50)]
    assert await both.states(LOOPED, b"u2") == {"inbox:": HELD, "relay:": HELD}
    assert {(type(r.error), str(r.error)) for r in both.refused} == {(DeliveryLooped, WORDS)}
    assert (report.summary.held, report.summary.deferred) == (1, 0)
    assert both.server.left == [LOOPED]


async def test_it_is_not_offered_again_by_itself(desk: Desk, inbox: TwoPhaseDestination) -> None:
    """To send it on is what keeps a loop going; unlike other held mail it just stays."""
    desk.server.add(LOOPED)
    for _ in range(6):
        await desk.poll_well()
        desk.now += 3 * DAY_S

    assert inbox.contents == []
    assert desk.server.count("RETR") == 1


async def test_the_operator_can_send_it_all_the_same(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Whoever wants it has looked at it."""
    desk.policy = Policy(deletes=True)
    desk.server.add(LOOPED)
    await desk.poll_well()
    (held,) = await desk.ledger.held()
    await desk.ledger.retry_held(held.id)
    await desk.poll_well()

    assert held.reply == WORDS
    assert inbox.contents == [LOOPED]
    assert desk.server.left == []


async def test_a_new_unique_id_does_not_set_it_free(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """It is held under its new name, and known."""
    desk.server.add(LOOPED, unique_id=b"u1")
    await desk.poll_well()
    desk.server.messages.clear()
    desk.server.add(LOOPED, unique_id=b"u2")
    for _ in range(3):
        desk.now += DAY_S
        await desk.poll_well()

    assert inbox.contents == []
    assert await desk.states(LOOPED, b"u2") == {"inbox:": HELD}


# -- our own mark ------------------------------------------------------------------------------

MARK = make_loop_mark("0123456789abcdef", ACCOUNT_ID)


def test_a_mark_depends_on_ledger_and_account() -> None:
    """Another account or another popsync is no loop, and who knows no token makes no mark."""
    others = {
        make_loop_mark("0123456789abcdef", AccountId("joe@pop.example.org")),
        make_loop_mark("fedcba9876543210", ACCOUNT_ID),
    }

    assert len(bytes.fromhex(MARK)) == 16
    assert len({MARK, *others}) == 3
    assert make_loop_mark("0123456789abcdef", ACCOUNT_ID) == MARK


@pytest.mark.parametrize(
    ("head", "marks"),
    [
        pytest.param(b"Subject: a\r\n\r\n", set(), id="none"),
        pytest.param(format_loop_mark(MARK), {MARK.encode()}, id="written and read"),
        pytest.param(b"X-Popsync-Loop: a\nX-Popsync-Loop: b\n\n", {b"a", b"b"}, id="several"),
        pytest.param(b"Subject: a\r\n\r\nX-Popsync-Loop: a\r\n", set(), id="body"),
        pytest.param(b"Subject: X-Popsync-Loop: a\r\n\r\n", set(), id="in a value"),
    ],
)
def test_marks_are_read_from_the_header_only(head: bytes, marks: set[bytes]) -> None:
    """A message that quotes another one is no loop."""
    assert read_header(iter((head,))).loop_marks == marks


async def test_what_comes_back_to_the_account_is_held(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """The mark stands behind the trace; the copy that comes back goes no further."""
    desk.trace, desk.loop_mark = True, MARK
    desk.server.add(b"Subject: a\r\n\r\n")
    await desk.poll_well()
    (arrived,) = inbox.arrived
    back = b"Received: again\r\n" + arrived.header + arrived.octets
    desk.server.add(back)
    report = await desk.poll_well()

    first, mark = arrived.header.splitlines(keepends=True)
    assert first.startswith(b"Received: ")
    assert mark == format_loop_mark(MARK)
    assert report.summary.held == 1
    assert str(desk.refused[0].error).endswith("delivered from this account before")
    assert len(inbox.arrived) == 1


@pytest.mark.parametrize(
    "mark", [make_loop_mark("another popsync", ACCOUNT_ID), "", "0" * 32, MARK.upper(), MARK[:-1]]
)
async def test_a_foreign_or_forged_mark_holds_nothing(
    desk: Desk, inbox: TwoPhaseDestination, mark: str
) -> None:
    """Nor does it keep ours from being written."""
    desk.loop_mark = MARK
    octets = format_loop_mark(mark) + b"Subject: a\r\n\r\n"
    desk.server.add(octets)
    await desk.poll_well()

    assert inbox.contents == [octets]
    assert inbox.arrived[0].header == format_loop_mark(MARK)


async def test_without_a_mark_of_its_own_an_account_holds_nothing(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """The trace is switched off; an empty mark in a message is not the account's."""
    octets = b"X-Popsync-Loop: \r\n\r\n"
    desk.server.add(octets)
    await desk.poll_well()

    assert inbox.contents == [octets]
    assert inbox.arrived[0].header == b""
