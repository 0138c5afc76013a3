"""Polls of a server that gives unique-ids again, to several messages, or anew to all."""

import pytest

from popsync.poll.policy import Policy
from tests.doubles.destination import DEFERRED, REJECTED, OneShotDestination, TwoPhaseDestination
from tests.doubles.maildrop import AtQuit
from tests.doubles.polling import ACCOUNT_ID, DELETE, KEEP, A, B, C, Desk

# -- unique-ids that come back -----------------------------------------------------------------


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
