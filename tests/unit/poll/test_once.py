"""Whole polls: what they bring, their limits, and how they end."""

from collections.abc import Sequence

import pytest

from popsync.errors import (
    LedgerUnavailable,
    LocalProtocolError,
    PeerClosed,
    PopsyncError,
    UnexpectedError,
)
from popsync.model import DeliveryChange, DeliveryState, MessageState, PollSummary, SeenMessage
from popsync.poll.events import Deleted, Listed, PollEnded, Retrieved
from popsync.poll.judgement import Reason
from popsync.poll.once import plan_once
from popsync.poll.policy import Policy
from tests.doubles.destination import DEFERRED, OneShotDestination, TwoPhaseDestination
from tests.doubles.polling import ACCOUNT_ID, DAY_S, DELETE, A, B, C, Desk, message_key, state_of

# -- whole polls -------------------------------------------------------------------------------


async def test_keep_mode_delivers_and_leaves_the_mail(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """All is delivered once, in order; the session ends with QUIT and without DELE."""
    desk.server.add(A, B, C)

    report = await desk.poll_well()

    assert inbox.contents == [A, B, C]
    assert desk.server.left == [A, B, C]
    assert desk.server.log == ["LIST", "RETR 1", "RETR 2", "RETR 3", "QUIT"]
    assert report.summary == PollSummary(
        report.summary.began_at,
        report.summary.ended_at,
        listed=3,
        delivered=3,
        octets=len(A + B + C),
    )


async def test_a_second_poll_brings_nothing(desk: Desk, inbox: TwoPhaseDestination) -> None:
    """What is delivered is never retrieved again."""
    desk.server.add(A, B)
    await desk.poll_well()
    desk.server.log.clear()

    report = await desk.poll_well()

    assert desk.server.log == ["LIST", "QUIT"]
    assert report.summary.delivered == 0
    assert inbox.contents == [A, B]


async def test_delete_mode_deletes_what_is_delivered(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """In the same session, and only afterwards (P1)."""
    desk.policy = DELETE
    desk.server.add(A, B)
    seen = []
    desk.server.on_deleted = lambda stored: seen.append(stored.octets in inbox.contents)

    report = await desk.poll_well()

    assert seen == [True, True]
    assert desk.server.left == []
    assert desk.server.log[-3:] == ["DELE 1", "DELE 2", "QUIT"]
    assert report.summary.deleted == 2
    assert Deleted("work", 2) in desk.events
    assert await state_of(desk) is MessageState.SETTLED

    await desk.poll_well()
    assert await state_of(desk) is MessageState.GONE


async def test_delete_after_waits(desk: Desk, inbox: TwoPhaseDestination) -> None:
    """The message stays until its time has come, then goes without a second RETR."""
    desk.policy = Policy(deletes=True, delete_after_s=14 * DAY_S)
    desk.server.add(A)

    await desk.poll_well()
    desk.now += 14 * DAY_S - 5
    await desk.poll_well()
    assert desk.server.left == [A]
    desk.now += 10
    await desk.poll_well()

    assert desk.server.left == []
    assert desk.server.count("RETR") == 1
    assert inbox.contents == [A]


async def test_a_change_from_keep_to_delete_deletes_what_was_delivered(desk: Desk) -> None:
    """Without another RETR."""
    desk.server.add(A)
    await desk.poll_well()
    desk.policy = DELETE

    await desk.poll_well()

    assert desk.server.left == []
    assert desk.server.count("RETR") == 1


async def test_the_observer_hears_what_happens_in_order(desk: Desk) -> None:
    """Listed, retrieved, delivered, ended; with nothing new only the first and the last."""
    desk.server.add(b"Message-ID: <1@x>\r\n\r\n")

    report = await desk.poll_well()

    (delivered,) = desk.delivered
    assert desk.events == [
        Listed("work", 1, 1, 21),
        Retrieved("work", 1, 21),
        delivered,
        PollEnded(report),
    ]
    assert (delivered.unique_id, delivered.octets) == (b"u1", 21)
    assert (delivered.message_id, delivered.destination) == ("<1@x>", "inbox")

    desk.events.clear()
    report = await desk.poll_well()
    assert desk.events == [Listed("work", 1, 0, 0), PollEnded(report)]


async def test_every_content_is_closed_after_a_poll(desk: Desk) -> None:
    """Large ones occupy a descriptor each."""
    desk.server.add(A, B, C)

    await desk.poll_well()

    assert [content.closed for content in desk.server.contents] == [True] * 3


async def test_a_dry_run_changes_nothing(desk: Desk) -> None:
    """The plan of the poll, without the poll."""
    desk.policy = Policy(deletes=True, fetch_limit=1)
    desk.server.add(A, B)

    listing, plan = await plan_once(desk.account, desk.ports)

    assert len(listing.messages) == 2
    assert len(plan.retrieve) == 1
    assert plan.skip[0].reason is Reason.OVER_LIMIT
    assert desk.server.log == ["LIST", "QUIT"]
    assert not (await desk.ledger.memory(ACCOUNT_ID)).messages


async def test_a_dry_run_parts_from_a_broken_server(desk: Desk) -> None:
    """The error is the caller's, and the next session can begin."""
    desk.server.faults.break_after = 0

    with pytest.raises(PeerClosed):
        await plan_once(desk.account, desk.ports)

    await desk.poll_well()


# -- limits and adopting -----------------------------------------------------------------------


async def test_fetch_limit_spreads_mail_over_polls(desk: Desk, inbox: TwoPhaseDestination) -> None:
    """The rest comes at the next poll."""
    desk.policy = Policy(deletes=True, fetch_limit=2)
    desk.server.add(A, B, C)

    await desk.poll_well()
    assert inbox.contents == [A, B]
    await desk.poll_well()

    assert inbox.contents == [A, B, C]


async def test_a_large_message_is_held_until_it_is_allowed(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """It stays on the server; a larger ``max_size`` frees it."""
    desk.policy = Policy(deletes=True, max_octets=10)
    desk.server.add(A)
    first = await desk.poll_well()
    second = await desk.poll_well()
    assert (first.summary.held, second.summary.held) == (1, 0)
    (held,) = await desk.ledger.held()
    assert (held.oversize, held.reason) == (
        True,
        f"larger than max_size: {len(A)} octets, 10 allowed",
    )

    desk.policy = Policy(deletes=True, max_octets=100)
    await desk.poll_well()

    assert inbox.contents == [A]
    assert await desk.ledger.held() == ()


async def test_adopting_delivers_only_what_comes_later(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """And deletes nothing of what was there before."""
    desk.policy = Policy(deletes=True, adopts=True)
    desk.server.add(A)
    await desk.poll_well()
    desk.server.add(B)

    await desk.poll_well()

    assert inbox.contents == [B]
    assert desk.server.left == [A]


async def test_adopting_goes_on_after_an_incomplete_listing(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """What the first listing lacked was there before, too."""
    desk.policy = Policy(deletes=False, adopts=True)
    desk.server.add(A, B)
    desk.server.faults.not_listed = {b"u2"}
    await desk.poll_well()
    assert any("count as seen" in warning for warning in desk.warnings)
    desk.server.faults.not_listed = set()
    await desk.poll_well()
    desk.server.add(C)

    await desk.poll_well()

    assert inbox.contents == [C]


# -- the ledger, bugs and the end --------------------------------------------------------------


async def test_an_unknown_exception_costs_one_poll(desk: Desk, inbox: TwoPhaseDestination) -> None:
    """It is reported with its cause, on one line; nothing is deleted."""
    desk.policy = DELETE
    desk.server.add(A)

    async def fail(parcels: object) -> None:
        raise ValueError("bug\nforged line")

    inbox.before_delivery = fail
    report = await desk.poll()

    assert isinstance(report.error, UnexpectedError)
    assert isinstance(report.error.__cause__, ValueError)
    assert report.summary.error == "ValueError: bug\\nforged line"
    assert desk.server.left == [A]
    assert desk.server.log[-1] == "DROP"


async def test_a_ledger_that_cannot_close_the_poll_is_its_error(desk: Desk) -> None:
    """The report still reaches the observer."""
    await desk.ledger.close()

    report = await desk.poll()

    assert isinstance(report.error, PopsyncError)
    assert desk.events == [PollEnded(report)]


async def test_a_ledger_that_fails_only_at_the_end_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All went well but the summary."""
    failure = LedgerUnavailable("disk full")

    async def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(desk.ledger, "note_poll", fail)

    assert (await desk.poll()).error is failure


async def test_a_ledger_that_refuses_a_receipt_ends_the_poll(
    desk: Desk, inbox: TwoPhaseDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No DELE and no QUIT: what was delivered is known only to the destination (P1)."""
    desk.policy = DELETE
    desk.server.add(A, B)
    failure = LedgerUnavailable("disk full")
    record = desk.ledger.record

    async def refuse_receipts(
        seen: Sequence[SeenMessage], changes: Sequence[DeliveryChange]
    ) -> None:
        if any(change.state is DeliveryState.DELIVERED for change in changes):
            raise failure
        await record(seen, changes)

    monkeypatch.setattr(desk.ledger, "record", refuse_receipts)
    report = await desk.poll()

    assert report.error is failure
    assert desk.server.left == [A, B]
    monkeypatch.setattr(desk.ledger, "record", record)
    await desk.poll_well()
    assert (desk.server.left, inbox.contents) == ([], [A, B])


async def test_a_stop_finishes_what_is_in_hand(desk: Desk, inbox: TwoPhaseDestination) -> None:
    """No further RETR; what has arrived is delivered, deleted, and the session ends with QUIT."""
    desk.policy = DELETE
    desk.server.add(A, B, C)

    async def stop(burst: int) -> None:
        desk.stopping = True

    desk.server.before_burst = stop
    await desk.poll_well()

    assert inbox.contents == [A, B]
    assert desk.server.left == [C]
    assert desk.server.log[-1] == "QUIT"


@pytest.mark.parametrize("trouble", ["refusal", "sizes"])
async def test_a_stop_begins_no_second_session(
    desk: Desk, inbox: TwoPhaseDestination, trouble: str
) -> None:
    """What a second one would do waits for the next start."""
    desk.policy = DELETE
    desk.free_octets = 0
    desk.server.add(A, B)
    inbox.refusals[B] = DEFERRED
    desk.server.faults.disagree_after = 1 if trouble == "sizes" else None

    async def stop(burst: int) -> None:
        desk.stopping = True

    desk.server.before_burst = stop
    await desk.poll_well()

    assert desk.server.sessions == 1
    assert inbox.contents == [A]
    assert desk.server.left == [A, B]


async def test_a_bug_of_ours_on_the_wire_is_not_taken_for_a_lost_quit(desk: Desk) -> None:
    """It stops popsync, as any other."""
    desk.server.faults.break_after = 1
    desk.server.faults.error = LocalProtocolError("line too long")

    assert isinstance((await desk.poll()).error, LocalProtocolError)


async def test_a_delivery_whose_destination_is_gone_is_held(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """It is told once; the other destination is served, and nothing is deleted (P1)."""
    both.policy = DELETE
    both.server.add(A)
    relay.refusals[A] = DEFERRED
    await both.poll_well()
    del both.destinations["relay"]
    both.now += 600

    await both.poll_well()
    await both.poll_well()

    assert both.warnings == ["1 deliveries held: their destination is no longer configured"]
    assert both.server.left == [A]
    key = message_key(A, b"u1")
    states = {
        k.destination: s.state for k, s in (await both.ledger.deliveries([key]))[key].items()
    }
    assert states == {"inbox": DeliveryState.DELIVERED, "relay": DeliveryState.HELD}


async def test_a_poll_with_nothing_new_asks_for_nothing_that_is_open(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And waits for no transaction: what it came to is a person's business only."""
    desk.server.add(A)
    await desk.poll_well()
    put_off: list[object] = []

    def take(work: object) -> bool:
        put_off.append(work)
        return True

    monkeypatch.setattr(desk.ledger, "open_intents", None)
    monkeypatch.setattr(desk.ledger, "reroute", None)
    monkeypatch.setattr(desk.ledger._writer, "put_off", take)
    monkeypatch.setattr(desk.ledger._writer, "submit", None)

    report = await desk.poll_well()

    assert report.summary.listed == 1
    assert len(put_off) == 1
