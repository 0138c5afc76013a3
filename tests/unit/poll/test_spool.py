"""What was retrieved and not delivered waits in the spool: no second RETR, and no server."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from popsync.errors import (
    DeliveryError,
    DestinationMisconfigured,
    DestinationUnavailable,
    LedgerUnavailable,
    ServerUnavailable,
)
from popsync.model import DeliveryState, MessageState, Outcome, Parcel, Refusal
from popsync.poll import plan
from popsync.poll.judgement import Reason
from tests.doubles.destination import (
    DEFERRED,
    REJECTED,
    OneShotDestination,
    TwoPhaseDestination,
)
from tests.doubles.polling import ACCOUNT_ID, DAY_S, DELETE, Desk, state_of

A, B, C = (b"Message-ID: <%c@x>\r\n\r\n%c" % (c, c) for c in b"abc")
LATER_S = 600


async def restart(desk: Desk) -> None:
    """End the process and begin another."""
    await desk.close()
    await desk.open()


async def put_off(desk: Desk, destination: TwoPhaseDestination, *messages: bytes) -> None:
    """Retrieve messages that the destination does not take yet; afterwards it would."""
    desk.server.add(*messages)
    destination.refusals.update(dict.fromkeys(messages, DEFERRED))
    await desk.poll_well()
    destination.refusals.clear()
    desk.now += LATER_S


# -- one destination ---------------------------------------------------------------------------


async def test_a_deferred_message_waits_in_the_spool_and_the_session_ends_well(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """A and C are deleted in the same session; B is not, for nobody has it yet (P1)."""
    desk.policy = DELETE
    desk.server.add(A, B, C)
    inbox.refusals[B] = DEFERRED

    report = await desk.poll_well()

    assert desk.server.log[-3:] == ["DELE 1", "DELE 3", "QUIT"]
    assert desk.server.sessions == 1
    assert desk.server.left == [B]
    assert len(desk.spooled) == 1
    assert (report.summary.delivered, report.summary.deferred) == (2, 1)


@pytest.mark.parametrize("restarts", [False, True])
async def test_what_waits_is_delivered_without_retrieving_it_again(
    desk: Desk, inbox: TwoPhaseDestination, *, restarts: bool
) -> None:
    """Once it is due, also by another process; then it is deleted, and its copy is gone."""
    desk.policy = DELETE
    await put_off(desk, inbox, A)
    if restarts:
        await restart(desk)

    report = await desk.poll_well()

    assert inbox.contents == [A]
    assert report.summary.delivered == 1
    assert desk.server.count("RETR") == 1
    assert desk.server.left == []
    assert desk.spooled == []


async def test_nothing_is_tried_before_it_is_due(desk: Desk, inbox: TwoPhaseDestination) -> None:
    """Neither from the spool nor by retrieving it; the plan says why."""
    await put_off(desk, inbox, A)
    desk.now -= LATER_S

    report = await desk.poll_well()

    assert inbox.contents == []
    assert inbox.batches == [1]
    assert desk.server.log[-2:] == ["LIST", "QUIT"]
    assert report.summary.deferred == 0
    memory = await desk.ledger.memory(ACCOUNT_ID)
    maildrop = await desk.server.open(lock_step=False)
    listing = await maildrop.list()
    await maildrop.drop()
    planned = plan.plan_poll(listing, memory, desk.policy, desk.now)
    assert [skip.reason for skip in planned.skip] == [Reason.SPOOLED]


async def test_a_message_that_a_server_hides_is_delivered(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Three times put off, and shown by nobody any more: Gmail hides what was retrieved."""
    desk.server.faults.hides_retrieved = True
    desk.server.add(A, B)
    inbox.refusals[A] = DEFERRED
    for _ in range(3):
        await desk.poll_well()
        assert await state_of(desk) is MessageState.PENDING
        desk.now += DAY_S
    inbox.refusals.clear()
    await desk.poll_well()

    assert inbox.contents == [B, A]
    assert desk.server.count("RETR") == 2
    assert desk.spooled == []
    assert await state_of(desk) is MessageState.GONE


async def test_what_waits_is_delivered_while_the_server_is_down(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """The poll fails, and the message has arrived all the same."""
    await put_off(desk, inbox, A)
    desk.server.faults.refused_login = ServerUnavailable("-ERR [SYS/TEMP] later")

    report = await desk.poll()

    assert isinstance(report.error, ServerUnavailable)
    assert report.summary.delivered == 1
    assert inbox.contents == [A]


async def test_a_tombstone_is_not_pruned_while_its_message_waits(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """However long that takes."""
    desk.server.faults.hides_retrieved = True
    desk.server.add(A)
    inbox.refusals[A] = REJECTED
    await desk.poll_well()
    desk.server.add(B)
    for _ in range(3):
        desk.now += 60 * DAY_S
        await desk.poll_well()
    desk.server.add(C)  # what leaves now has the old tombstones looked at
    await desk.poll_well()
    await desk.poll_well()
    assert await state_of(desk) is MessageState.HELD

    inbox.refusals.clear()
    (held,) = await desk.ledger.held()
    await desk.ledger.retry_held(held.id)
    await desk.poll_well()

    assert inbox.contents == [B, C, A]


async def test_a_hidden_message_that_is_shown_again_is_not_doubled(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """It is looked at, for it might be another one under the same unique-id; once."""
    desk.server.faults.hides_retrieved = True
    desk.server.add(A)
    inbox.refusals[A] = DEFERRED
    await desk.poll_well()
    await desk.poll_well()
    desk.server.faults.hides_retrieved = False
    desk.server.messages[0].hidden = False
    await desk.poll_well()
    await desk.poll_well()
    assert desk.server.count("RETR") == 2

    inbox.refusals.clear()
    desk.now += DAY_S
    await desk.poll_well()
    await desk.poll_well()

    assert inbox.contents == [A]
    assert desk.server.count("RETR") == 2


async def test_a_unique_id_that_was_given_to_another_message_loses_neither(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """A left while it waited here; B, of the same size, has its unique-id now (P1)."""
    desk.policy = DELETE
    await put_off(desk, inbox, A)
    desk.server.messages.clear()
    inbox.refusals[A] = DEFERRED
    await desk.poll_well()
    inbox.refusals.clear()
    desk.now += DAY_S
    desk.server.add(B, unique_id=b"u1")
    await desk.poll_well()
    await desk.poll_well()

    assert sorted(inbox.contents) == [A, B]
    assert desk.server.left == []


async def test_mail_that_left_before_it_was_delivered_counts_as_gone_with_its_delivery(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Its unique-id may name another message in the listing that follows at once (P1)."""
    desk.policy = DELETE
    await put_off(desk, inbox, A)
    inbox.refusals[A] = DEFERRED
    desk.server.messages.clear()
    await desk.poll_well()
    inbox.refusals.clear()
    desk.now += 2 * LATER_S
    desk.server.add(B, unique_id=b"u1")

    await desk.poll_well()

    assert inbox.contents == [A, B]


async def test_renamed_messages_are_not_delivered_from_the_spool_as_well(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """What a server lists under a new unique-id takes the place of the copy, with its history."""
    await put_off(desk, inbox, A)
    inbox.refusals[A] = DEFERRED
    desk.server.renumber()
    await desk.poll_well()
    assert [event.state for event in desk.refused][-1] is DeliveryState.DEFERRED
    inbox.refusals.clear()
    desk.now += DAY_S
    await desk.poll_well()
    await desk.poll_well()

    assert inbox.contents == [A]
    assert desk.spooled == []


async def test_a_message_that_left_long_ago_is_recognised_under_a_new_name(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Hidden for a while, it comes back renamed: still one message (P4)."""
    await put_off(desk, inbox, A)
    desk.now -= LATER_S
    (stored,) = desk.server.messages
    stored.hidden = True
    await desk.poll_well()
    stored.hidden, stored.unique_id = False, b"new"
    await desk.poll_well()
    desk.now += DAY_S
    await desk.poll_well()
    await desk.poll_well()

    assert inbox.contents == [A]


async def test_mail_in_the_spool_does_not_look_like_a_renumbered_mailbox(
    desk: Desk, inbox: TwoPhaseDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most known messages are hidden, and that proves nothing."""
    monkeypatch.setattr(plan, "RENUMBERING_MIN_KNOWN", 2)
    desk.server.faults.hides_retrieved = True
    await put_off(desk, inbox, A, B)
    desk.now -= LATER_S
    desk.server.add(C)

    await desk.poll_well()

    assert inbox.contents == [C]
    assert desk.warnings == []


async def test_a_full_spool_drops_the_connection(desk: Desk, inbox: TwoPhaseDestination) -> None:
    """As much as fits is kept; for the rest the server must not hide it. It is told."""
    desk.spool_octets = len(A)
    await restart(desk)
    desk.server.faults.hides_retrieved = True
    await put_off(desk, inbox, A, B)

    assert desk.server.log[-1] == "DROP"
    assert len(desk.spooled) == 1
    assert "spool_size" in desk.warnings[0]

    await desk.poll_well()
    await desk.poll_well()
    assert sorted(inbox.contents) == [A, B]
    assert desk.spooled == []


async def test_a_ledger_that_cannot_say_spooled_keeps_the_session_from_quit(
    desk: Desk, inbox: TwoPhaseDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that the ledger does not speak of is no copy: the next start takes it away."""

    async def fail(_messages: object) -> None:
        raise LedgerUnavailable("disk I/O error")

    desk.server.add(A)
    inbox.refusals[A] = DEFERRED
    with monkeypatch.context() as patch:
        patch.setattr(desk.ledger, "note_spooled", fail)
        report = await desk.poll()
    assert isinstance(report.error, LedgerUnavailable)
    assert desk.server.log[-1] == "DROP"

    await restart(desk)
    assert desk.spooled == []
    inbox.refusals.clear()
    desk.now += LATER_S
    await desk.poll_well()
    assert inbox.contents == [A]


async def test_a_rejected_message_is_offered_again_from_the_spool(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Held ones wait there, too; what the operator drops is taken away at the next poll."""
    desk.server.add(A, B)
    inbox.refusals.update({A: REJECTED, B: REJECTED})
    await desk.poll_well()
    assert len(desk.spooled) == 2

    first, second = await desk.ledger.held()
    await desk.ledger.retry_held(first.id)
    await desk.ledger.drop_held(second.id)
    inbox.refusals.clear()
    await desk.poll_well()

    assert inbox.contents == [A]
    assert desk.server.count("RETR") == 2
    assert desk.spooled == []
    assert desk.server.left == [A, B]


async def test_a_suspect_message_keeps_its_mark(desk: Desk, inbox: TwoPhaseDestination) -> None:
    """Delivered from the spool once, marked; then one more look at the server, as ever."""
    desk.policy = DELETE
    desk.server.faults.suspect.add(b"u1")
    await put_off(desk, inbox, A)
    await desk.poll_well()

    assert [arrived.header.split(b":")[0] for arrived in inbox.arrived] == [b"X-Popsync-Suspect"]
    assert desk.server.left == [A]
    assert desk.server.count("RETR") == 2


async def test_a_lost_reply_is_sent_again_from_the_spool_with_a_mark(
    relayed: Desk, relay: OneShotDestination
) -> None:
    """The doubts are the delivery's, wherever the message comes from (P4)."""
    relayed.server.faults.hides_retrieved = True
    relayed.server.add(A)
    relay.lose_replies = 1
    report = await relayed.poll()
    assert isinstance(report.error, DestinationUnavailable)
    await relayed.poll_well()

    assert [(m.octets, m.marked) for m in relay.arrived] == [(A, False), (A, True)]
    assert relayed.server.count("RETR") == 1


async def test_what_comes_from_the_spool_comes_in_batches_and_oldest_first(
    desk: Desk, inbox: TwoPhaseDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So much at a time that memory stays bounded (P8)."""
    monkeypatch.setattr("popsync.poll.spooled.MAX_BATCH_MESSAGES", 2)
    await put_off(desk, inbox, A, B, C)
    inbox.batches.clear()

    await desk.poll_well()

    assert inbox.contents == [A, B, C]
    assert inbox.batches == [2, 1]


async def test_a_stop_leaves_the_rest_in_the_spool(
    desk: Desk, inbox: TwoPhaseDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch in hand is finished, and the other one is there at the next start."""
    monkeypatch.setattr("popsync.poll.spooled.MAX_BATCH_MESSAGES", 1)
    await put_off(desk, inbox, A, B)

    async def stop(parcels: Sequence[Parcel]) -> None:
        desk.stopping = True

    inbox.before_delivery = stop
    await desk.poll_well()

    assert inbox.contents == [A]
    assert len(desk.spooled) == 1


@pytest.mark.parametrize(("error", "age_s"), [(DEFERRED, 2 * DAY_S), (REJECTED, LATER_S * 7)])
async def test_what_is_refused_again_and_again_lets_new_mail_go_first(
    relayed: Desk, relay: OneShotDestination, error: DeliveryError, age_s: float
) -> None:
    """A few of those make a relay look unavailable; they are tried, and hold up nobody (P5)."""
    tried: list[bytes] = []
    relayed.server.add(A, B)
    relay.refusals.update({A: error, B: error})
    await relayed.poll_well()
    relayed.now += age_s
    relayed.server.add(C)

    async def look(parcels: Sequence[Parcel]) -> None:
        tried.extend(b"".join(parcel.content.chunks()) for parcel in parcels)

    relay.before_delivery = look
    await relayed.poll_well()

    assert tried == [C, A, B]


async def test_what_lets_others_go_first_is_tried_without_the_server_too(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Whatever became of the session."""
    desk.server.add(A)
    inbox.refusals[A] = REJECTED
    await desk.poll_well()
    inbox.refusals.clear()
    desk.now += DAY_S
    desk.server.faults.refused_login = ServerUnavailable("-ERR [SYS/TEMP] later")
    report = await desk.poll()

    assert isinstance(report.error, ServerUnavailable)
    assert inbox.contents == [A]


# -- damage ------------------------------------------------------------------------------------


def damage(desk: Desk) -> None:
    """Spoil the only file in the spool."""
    (file,) = desk.spooled
    file.write_bytes(b"spoilt")


async def test_a_damaged_copy_is_retrieved_again(desk: Desk, inbox: TwoPhaseDestination) -> None:
    """While the server has the message; and it is told."""
    await put_off(desk, inbox, A)
    damage(desk)

    await desk.poll_well()

    assert inbox.contents == [A]
    assert desk.spooled == []
    assert "the copy in the spool is damaged" in desk.warnings[0]


async def test_a_damaged_copy_is_mended_by_the_next_one(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Retrieved again and put off again, it waits as before."""
    await put_off(desk, inbox, A)
    damage(desk)
    inbox.refusals[A] = DEFERRED
    await desk.poll_well()
    await desk.poll_well()
    assert desk.server.count("RETR") == 2
    inbox.refusals.clear()
    desk.now += DAY_S
    await desk.poll_well()

    assert inbox.contents == [A]
    assert desk.server.count("RETR") == 2


@pytest.mark.parametrize("left_before", [False, True])
async def test_a_damaged_copy_without_a_server_is_held_in_words(
    desk: Desk, inbox: TwoPhaseDestination, *, left_before: bool
) -> None:
    """It stays where it is and is shown; once somebody has mended it, it is delivered."""
    desk.server.faults.hides_retrieved = True
    await put_off(desk, inbox, A)
    original = desk.spooled[0].read_bytes()
    damage(desk)
    if left_before:
        desk.now -= LATER_S
        await desk.poll_well()
        desk.now += LATER_S
    await desk.poll_well()
    await desk.poll_well()

    (held,) = await desk.ledger.held()
    assert "the copy in the spool is damaged" in held.reply
    assert held.next_try is None
    assert inbox.contents == []

    desk.spooled[0].write_bytes(original)
    await desk.ledger.retry_held(held.id)
    await desk.poll_well()
    assert inbox.contents == [A]
    assert await desk.ledger.held() == ()


# -- several destinations ----------------------------------------------------------------------


async def test_one_destination_that_is_down_holds_up_nothing_else(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """The other has it now; it waits for the one, for as long as that takes (D37)."""
    both.policy = DELETE
    both.server.faults.hides_retrieved = True
    relay.down = True
    for mail in (A, B, C):
        both.server.add(mail)
        report = await both.poll_well()
        assert report.summary.deferred
        both.now += DAY_S

    assert inbox.contents == [A, B, C]
    assert both.server.left == [A, B, C]
    assert "relay is down; what it is owed waits in the spool" in both.warnings

    relay.down = False
    await both.poll_well()
    assert relay.contents == [A, B, C]
    assert inbox.contents == [A, B, C]
    assert both.spooled == []
    assert both.server.count("RETR") == 3


async def test_what_the_one_destination_is_owed_is_not_read_while_it_is_down(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination, tmp_path: Path
) -> None:
    """A spool full of mail for it costs a poll next to nothing."""
    both.server.add(A)
    relay.down = True
    await both.poll_well()
    for file in both.spooled:
        file.write_bytes(b"nobody looks at this")

    await both.poll_well()

    assert both.warnings == ["relay is down; what it is owed waits in the spool"] * 2


async def test_a_poll_without_new_mail_asks_no_destination_twice(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """What the spool's delivery has found out holds for the session, too."""
    asked: list[str] = []

    class Counted(OneShotDestination):
        async def ready(self) -> None:
            asked.append(self.name)
            await super().ready()

    both.destinations["relay"] = counted = Counted("relay", down=True)
    both.server.add(A)
    await both.poll_well()
    both.server.add(B)
    asked.clear()
    await both.poll_well()

    assert counted.down
    assert asked == ["relay"]


async def test_a_misconfigured_destination_does_not_suspend_what_others_take(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """Only when it is the last one left is it the account's error."""

    async def refuse() -> None:
        raise DestinationMisconfigured("535 who are you?")

    relay.ready = refuse  # type: ignore[method-assign]
    both.server.add(A)
    await both.poll_well()
    assert inbox.contents == [A]

    inbox.down = True
    both.server.add(B)
    report = await both.poll()
    assert isinstance(report.error, DestinationUnavailable)


async def test_a_full_spool_retrieves_nothing_for_the_others(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """It would be retrieved anew at every poll; so all wait, as if nobody took anything."""
    both.free_octets = 0
    relay.down = True
    both.server.add(A)

    await both.poll()

    assert both.server.log == ["LIST", "QUIT"]
    assert inbox.contents == []


async def test_a_spool_that_fills_up_ends_the_retrieval(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """What did not fit in keeps the session from QUIT; the other destination has it."""
    both.server.burst = 1
    both.spool_octets = len(A)
    await restart(both)
    relay.down = True
    both.server.add(A, B, C)

    await both.poll()

    assert both.server.log[-1] == "DROP"
    assert set(inbox.contents) >= {A}
    relay.down = False
    await both.poll_well()
    await both.poll_well()
    assert sorted(relay.contents) == sorted(inbox.contents) == [A, B, C]


async def test_what_could_go_nowhere_is_not_retrieved_at_every_poll(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """It goes once to who takes mail, and stays there for the other; small mail goes on."""
    both.spool_octets = 3 * len(A)
    await restart(both)
    large = A + bytes(4 * len(A))
    relay.down = True
    both.server.add(large)
    await both.poll()
    assert both.server.log[-1] == "DROP"
    both.server.log.clear()
    both.server.add(B)
    told = len(both.warnings)

    reports = [await both.poll_well() for _ in range(3)]

    assert both.server.log.count("RETR 1") == 0
    assert both.server.log[-1] == "QUIT"
    assert inbox.contents == [large, B]
    assert reports[-1].summary.deferred == 2
    assert "1 left on the server for relay: too large for the spool, spool_size" in set(
        both.warnings[told:]
    )

    relay.down = False
    await both.poll_well()
    assert sorted(relay.contents) == sorted([large, B])
    assert both.server.count("RETR") == 2


async def test_what_does_not_fit_is_retrieved_for_who_takes_it(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """Also when it was put off there before: another destination's trouble is not its own."""
    both.spool_octets = len(A)
    await restart(both)
    large = A + bytes(4 * len(A))
    inbox.refusals[large] = DEFERRED
    both.server.add(large)
    await both.poll()
    assert relay.contents == [large]
    inbox.refusals.clear()
    relay.down = True
    both.now += LATER_S

    await both.poll_well()

    assert inbox.contents == [large]


async def test_mail_that_fits_goes_before_what_ends_the_session(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """However many large messages come, small mail waits for none of them (P5)."""
    both.spool_octets = len(A)
    await restart(both)
    both.server.burst = 1
    large = [A + bytes([i]) * 5 * len(A) for i in range(2)]
    relay.down = True
    both.server.add(*large, A)

    await both.poll()

    assert inbox.contents[0] == A
    assert len(both.spooled) == 1


async def test_another_message_of_a_large_ones_name_is_retrieved(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """Its size tells that it is new, so somebody takes it (P1)."""
    both.spool_octets = len(A)
    await restart(both)
    large = A + bytes(4 * len(A))
    relay.down = True
    both.server.add(large)
    await both.poll()
    both.server.messages.clear()
    both.server.add(large + B, unique_id=b"u1")

    await both.poll()

    assert inbox.contents == [large, large + B]


async def test_an_open_step_waits_for_its_own_destination_alone(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """What may have arrived at one that is down is not sent again; the other goes on (P4)."""
    both.server.add(A)

    class Cut(Exception):
        """The process ends."""

    def die(step: str) -> None:
        if step == "rename":
            raise Cut

    inbox.step = die
    await both.poll()
    inbox.step = lambda _step: None
    inbox.down = True
    both.server.add(B)
    await both.poll_well()
    assert sorted(relay.contents) == [A, B]

    inbox.down = False
    await both.poll_well()
    assert sorted(inbox.contents) == [A, B]
    assert sorted(relay.contents) == [A, B]


async def test_a_renamed_message_waits_for_the_open_step_of_its_former_name(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """While that cannot be told it may have arrived: it is neither delivered nor parted with."""
    both.policy = DELETE
    both.server.add(A)

    class Cut(Exception):
        """The process ends."""

    def die(step: str) -> None:
        if step == "rename":
            raise Cut

    inbox.step = die
    await both.poll()
    inbox.step = lambda _step: None
    inbox.down = True
    both.server.renumber()
    await both.poll()
    assert both.server.left == [A]
    assert both.server.log[-1] == "DROP"

    inbox.down = False
    for _ in range(3):
        await both.poll_well()
    assert inbox.contents == [A]
    assert relay.contents == [A]
    assert both.server.left == []


async def test_mail_for_a_destination_that_left_the_configuration_is_held(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """It stays in the spool, can be seen, and is delivered once the destination is back."""
    both.server.faults.hides_retrieved = True
    relay.down = True
    both.server.add(A)
    await both.poll_well()
    del both.destinations["relay"]
    await both.poll_well()

    (held,) = await both.ledger.held()
    assert "no longer configured" in held.reply
    assert len(both.spooled) == 1

    relay.down = False
    both.destinations["relay"] = relay
    await both.ledger.retry_held(held.id)
    await both.poll_well()
    assert relay.contents == [A]


async def test_a_bug_on_a_message_from_the_spool_costs_that_message_alone(
    relayed: Desk, relay: OneShotDestination
) -> None:
    """The others go out (P5), and it stays in the spool."""
    relayed.server.add(A, B)
    relay.refusals.update({A: DEFERRED, B: DEFERRED})
    await relayed.poll_well()
    relay.refusals.clear()
    relayed.now += LATER_S

    async def fail(parcels: Sequence[Parcel]) -> None:
        if any(b"".join(parcel.content.chunks()) == A for parcel in parcels):
            raise ValueError("bug")

    relay.before_delivery = fail
    report = await relayed.poll()

    assert report.error is not None
    assert relay.contents == [B]
    assert len(relayed.spooled) == 1


async def test_recipients_are_served_one_by_one(desk: Desk) -> None:
    """Who has it does not get it again from the spool (P4)."""
    store = HalfRefusing("lmtp+jane+joe")
    desk.destinations.clear()
    desk.destinations[store.name] = store
    desk.server.add(A)
    await desk.poll_well()
    store.refused = ""
    desk.now += DAY_S
    await desk.poll_well()

    assert [arrived.recipients for arrived in store.arrived] == [("jane", "joe"), ("joe",)]
    assert await state_of(desk) is MessageState.SETTLED
    assert desk.spooled == []


class HalfRefusing(OneShotDestination):
    """Puts one recipient off."""

    refused = "joe"

    def _send_dot(self, parcel: Parcel) -> list[Outcome]:
        outcomes = super()._send_dot(parcel)
        return [
            Refusal(outcome.delivery, DEFERRED)
            if outcome.delivery.recipient == self.refused
            else outcome
            for outcome in outcomes
        ]


async def test_a_copy_that_came_under_the_name_of_another_ends_with_its_own(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """It was in doubt; both names are listed, and each brings what is its own, once (P4)."""
    desk.server.faults.suspect.add(b"u1")
    await put_off(desk, inbox, A)
    desk.now -= LATER_S
    desk.server.faults.suspect.clear()
    desk.server.messages[0].octets = B
    desk.server.add(A)
    await desk.poll_well()
    desk.now += DAY_S
    for _ in range(3):
        await desk.poll_well()

    assert sorted(inbox.contents) == [A, B]
    assert desk.spooled == []


async def test_a_ledger_that_fails_in_the_middle_of_the_spool_loses_nothing(
    desk: Desk, inbox: TwoPhaseDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is given back; the next poll delivers it."""

    async def fail(*_arguments: object) -> None:
        raise LedgerUnavailable("disk I/O error")

    await put_off(desk, inbox, A, B)
    desk.spooled[-1].write_bytes(b"spoilt")
    with monkeypatch.context() as patch:
        patch.setattr(desk.ledger, "note_damaged", fail)
        report = await desk.poll()
    assert isinstance(report.error, LedgerUnavailable)
    assert inbox.contents == []

    await desk.poll_well()
    assert sorted(inbox.contents) == [A, B]
