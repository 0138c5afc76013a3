"""Polls whose destinations are in trouble, or leave it in doubt what they took."""

from pathlib import Path

from popsync.errors import DeliveryRejected, DestinationUnavailable
from popsync.model import DeliveryState, MessageState
from popsync.poll.policy import Policy
from tests.doubles.destination import DEFERRED, REJECTED, OneShotDestination, TwoPhaseDestination
from tests.doubles.polling import DELETE, A, B, C, Desk, state_of

# -- destinations in trouble -------------------------------------------------------------------


async def test_a_deferred_message_that_cannot_wait_here_keeps_the_session_from_quit(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """The first session is dropped, so that no server hides B; a second one deletes A and C."""
    desk.policy = DELETE
    desk.free_octets = 0
    desk.server.faults.hides_retrieved = True
    desk.server.add(A, B, C)
    inbox.refusals[B] = DEFERRED

    report = await desk.poll_well()

    assert desk.server.log[4:] == ["DROP", "LIST", "DELE 1", "DELE 3", "QUIT"]
    assert desk.server.left == [B]
    assert (report.summary.delivered, report.summary.deferred) == (2, 1)
    assert [event.state for event in desk.refused] == [DeliveryState.DEFERRED]

    inbox.refusals.clear()
    desk.now += 600
    await desk.poll_well()
    assert inbox.contents == [A, C, B]
    assert desk.server.left == []


async def test_a_rejected_message_is_held_and_never_deleted(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """One bad message stops no other (P5); it is offered again after an hour."""
    desk.policy = DELETE
    desk.server.add(A, B)
    inbox.refusals[A] = REJECTED

    report = await desk.poll_well()

    assert report.summary.held == 1
    assert inbox.contents == [B]
    assert desk.server.left == [A]
    assert (await desk.ledger.held())[0].reply == "554 not here"

    await desk.poll_well()
    desk.now += 3600
    inbox.refusals.clear()
    await desk.poll_well()
    assert inbox.contents == [B, A]
    await desk.poll_well()
    assert desk.server.left == []
    assert desk.server.count("RETR") == 2


async def test_keep_mode_opens_no_second_session_for_a_refusal(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """There is nothing to delete, so the first session is dropped and that is all."""
    desk.free_octets = 0
    desk.server.add(A)
    inbox.refusals[A] = DEFERRED

    await desk.poll_well()

    assert desk.server.log == ["LIST", "RETR 1", "DROP"]


async def test_a_message_that_one_destination_refuses_is_kept_for_it(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """The other has it at once, and gets it only once (P4)."""
    both.policy = DELETE
    both.server.add(A, B)
    relay.refusals[A] = DeliveryRejected("554 no")

    await both.poll_well()

    assert inbox.contents == [A, B]
    assert relay.contents == [B]
    assert both.server.left == [A]
    assert await both.states(A, b"u1") == {
        "inbox:": DeliveryState.DELIVERED,
        "relay:": DeliveryState.HELD,
    }

    relay.refusals.clear()
    both.now += 3600
    await both.poll_well()
    assert inbox.contents == [A, B]
    assert relay.contents == [B, A]
    await both.poll_well()
    assert both.server.left == []


async def test_nothing_is_retrieved_while_no_destination_takes_mail(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """The poll ends before the first RETR, in the words of one that is down."""
    both.policy = DELETE
    both.server.add(A)
    inbox.down = relay.down = True

    report = await both.poll()

    assert isinstance(report.error, DestinationUnavailable)
    assert report.summary.error == "inbox is down"
    assert both.server.log == ["LIST", "QUIT"]


async def test_a_destination_that_goes_down_is_owed_what_the_other_has(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """The ledger knows both deliveries from the first record on, so nothing is deleted (P1)."""
    both.policy = DELETE
    both.server.add(A)

    async def go_down(parcels: object) -> None:
        relay.down = True

    relay.before_delivery = go_down
    report = await both.poll_well()
    assert report.summary.deferred == 1
    assert inbox.contents == [A]
    assert both.server.left == [A]

    relay.down = False
    relay.before_delivery = inbox.before_delivery
    await both.poll_well()
    assert inbox.contents == [A]
    assert relay.contents == [A]
    assert both.server.left == []


async def test_every_recipient_has_a_delivery_of_its_own(tmp_path: Path) -> None:
    """One parcel serves both; each has its receipt."""
    lmtp = OneShotDestination("lmtp+jane+joe")
    desk = Desk(tmp_path, lmtp)
    await desk.open()
    desk.server.add(A)

    report = await desk.poll_well()

    assert [arrived.recipients for arrived in lmtp.arrived] == [("jane", "joe")]
    assert await desk.states(A, b"u1") == {
        "lmtp+jane+joe:jane": DeliveryState.DELIVERED,
        "lmtp+jane+joe:joe": DeliveryState.DELIVERED,
    }
    assert report.summary.delivered == 1
    await desk.close()


async def test_nothing_is_deleted_that_a_destination_of_today_never_got(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Kept mail and a new destination do not make an old receipt a new one (P1)."""
    desk.server.add(A)
    await desk.poll_well()
    desk.policy = Policy(deletes=True, destinations=frozenset({"inbox", "archive"}))

    await desk.poll_well()

    assert desk.server.left == [A]
    assert desk.warnings == [
        "1 not deleted: delivered before all of its destinations were configured, so it stays"
    ]

    desk.policy = Policy(deletes=True, destinations=frozenset({"inbox"}))
    await desk.poll_well()

    assert desk.server.left == []


# -- in doubt ----------------------------------------------------------------------------------


async def test_a_lost_reply_is_sent_again_with_a_mark(
    relayed: Desk, relay: OneShotDestination
) -> None:
    """At the next poll, not within the same; both copies arrive, the second says so (P4)."""
    relayed.policy = DELETE
    relayed.server.add(A)
    relay.lose_replies = 1

    report = await relayed.poll()
    assert isinstance(report.error, DestinationUnavailable)
    assert relayed.server.left == [A]
    await relayed.poll_well()

    assert [(m.octets, m.marked) for m in relay.arrived] == [(A, False), (A, True)]
    assert relay.arrived[1].header == b"X-Popsync-Redelivery: 1\r\n"
    assert relayed.server.left == []


async def test_a_message_in_doubt_is_not_sent_again_by_the_session_that_deletes(
    relayed: Desk, relay: OneShotDestination
) -> None:
    """The second session of a poll only deletes; three doubts in a minute would prove nothing."""
    relayed.policy = DELETE
    relayed.free_octets = 0
    relayed.server.add(A, B)
    relay.lose_replies = 1
    relay.parts_when_lost = False

    await relayed.poll_well()

    assert relay.contents == [A, B]
    assert relayed.server.left == [A]
    assert relayed.server.sessions == 2


async def test_a_message_still_in_doubt_after_three_repeats_is_held(
    relayed: Desk, relay: OneShotDestination
) -> None:
    """It has been sent again three times, each with a mark; then a person decides."""
    relayed.server.add(A)
    relay.lose_replies = 9

    for _ in range(6):
        await relayed.poll()

    assert [m.marked for m in relay.arrived] == [False, True, True, True]
    assert await state_of(relayed) is MessageState.HELD

    (held,) = await relayed.ledger.held()
    await relayed.ledger.retry_held(held.id)
    relay.lose_replies = 0
    await relayed.poll_well()
    assert relay.arrived[-1].header == b"X-Popsync-Redelivery: 4\r\n"


async def test_the_trace_comes_before_the_mark(relayed: Desk, relay: OneShotDestination) -> None:
    """Both are complete header lines in front of the content."""
    relayed.trace = True
    relayed.server.add(A)
    relay.lose_replies = 1
    await relayed.poll()

    await relayed.poll_well()

    first, second = relay.arrived
    assert first.header.startswith(b"Received: by here id ")
    assert second.header == first.header + b"X-Popsync-Redelivery: 1\r\n"
    assert second.reverse_path == "from@example.org"
