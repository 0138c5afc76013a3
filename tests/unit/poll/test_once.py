from collections.abc import Sequence
from pathlib import Path

import pytest

from popsync.errors import (
    ConnectFailed,
    DeliveryRejected,
    DestinationUnavailable,
    LedgerUnavailable,
    LocalProtocolError,
    PeerClosed,
    PopsyncError,
    RemoteProtocolError,
    ServerUnavailable,
    UnexpectedError,
)
from popsync.model import (
    DeliveryChange,
    DeliveryState,
    MessageState,
    PollSummary,
    SeenMessage,
    UniqueId,
)
from popsync.poll.events import Deleted, Listed, PollEnded, Retrieved
from popsync.poll.judgement import Reason
from popsync.poll.once import plan_once
from popsync.poll.policy import Policy
from tests.doubles.destination import (
    DEFERRED,
    REJECTED,
    OneShotDestination,
    TwoPhaseDestination,
)
from tests.doubles.maildrop import AtQuit
from tests.doubles.polling import ACCOUNT_ID, DAY_S, Desk, message_key

KEEP = Policy(deletes=False)
DELETE = Policy(deletes=True)
A, B, C = b"Subject: a\r\n\r\na", b"Subject: b\r\n\r\nb", b"Subject: c\r\n\r\nc"


async def state_of(desk: Desk, unique_id: bytes = b"u1") -> MessageState:
    """Give where the newest message under a unique-id stands."""
    memory = await desk.ledger.memory(ACCOUNT_ID)
    return memory.messages[UniqueId(unique_id)][-1].state


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


# -- the server in trouble ---------------------------------------------------------------------


async def test_a_refused_login_is_the_polls_error(desk: Desk) -> None:
    """And the ledger remembers it for ``status``."""
    desk.server.faults.refused_login = ConnectFailed("pop.example.org: no route")

    report = await desk.poll()

    assert report.error is desk.server.faults.refused_login
    (account,) = await desk.ledger.accounts()
    assert account.last_poll == report.summary
    assert account.last_poll is not None
    assert account.last_poll.error == "pop.example.org: no route"


async def test_what_arrived_before_the_line_broke_is_delivered(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """It is deleted in a session of its own; the next poll goes on where this one ended."""
    desk.policy = DELETE
    a, b, c = A, B + b"longer", C + b"even longer"
    desk.server.add(a, b, c)
    desk.server.faults.break_after = 3  # LIST, two messages

    report = await desk.poll()
    assert isinstance(report.error, PeerClosed)
    assert report.summary.delivered == 2
    assert inbox.contents == [a, b]
    assert desk.server.left == [c]

    await desk.poll_well()
    assert inbox.contents == [a, b, c]
    assert desk.server.left == []
    assert desk.server.count("RETR") == 3 + 1


@pytest.mark.parametrize("at_quit", [AtQuit.CUT_BEFORE, AtQuit.REFUSED, AtQuit.CUT_AFTER])
async def test_a_quit_that_fails_is_told_and_changes_no_delivery(
    desk: Desk, inbox: TwoPhaseDestination, at_quit: AtQuit
) -> None:
    """Whether the server deleted or not: no second delivery, and DELE again if needed (P3)."""
    desk.policy = DELETE
    desk.server.add(A, B)
    desk.server.faults.at_quit = at_quit

    report = await desk.poll()
    assert isinstance(report.error, PeerClosed | ServerUnavailable)
    desk.server.faults.at_quit = AtQuit.OBEYED
    await desk.poll_well()

    assert inbox.contents == [A, B]
    assert desk.server.left == []


@pytest.mark.parametrize(
    "error", [PeerClosed("gone"), RemoteProtocolError("a reply is +OK or -ERR", b"bye")]
)
async def test_a_failed_quit_without_deletions_is_a_warning(
    desk: Desk, error: PopsyncError
) -> None:
    """Nothing hung on it."""
    desk.server.faults.break_after = 1
    desk.server.faults.error = error

    await desk.poll_well()

    assert desk.warnings == [f"the session ended without a good-bye: {error}"]


async def test_a_server_that_forgets_deletions_is_told_again_and_pointed_out(desk: Desk) -> None:
    """Every poll issues DELE again, after one look whether it is another message."""
    desk.policy = DELETE
    desk.server.add(A)
    desk.server.faults.at_quit = AtQuit.FORGOTTEN

    for _ in range(6):
        await desk.poll_well()

    assert desk.server.count("DELE") == 6
    assert desk.server.count("RETR") == 2
    assert desk.warnings == ["the server keeps 1 messages that were deleted often"]


async def test_a_refused_dele_is_issued_again(desk: Desk) -> None:
    """It does not count as deleted, and the others are not affected."""
    desk.policy = DELETE
    desk.server.add(A, B)
    desk.server.faults.not_deleted = {b"u1"}

    report = await desk.poll_well()
    assert report.summary.deleted == 1
    assert desk.server.left == [A]
    desk.server.faults.not_deleted = set()
    await desk.poll_well()

    assert desk.server.left == []


async def test_a_message_that_the_server_refuses_stops_no_other(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """It is tried again after a pause; a refused RETR hides nothing, so QUIT may come (P5)."""
    desk.policy = DELETE
    desk.server.add(A, B, C)
    desk.server.faults.not_given = {b"u2"}

    report = await desk.poll_well()

    assert inbox.contents == [A, C]
    assert desk.server.left == [B]
    assert report.summary.deferred == 1
    assert desk.warnings == ["RETR 2: no"]
    assert desk.server.sessions == 1

    desk.server.faults.not_given = set()
    await desk.poll_well()
    assert inbox.contents == [A, C]
    desk.now += 300
    await desk.poll_well()
    assert inbox.contents == [A, C, B]


async def test_no_session_follows_at_once_where_the_server_wants_a_delay(desk: Desk) -> None:
    """What is left waits for the next poll, which then has no reason to be refused."""
    desk.server.add(A, B, C)
    desk.server.faults.disagree_after = 1
    desk.server.faults.login_delay_s = 900

    report = await desk.poll_well()
    sessions = desk.server.sessions
    await desk.poll_well()

    assert (sessions, report.login_delay_s) == (1, 900)
    assert desk.server.sessions == 2


async def test_sizes_that_disagree_lead_to_one_command_at_a_time_for_good(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """What came before is delivered; the poll goes on in lock step, and so do later ones."""
    desk.policy = DELETE
    desk.server.add(A, B, C)
    desk.server.faults.disagree_after = 1

    await desk.poll_well()
    desk.server.add(b"later")
    await desk.poll_well()

    assert inbox.contents == [A, B, C, b"later"]
    assert desk.server.left == []
    assert desk.server.lock_steps == [False, True, True]
    assert "one command at a time" in desk.warnings[0]


async def test_a_server_that_takes_pipelining_back_is_listed_one_command_at_a_time(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """A listing that it did not bear is asked for again in the same poll, and ever after."""
    desk.server.add(A, B)
    desk.server.faults.bears_no_listing = True

    await desk.poll_well()
    await desk.poll_well()

    assert inbox.contents == [A, B]
    assert desk.server.lock_steps == [False, True, True]
    assert "one command at a time" in desk.warnings[0]


async def test_a_suspect_message_is_delivered_and_never_deleted(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Its bytes may not be all; the only whole copy may be the server's."""
    desk.policy = DELETE
    desk.server.add(A, B)
    desk.server.faults.suspect = {b"u1"}

    for _ in range(4):
        await desk.poll_well()

    assert inbox.contents == [A, B]
    assert b"X-Popsync-Suspect: shorter than LIST said\r\n" in inbox.arrived[0].header
    assert desk.server.left == [A]
    assert desk.server.count("RETR") == 3
    stays = "message u1 stays on the server: shorter than LIST said"
    told = "1 not deleted: delivered, but its bytes are in doubt, so it stays on the server"
    assert desk.warnings == [stays, stays, told, told]


@pytest.mark.parametrize("policy", [KEEP, DELETE])
async def test_the_whole_of_a_message_that_came_short_is_delivered_too(
    desk: Desk, inbox: TwoPhaseDestination, policy: Policy
) -> None:
    """The second look brings it, and the stump no longer counts."""
    whole = A + b"and the rest\r\n"
    desk.policy = policy
    desk.server.add(A)
    desk.server.faults.suspect = {b"u1"}
    await desk.poll_well()
    desk.server.faults.suspect = set()
    desk.server.messages[0].octets = whole

    for _ in range(3):
        await desk.poll_well()

    assert inbox.contents == [A, whole]
    assert desk.server.left == ([] if policy.deletes else [whole])
    assert desk.server.count("RETR") == 2


async def test_an_incomplete_listing_is_used_for_what_it_shows(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Nothing is concluded from what it lacks."""
    desk.server.add(A, B)
    await desk.poll_well()
    desk.server.add(C)
    desk.server.faults.not_listed = {b"u1"}

    await desk.poll_well()

    assert inbox.contents == [A, B, C]
    assert await state_of(desk) is MessageState.SETTLED
    assert desk.warnings == [
        "STAT, LIST and UIDL disagree; nothing is concluded from what is missing"
    ]


async def test_a_message_that_comes_back_is_not_delivered_twice(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """It is retrieved, recognised by its bytes, and deleted again."""
    desk.policy = DELETE
    desk.server.add(A)
    await desk.poll_well()
    await desk.poll_well()
    desk.server.add(A, unique_id=b"u1")

    await desk.poll_well()

    assert inbox.contents == [A]
    assert desk.server.left == []


async def test_a_reused_unique_id_with_other_bytes_is_a_new_message(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """A unique-id is not an identity."""
    desk.policy = DELETE
    desk.server.add(A)
    await desk.poll_well()
    await desk.poll_well()
    desk.server.add(B, unique_id=b"u1")

    await desk.poll_well()

    assert inbox.contents == [A, B]
    assert desk.server.left == []


@pytest.mark.parametrize("at_quit", [AtQuit.OBEYED, AtQuit.CUT_AFTER])
@pytest.mark.parametrize("other", [A + b"another message\r\n", A.swapcase()], ids=len)
async def test_a_unique_id_reused_before_it_was_missed_is_a_new_message(
    desk: Desk, inbox: TwoPhaseDestination, other: bytes, at_quit: AtQuit
) -> None:
    """No listing ever lacked it, and it must not be deleted unseen, whatever its size (P1)."""
    desk.policy = DELETE
    desk.server.add(A)
    desk.server.faults.at_quit = at_quit
    await desk.poll()
    desk.server.faults.at_quit = AtQuit.OBEYED
    desk.server.add(other, unique_id=b"u1")

    await desk.poll_well()
    await desk.poll_well()

    assert inbox.contents == [A, other]
    assert desk.server.left == []


async def test_unique_ids_reused_by_every_new_message_lose_none(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Some servers number an emptied maildrop from the beginning again."""
    desk.policy = DELETE
    for message in (A, B, C):
        desk.server.add(message, unique_id=b"1")
        await desk.poll_well()

    assert inbox.contents == [A, B, C]
    assert desk.server.left == []


@pytest.mark.parametrize("policy", [KEEP, DELETE])
async def test_a_shared_unique_id_reused_by_one_of_two_is_a_new_message(
    desk: Desk, inbox: TwoPhaseDestination, policy: Policy
) -> None:
    """As many rows as before, but one of another size."""
    longer = A + b"another message\r\n"
    desk.server.add(A, B, unique_id=b"same")
    await desk.poll_well()
    desk.policy = policy
    desk.server.messages.pop(0)
    desk.server.add(longer, unique_id=b"same")

    await desk.poll_well()
    await desk.poll_well()

    assert inbox.contents == [A, B, longer]
    assert desk.server.left == ([] if policy.deletes else [B, longer])


async def test_shared_unique_ids_reused_after_a_deletion_lose_nothing(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Two rows under one unique-id were deleted once each, not twice."""
    desk.policy = DELETE
    desk.server.add(A, B, unique_id=b"same")
    await desk.poll_well()
    desk.server.add(A.swapcase(), B.swapcase(), unique_id=b"same")

    await desk.poll_well()
    await desk.poll_well()

    assert inbox.contents == [A, B, A.swapcase(), B.swapcase()]
    assert desk.server.left == []


async def test_a_few_messages_with_new_unique_ids_are_recognised(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Too few for the guard: what vanished and came under another name is the same message."""
    first, second = (b"Message-ID: <%d@x>\r\n" % number + A for number in (1, 2))
    desk.server.add(first, second)
    await desk.poll_well()
    desk.server.renumber()
    desk.server.add(C)

    await desk.poll_well()
    await desk.poll_well()

    assert inbox.contents == [first, second, C]


async def test_the_same_octets_without_a_message_id_are_another_message(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """One left and one came, and nothing says that they are the same (P1)."""
    desk.server.add(A)
    await desk.poll_well()
    desk.server.messages.clear()
    desk.server.add(A)

    await desk.poll_well()

    assert inbox.contents == [A, A]


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


async def test_the_total_counts_what_a_broken_poll_delivered(desk: Desk) -> None:
    """It grows with the receipts and not with polls that came to an end."""
    desk.server.add(A, B, C)
    desk.server.faults.break_after = 3

    assert (await desk.poll()).error is not None
    (report,) = await desk.ledger.accounts()

    assert (report.total_delivered, report.total_octets) == (2, len(A) + len(B))


async def test_a_message_that_breaks_its_session_holds_up_no_other(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """The next session retrieves it last, so the others arrive though it breaks again (P5)."""
    desk.policy = DELETE
    a, b, c = A, B + b"longer", C + b"even longer"
    desk.server.add(a, b, c)
    desk.server.faults.breaks_session = {b"u1"}

    assert (await desk.poll()).error is not None
    assert inbox.contents == []
    assert (await desk.poll()).error is not None
    assert inbox.contents == [b, c]
    assert desk.server.left == [a]

    desk.server.faults.breaks_session = set()
    await desk.poll_well()
    assert inbox.contents == [b, c, a]
    assert desk.server.left == []


@pytest.mark.parametrize("lock_step", [False, True])
async def test_messages_of_one_size_are_looked_at_again_after_a_break(
    desk: Desk, inbox: TwoPhaseDestination, *, lock_step: bool
) -> None:
    """A lost reply may have shifted them (P1), unless only one was on its way at a time."""
    desk.policy = DELETE
    desk.server.add(A, B, C)
    if lock_step:
        await desk.ledger.note_lock_step(ACCOUNT_ID)
    desk.server.faults.break_after = 3  # LIST, two messages

    await desk.poll()
    assert desk.server.left == ([C] if lock_step else [A, B, C])

    await desk.poll_well()
    assert inbox.contents == [A, B, C]
    assert desk.server.left == []
    assert desk.server.count("RETR") == (3 + 1 if lock_step else 3 + 3)


# -- repeated unique-ids -----------------------------------------------------------------------


@pytest.mark.parametrize("burst", [1, 3])
async def test_rows_that_share_a_unique_id_are_delivered_by_their_bytes(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination, burst: int
) -> None:
    """Identical ones once, others each, and all of them are deleted."""
    both.policy = DELETE
    both.server.burst = burst
    both.server.add(A, B, A, unique_id=b"same")

    report = await both.poll_well()

    assert inbox.contents == [A, B]
    assert relay.contents == [A, B]
    assert both.server.left == []
    assert report.summary.delivered == 2


async def test_copies_are_known_at_the_next_poll(desk: Desk, inbox: TwoPhaseDestination) -> None:
    """Keep mode: three rows, two messages, and nothing to retrieve any more."""
    desk.server.add(A, B, A, unique_id=b"same")
    await desk.poll_well()

    await desk.poll_well()

    assert desk.server.count("RETR") == 3
    assert inbox.contents == [A, B]


async def test_a_copy_of_a_refused_message_is_not_deleted(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Both copies wait for the delivery (P1)."""
    desk.policy = DELETE
    desk.server.add(A, A, unique_id=b"same")
    inbox.refusals[A] = DEFERRED

    await desk.poll_well()
    assert desk.server.left == [A, A]
    inbox.refusals.clear()
    desk.now += 600
    await desk.poll_well()

    assert inbox.contents == [A]
    assert desk.server.left == []


async def test_rows_that_share_a_unique_id_are_not_deleted_one_by_one(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """A stop came between them; were A deleted now, B would pass for it later (P1)."""
    desk.policy = DELETE
    desk.server.burst = 1
    desk.server.add(A, B, unique_id=b"same")

    async def stop(burst: int) -> None:
        desk.stopping = True

    desk.server.before_burst = stop
    await desk.poll_well()
    assert inbox.contents == [A]
    assert desk.server.left == [A, B]

    desk.stopping = False
    desk.server.before_burst = _at_once
    await desk.poll_well()
    assert inbox.contents == [A, B]
    assert desk.server.left == []


async def _at_once(burst: int) -> None:
    """Let every burst come."""


# -- renumbering -------------------------------------------------------------------------------

MANY = [b"Message-ID: <%d@x>\r\n\r\n" % n for n in range(25)]


async def test_a_renumbered_maildrop_brings_only_what_is_new(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Known mail is recognised by its bytes; deletion waits for the next session."""
    desk.server.add(*MANY)
    await desk.poll_well()
    desk.server.renumber()
    desk.server.add(A)
    desk.policy = DELETE

    await desk.poll_well()
    assert inbox.contents == [*MANY, A]
    assert len(desk.server.left) == 26
    assert "renumbered" in desk.warnings[0]

    await desk.poll_well()
    assert inbox.contents == [*MANY, A]
    assert desk.server.left == []
    assert desk.server.count("RETR") == 25 + 26


async def test_a_renumbering_that_was_interrupted_goes_on(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """By then many new unique-ids are known, yet the rest is still matched by its bytes."""
    desk.server.add(*MANY)
    await desk.poll_well()
    desk.server.renumber()
    desk.policy = DELETE
    desk.server.faults.break_after = 15
    await desk.poll()
    assert (await desk.ledger.memory(ACCOUNT_ID)).renumbering

    await desk.poll_well()
    assert not (await desk.ledger.memory(ACCOUNT_ID)).renumbering
    assert len(desk.server.left) == 25
    await desk.poll_well()

    assert inbox.contents == MANY
    assert desk.server.left == []


async def test_a_renumbering_outlasts_an_incomplete_listing(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """What it does not show is matched later."""
    desk.server.add(*MANY)
    await desk.poll_well()
    desk.server.renumber()
    desk.server.faults.not_listed = {b"r50"}
    await desk.poll_well()
    desk.server.faults.not_listed = set()

    await desk.poll_well()

    assert inbox.contents == MANY
    assert not (await desk.ledger.memory(ACCOUNT_ID)).renumbering


async def test_a_renumbered_message_goes_only_where_it_is_missing(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """One destination had it before; what was in doubt keeps its mark (P4)."""
    relay.refusals[MANY[0]] = DEFERRED
    both.server.add(*MANY)
    await both.poll_well()
    relay.refusals.clear()
    both.server.renumber()
    both.now += 600

    await both.poll_well()

    assert inbox.contents == MANY
    assert sorted(relay.contents) == sorted(MANY)


async def test_a_doubt_keeps_its_mark_through_a_renumbering(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """Also when the message was held meanwhile and somebody lets it go (P4)."""
    both.server.add(*MANY)
    relay.parts_when_lost = False
    relay.lose_replies = 1
    await both.poll_well()
    relay.refusals[MANY[0]] = REJECTED
    await both.poll_well()
    relay.refusals.clear()
    both.server.renumber()
    await both.poll_well()
    for held in await both.ledger.held():
        await both.ledger.retry_held(held.id)

    await both.poll_well()

    assert inbox.contents == MANY
    assert [m.marked for m in relay.arrived if m.octets == MANY[0]] == [False, True]


async def test_a_message_that_was_not_given_during_a_renumbering_is_recognised_later(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """The renumbering does not wait for it, and no destination gets it twice."""
    relay.refusals[MANY[4]] = DEFERRED
    both.server.add(*MANY)
    await both.poll_well()
    relay.refusals.clear()
    both.server.renumber()
    both.server.faults.not_given = {b"r30", b"r31"}
    await both.poll_well()
    assert not (await both.ledger.memory(ACCOUNT_ID)).renumbering
    both.server.faults.not_given = set()
    both.now += 600

    await both.poll_well()

    assert both.server.count("RETR") == 25 + 25 + 2
    assert inbox.contents == MANY
    assert sorted(relay.contents) == sorted(MANY)


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
