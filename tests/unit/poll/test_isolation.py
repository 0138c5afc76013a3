"""A bug that one message brings to light costs that message, and no other (P5)."""

from collections.abc import Iterator, Sequence

import pytest

from popsync.errors import UnexpectedError
from popsync.model import DeliveryState, Parcel
from popsync.poll.header import Header, read_header
from popsync.poll.policy import Policy
from tests.doubles.destination import MemoryDestination, OneShotDestination, TwoPhaseDestination
from tests.doubles.polling import DAY_S, Desk

A, CULPRIT, C = b"Subject: a\r\n\r\n", b"Subject: culprit\r\n\r\n", b"Subject: c\r\n\r\n"
DELETE = Policy(deletes=True)
DELIVERED, DEFERRED, HELD = DeliveryState.DELIVERED, DeliveryState.DEFERRED, DeliveryState.HELD


def fails_on(*culprits: bytes, destination: MemoryDestination) -> None:
    """Let a destination fail on some contents, as a bug would, before anything is taken."""

    async def fail(parcels: Sequence[Parcel]) -> None:
        for parcel in parcels:
            if b"".join(parcel.content.chunks()) in culprits:
                raise ValueError("bug\nforged line")

    destination.before_delivery = fail


async def test_the_others_of_the_batch_are_delivered(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """The bug is told as before; the culprit waits, with the reason in the ledger."""
    desk.policy = DELETE
    desk.server.add(A, CULPRIT, C)
    fails_on(CULPRIT, destination=inbox)

    report = await desk.poll()

    assert isinstance(report.error, UnexpectedError)
    assert inbox.contents == [A, C]
    assert await desk.states(CULPRIT, b"u2") == {"inbox:": DEFERRED}
    assert (report.summary.delivered, report.summary.deferred) == (2, 1)
    (refused,) = desk.refused
    assert str(refused.error) == "popsync fails on this message: ValueError: bug\\nforged line"
    assert all(content.closed for content in desk.server.contents)


async def test_the_mailbox_goes_on_at_the_next_poll(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """New mail arrives and is deleted, while the culprit waits on the server (P1)."""
    desk.policy = DELETE
    desk.server.add(A, CULPRIT)
    fails_on(CULPRIT, destination=inbox)
    await desk.poll()
    desk.server.add(C)

    await desk.poll_well()

    assert inbox.contents == [A, C]
    assert desk.server.left == [CULPRIT]


async def test_after_three_times_it_is_held_and_never_deleted(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """It is offered a few times more, like all that is held, and the operator can see it."""
    desk.policy = DELETE
    desk.server.add(CULPRIT)
    fails_on(CULPRIT, destination=inbox)
    seen = []
    for _ in range(8):
        await desk.poll()
        seen.append((await desk.states(CULPRIT, b"u1"))["inbox:"])
        desk.now += 2 * DAY_S
    (held,) = await desk.ledger.held()

    assert seen == [DEFERRED, DEFERRED, *[HELD] * 6]
    assert held.reply == "popsync fails on this message: ValueError: bug\\nforged line"
    assert desk.server.left == [CULPRIT]


async def test_once_the_bug_is_mended_it_is_delivered(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """The operator lets it be tried again, and it arrives as it came."""
    desk.policy = DELETE
    desk.server.add(CULPRIT)
    fails_on(CULPRIT, destination=inbox)
    for _ in range(3):
        await desk.poll()
        desk.now += DAY_S / 24 / 4
    fails_on(destination=inbox)
    (held,) = await desk.ledger.held()
    await desk.ledger.retry_held(held.id)
    await desk.poll_well()

    assert inbox.contents == [CULPRIT]
    assert desk.server.left == []


async def test_when_all_of_several_fail_none_is_blamed(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Then it is the destination's bug, and setting aside all mail would hide it."""
    desk.server.add(A, C)
    fails_on(A, C, destination=inbox)

    report = await desk.poll()

    assert isinstance(report.error, UnexpectedError)
    assert (await desk.ledger.memory(desk.account.id)).messages == {}
    fails_on(destination=inbox)
    await desk.poll_well()
    assert inbox.contents == [A, C]


async def test_a_bug_that_does_not_come_again_costs_no_message(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Too little memory, say: all are delivered, none is blamed, the error is told."""
    desk.server.add(A, C)

    async def fail_together(parcels: Sequence[Parcel]) -> None:
        if len(parcels) > 1:
            raise MemoryError

    inbox.before_delivery = fail_together
    report = await desk.poll()

    assert isinstance(report.error, UnexpectedError)
    assert inbox.contents == [A, C]
    assert (report.summary.delivered, report.summary.deferred) == (2, 0)


async def test_a_message_that_cannot_be_read_stops_no_other(
    desk: Desk, inbox: TwoPhaseDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even to name it in the ledger is it read again."""
    desk.server.add(A, CULPRIT, C)

    def fail(chunks: Iterator[bytes]) -> Header:
        (octets,) = chunks
        if octets == CULPRIT:
            raise IndexError
        return read_header(iter((octets,)))

    monkeypatch.setattr("popsync.poll.consignment.read_header", fail)
    await desk.poll()

    assert inbox.contents == [A, C]
    assert await desk.states(CULPRIT, b"u2") == {"inbox:": DEFERRED}


async def test_what_another_destination_takes_it_has_once(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """The batch is tried again only where a receipt is missing (P4)."""
    both.server.add(A, CULPRIT, C)
    fails_on(CULPRIT, destination=relay)

    await both.poll()

    assert inbox.contents == [A, CULPRIT, C]
    assert relay.contents == [A, C]
    assert await both.states(CULPRIT, b"u2") == {"inbox:": DELIVERED, "relay:": DEFERRED}


async def test_what_may_have_arrived_is_left_to_recovery(
    relayed: Desk, relay: OneShotDestination
) -> None:
    """A bug between dot and reply: sent again with a mark, as after a crash (P4)."""
    relayed.server.add(A, C)
    dots = 0

    def fail(step: str) -> None:
        nonlocal dots
        dots += step == "reply"
        if dots == 1 and step == "reply":
            raise ValueError("bug")

    relay.step = fail
    await relayed.poll()
    assert await relayed.states(A, b"u1") == {"relay:": DeliveryState.DOT_SENT}
    await relayed.poll_well()

    assert relay.contents == [A, C, A]
    assert [arrived.marked for arrived in relay.arrived] == [False, False, True]


async def test_a_destination_that_goes_down_meanwhile_blames_nobody(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """What is known of the culprit is too little, and the next poll finds out; the bug is told."""
    desk.server.add(A, CULPRIT)

    async def fail(parcels: Sequence[Parcel]) -> None:
        if len(parcels) > 1:
            raise ValueError("bug")
        inbox.down = True

    inbox.before_delivery = fail
    report = await desk.poll()

    assert isinstance(report.error, UnexpectedError)
    assert desk.refused == []
