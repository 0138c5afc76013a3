"""Polls of a server in trouble, or one that contradicts itself."""

from dataclasses import replace

import pytest

from popsync.errors import (
    ConnectFailed,
    DeliveryDeferred,
    PeerClosed,
    PopsyncError,
    RemoteProtocolError,
    ServerUnavailable,
)
from popsync.model import MessageState
from popsync.poll.judgement import Reason
from popsync.poll.policy import Policy
from tests.doubles.destination import TwoPhaseDestination
from tests.doubles.maildrop import AtQuit
from tests.doubles.polling import ACCOUNT_ID, DAY_S, DELETE, KEEP, A, B, C, Desk, state_of


async def _go_on(_burst: int) -> None:
    """Let the messages come."""


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


@pytest.mark.parametrize("policy", [KEEP, Policy(deletes=True, delete_after_s=DAY_S)])
async def test_what_stays_after_a_deletion_that_had_no_effect_is_looked_at_once(
    desk: Desk, inbox: TwoPhaseDestination, policy: Policy
) -> None:
    """The look ends with itself where it leads to no deletion, as in keep mode."""
    desk.policy = DELETE
    desk.server.add(A, B)
    desk.server.faults.at_quit = AtQuit.FORGOTTEN
    await desk.poll_well()
    desk.policy = policy

    for _ in range(3):
        await desk.poll_well()

    assert desk.server.count("RETR") == 2 + 2
    assert desk.server.count("DELE") == 2
    assert inbox.contents == [A, B]


async def test_a_unique_id_reused_after_a_look_in_keep_mode_is_not_deleted_unseen(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Back in delete mode its first DELE is followed by a look again (P1)."""
    desk.policy = DELETE
    desk.server.add(A)
    desk.server.faults.at_quit = AtQuit.FORGOTTEN
    await desk.poll_well()
    desk.policy = KEEP
    await desk.poll_well()
    desk.policy = DELETE
    desk.server.faults.at_quit = AtQuit.OBEYED
    await desk.poll_well()
    desk.server.add(A.swapcase(), unique_id=b"u1")

    await desk.poll_well()

    assert inbox.contents == [A, A.swapcase()]
    assert desk.server.left == []


async def test_another_message_under_a_deleted_unique_id_is_kept_and_seen_once(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """In keep mode, too, the look brings it, and nothing is looked at any more."""
    desk.policy = DELETE
    desk.server.add(A)
    await desk.poll_well()
    desk.policy = KEEP
    desk.server.add(A.swapcase(), unique_id=b"u1")

    for _ in range(3):
        await desk.poll_well()

    assert inbox.contents == [A, A.swapcase()]
    assert desk.server.count("RETR") == 2


async def test_rows_of_one_unique_id_are_looked_at_until_all_were_seen(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """One that was not may be another message, and would be deleted unseen (P1)."""
    desk.policy = DELETE
    others = [A.swapcase(), A[::-1]]
    desk.server.add(A, unique_id=b"1")
    await desk.poll_well()
    desk.server.add(*others, unique_id=b"1")
    desk.server.burst = 1

    async def stop(_burst: int) -> None:
        desk.stopping = True

    desk.server.before_burst = stop
    desk.policy = KEEP
    await desk.poll()
    assert inbox.contents == [A, others[0]]
    desk.stopping, desk.server.before_burst = False, _go_on
    desk.policy = DELETE

    for _ in range(3):
        await desk.poll_well()

    assert inbox.contents == [A, *others]
    assert desk.server.left == []


async def test_a_look_after_a_lost_deletion_does_not_speak_for_a_new_destination(
    desk: Desk,
) -> None:
    """One that was added since never gets the message, so it stays and is told (P1)."""
    desk.policy = replace(DELETE, destinations=frozenset({"inbox"}))
    desk.server.add(A)
    desk.server.faults.at_quit = AtQuit.FORGOTTEN
    await desk.poll_well()
    desk.policy = replace(DELETE, destinations=frozenset({"inbox", "office"}))
    desk.server.faults.at_quit = AtQuit.OBEYED

    for _ in range(3):
        await desk.poll_well()

    assert desk.server.left == [A]
    assert desk.server.count("RETR") == 2
    assert desk.warnings[-1].endswith(Reason.UNSERVED.value)


async def test_what_was_owed_before_a_destination_was_added_stays(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """It is delivered where it was owed, and not deleted: the new one never gets it (P1)."""
    desk.policy = replace(DELETE, destinations=frozenset({"inbox"}))
    desk.spool_octets = 0
    await desk.close()
    await desk.open()
    desk.server.add(A)
    inbox.refusals[A] = DeliveryDeferred("full")
    await desk.poll_well()
    inbox.refusals.clear()
    desk.policy = replace(DELETE, destinations=frozenset({"inbox", "office"}))
    desk.now += DAY_S

    for _ in range(2):
        await desk.poll_well()

    assert inbox.contents == [A]
    assert desk.server.left == [A]


async def test_a_lost_deletion_is_repeated_when_mail_stays_for_some_days(desk: Desk) -> None:
    """The look tells that it is the same message, whose time has long been over."""
    desk.policy = Policy(deletes=True, delete_after_s=DAY_S)
    desk.server.add(A)
    await desk.poll_well()
    desk.now += DAY_S
    desk.server.faults.at_quit = AtQuit.FORGOTTEN
    await desk.poll_well()
    desk.server.faults.at_quit = AtQuit.OBEYED

    await desk.poll_well()

    assert desk.server.left == []
    assert desk.server.count("RETR") == 2


async def test_another_message_found_by_a_look_stays_for_its_days(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """The time of the message before it is not its own."""
    desk.policy = Policy(deletes=True, delete_after_s=DAY_S)
    desk.server.add(A)
    await desk.poll_well()
    desk.now += DAY_S
    await desk.poll_well()
    desk.server.add(A.swapcase(), unique_id=b"u1")

    for _ in range(3):
        await desk.poll_well()
    assert desk.server.left == [A.swapcase()]
    assert desk.server.count("RETR") == 2
    desk.now += DAY_S
    await desk.poll_well()

    assert inbox.contents == [A, A.swapcase()]
    assert desk.server.left == []


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
