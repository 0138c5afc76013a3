import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import pytest

from popsync.errors import LedgerUnavailable, PeerClosed
from popsync.model import ListedMessage, Parcel, Retrieval
from popsync.poll import carry as carry_module
from popsync.poll.allowance import MAX_OCTETS, SESSION_OCTETS, Allowance
from popsync.poll.carry import carry
from popsync.poll.events import Retrieved
from popsync.poll.plan import plan_poll
from popsync.poll.session import Session
from tests.doubles.destination import TwoPhaseDestination
from tests.doubles.maildrop import RemoteSession
from tests.doubles.polling import ACCOUNT_ID, Desk

MAIL = [b"Subject: %d\r\n\r\n" % n for n in range(6)]


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry_module, "MAX_BATCH_MESSAGES", 2)


async def begin(desk: Desk) -> tuple[RemoteSession, Session]:
    """Open a session that wants all of the server's mail."""
    maildrop = await desk.server.open(lock_step=False)
    memory = await desk.ledger.memory(ACCOUNT_ID)
    listing = await maildrop.list()
    plan = plan_poll(listing, memory, desk.policy, desk.now)
    return maildrop, Session(desk.account, desk.ports, memory, listing, plan)


def all_closed(desk: Desk) -> bool:
    """Tell whether every content that was handed out has been given back, and is not counted."""
    return all(content.closed for content in desk.server.contents) and in_memory(desk) == 0


def in_memory(desk: Desk) -> int:
    """Give how many octets count as being in memory."""
    return desk.allowance._octets


async def test_a_batch_is_delivered_while_the_next_is_retrieved(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """The delivery waits for the retrieval of the burst after it, and comes through."""
    desk.server.add(*MAIL)
    delivering, second_burst = asyncio.Event(), asyncio.Event()

    async def wait_for_delivery(burst: int) -> None:
        if burst == 1:
            await delivering.wait()
            second_burst.set()

    async def wait_for_burst(parcels: Sequence[Parcel]) -> None:
        delivering.set()
        await second_burst.wait()

    desk.server.before_burst = wait_for_delivery
    inbox.before_delivery = wait_for_burst
    await carry(*await begin(desk))

    assert inbox.contents == MAIL
    assert inbox.batches == [2, 2, 2]


async def test_no_more_than_three_batches_are_in_flight(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """While two are stuck the third fills, and then retrieval waits (P8)."""
    mail = [*MAIL, b"Subject: 6\r\n\r\n", b"Subject: 7\r\n\r\n"]
    desk.server.add(*mail)
    release, third_burst = asyncio.Event(), asyncio.Event()
    bursts: list[int] = []

    async def count(burst: int) -> None:
        bursts.append(burst)
        if burst == 2:
            third_burst.set()

    async def stick(parcels: Sequence[Parcel]) -> None:
        await release.wait()

    desk.server.before_burst = count
    inbox.before_delivery = stick
    task = asyncio.create_task(carry(*await begin(desk)))
    await third_burst.wait()
    for _ in range(20):  # turns of the loop in which a fourth burst could come
        await asyncio.sleep(0)
    assert bursts == [0, 1, 2]
    release.set()
    await task

    assert bursts == [0, 1, 2, 3]
    assert inbox.contents == mail


async def test_a_batch_with_a_copy_of_what_is_under_way_waits_for_that(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """The ledger could not say yet what is owed of it."""
    desk.server.add(MAIL[0], MAIL[1], MAIL[0], unique_id=b"same")
    began, release = asyncio.Event(), asyncio.Event()
    deliveries: list[int] = []

    async def stick(parcels: Sequence[Parcel]) -> None:
        deliveries.append(len(parcels))
        began.set()
        await release.wait()

    inbox.before_delivery = stick
    task = asyncio.create_task(carry(*await begin(desk)))
    await began.wait()
    for _ in range(20):  # turns of the loop in which the copy could be delivered
        await asyncio.sleep(0)
    assert deliveries == [2]
    release.set()
    await task

    assert inbox.contents == MAIL[:2]


async def test_when_two_deliveries_fail_both_are_ended(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """The first error goes through, and no content stays open."""
    desk.server.add(*MAIL)
    both = asyncio.Barrier(2)

    async def refuse(parcels: Sequence[Parcel]) -> None:
        await both.wait()
        raise LedgerUnavailable(f"refused {len(parcels)}")

    inbox.before_delivery = refuse
    with pytest.raises(LedgerUnavailable):
        await carry(*await begin(desk))

    assert inbox.contents == []
    assert all_closed(desk)


async def test_a_batch_is_full_by_octets_too(
    desk: Desk, inbox: TwoPhaseDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few large messages are a batch."""
    monkeypatch.setattr(carry_module, "MAX_BATCH_MESSAGES", 100)
    monkeypatch.setattr(carry_module, "MAX_BATCH_OCTETS", len(MAIL[0]) * 3)
    desk.server.add(*MAIL)

    await carry(*await begin(desk))

    assert inbox.batches == [4, 2]
    assert [e.messages for e in desk.events if isinstance(e, Retrieved)] == [4, 2]
    assert sum(e.octets for e in desk.events if isinstance(e, Retrieved)) == sum(map(len, MAIL))


async def test_once_the_allowance_is_used_up_what_has_come_is_delivered_first(
    desk: Desk, inbox: TwoPhaseDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other accounts have so much in memory that this one may hold no second batch (P8)."""
    monkeypatch.setattr(carry_module, "MAX_BATCH_MESSAGES", 100)
    desk.server.add(*MAIL)
    held: list[int] = []

    async def look(burst: int) -> None:
        held.append(in_memory(desk))

    desk.server.before_burst = look
    desk.allowance.take(MAX_OCTETS)
    await carry(*await begin(desk))

    assert inbox.contents == MAIL
    assert inbox.batches == [2, 2, 2]
    assert held == [MAX_OCTETS + SESSION_OCTETS] * 3
    desk.allowance.give_back(MAX_OCTETS)
    assert all_closed(desk)


async def test_whoever_waits_for_room_goes_on_as_soon_as_there_is_some() -> None:
    """Somebody else has delivered."""
    allowance = Allowance(10, patience_s=60.0)
    allowance.take(10)
    waiting = asyncio.create_task(allowance.wait_for_room())
    await asyncio.sleep(0)
    assert not waiting.done()
    allowance.give_back(1)

    await waiting


async def test_nobody_waits_for_room_for_ever() -> None:
    """What a slow server makes one account keep does not stop the others (P5)."""
    allowance = Allowance(10, patience_s=0.0)
    allowance.take(10)
    await allowance.wait_for_room()

    assert allowance.is_used_up


async def test_as_long_as_there_is_allowance_a_batch_fills(
    desk: Desk, inbox: TwoPhaseDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message counts for no more than what may lie in memory of it."""
    monkeypatch.setattr(carry_module, "MAX_BATCH_MESSAGES", 100)
    monkeypatch.setattr(carry_module, "MAX_COUNTED_OCTETS", 1)
    desk.server.add(*MAIL)
    others = MAX_OCTETS - SESSION_OCTETS - len(MAIL) - 1
    desk.allowance.take(others)
    await carry(*await begin(desk))

    assert inbox.batches == [6]
    desk.allowance.give_back(others)
    assert all_closed(desk)


async def test_identical_copies_in_two_batches_are_delivered_once(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """The ledger says what became of the first; all rows count as settled."""
    desk.server.add(MAIL[0], MAIL[1], MAIL[0], unique_id=b"same")
    maildrop, session = await begin(desk)

    await carry(maildrop, session)

    assert inbox.contents == MAIL[:2]
    assert [listed.number for listed in session.settled] == [1, 2, 3]


async def test_what_arrived_before_a_broken_line_is_delivered_first(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Also the part of a burst that was whole; then the error comes through."""
    desk.server.add(*MAIL)
    maildrop, session = await begin(desk)
    desk.server.faults.break_after = 3

    with pytest.raises(PeerClosed):
        await carry(maildrop, session)

    assert inbox.contents == MAIL[:3]
    assert len(session.settled) == 3
    assert not session.is_whole
    assert all_closed(desk)


@pytest.mark.parametrize("burst", [2, 8])
async def test_a_destination_that_goes_down_ends_the_retrieval(
    desk: Desk, inbox: TwoPhaseDestination, burst: int
) -> None:
    """What was asked for still comes, and waits in the spool; every content is given back."""
    desk.server.burst = burst
    desk.server.add(*MAIL, b"Subject: 6\r\n\r\n", b"Subject: 7\r\n\r\n")
    maildrop, session = await begin(desk)
    inbox.down = True

    await carry(maildrop, session)

    assert len(inbox.batches) == {2: 2, 8: 1}[burst]
    assert session.settled == session.unsettled == []
    # With two messages in a burst the next four arrive while the first are being delivered.
    assert len(session.spooled) == {2: 6, 8: 8}[burst]
    assert len(desk.spooled) == len(session.spooled)
    assert all_closed(desk)


async def test_a_delivery_that_fails_after_the_last_burst_is_told(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """The batch that was under way beside it is closed, too."""
    desk.server.add(*MAIL[:3])

    async def fail(parcels: Sequence[Parcel]) -> None:
        raise LedgerUnavailable("gone")

    inbox.before_delivery = fail
    with pytest.raises(LedgerUnavailable):
        await carry(*await begin(desk))

    assert inbox.batches == [2, 1]
    assert all_closed(desk)


async def test_a_delivery_error_comes_before_a_broken_line(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """When both happen the error of the delivery is told; the other is its context."""
    desk.server.add(*MAIL[:3])
    maildrop, session = await begin(desk)
    desk.server.faults.break_after = 2

    async def fail(parcels: Sequence[Parcel]) -> None:
        raise LedgerUnavailable("gone")

    inbox.before_delivery = fail
    with pytest.raises(LedgerUnavailable) as caught:
        await carry(maildrop, session)

    assert isinstance(caught.value.__context__, PeerClosed)
    assert all_closed(desk)


@pytest.mark.parametrize("last", [False, True])
async def test_a_cancelled_carry_stops_the_delivery_and_closes_all(
    desk: Desk, inbox: TwoPhaseDestination, *, last: bool
) -> None:
    """Whether there is more to retrieve or only the last batch to wait for."""
    desk.server.add(*(MAIL[:2] if last else MAIL))
    stuck = asyncio.Event()
    ended = asyncio.Event()

    async def stick(parcels: Sequence[Parcel]) -> None:
        stuck.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    inbox.before_delivery = stick
    task = asyncio.create_task(carry(*await begin(desk)))
    await stuck.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended.is_set()
    assert inbox.contents == []
    assert all_closed(desk)


async def test_a_cancel_during_retrieval_stops_the_delivery(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """A batch in hand is abandoned as by a crash; recovery completes what was begun (P4)."""
    desk.server.add(*MAIL)
    stuck, ended = asyncio.Event(), asyncio.Event()

    async def wait_on_line(burst: int) -> None:
        if burst == 1:
            await asyncio.Event().wait()

    async def stick(parcels: Sequence[Parcel]) -> None:
        stuck.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    desk.server.before_burst = wait_on_line
    inbox.before_delivery = stick
    task = asyncio.create_task(carry(*await begin(desk)))
    await stuck.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended.is_set()
    assert all_closed(desk)


async def test_an_unknown_exception_of_the_maildrop_abandons_all(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """Nothing is known of the state then, so nothing more is delivered."""
    desk.server.add(*MAIL[:3])
    maildrop, session = await begin(desk)
    desk.server.faults.break_after = 1
    desk.server.faults.error = ValueError("bug")

    with pytest.raises(ValueError, match="bug"):
        await carry(maildrop, session)

    assert inbox.contents == []
    assert all_closed(desk)


async def test_a_refusal_that_the_ledger_cannot_note_ends_the_carry(
    desk: Desk, inbox: TwoPhaseDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that cannot be written stops the account; what had arrived is closed."""
    desk.server.add(*MAIL[:2])
    desk.server.faults.not_given = {b"u2"}
    failure = LedgerUnavailable("disk full")

    async def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(desk.ledger, "note_unretrieved", fail)
    with pytest.raises(LedgerUnavailable):
        await carry(*await begin(desk))

    assert all_closed(desk)


async def test_the_generator_of_the_maildrop_is_closed(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """However the carry ends, so that the maildrop can give back what it holds."""
    desk.server.add(*MAIL)
    maildrop, session = await begin(desk)
    ended = []

    class Watched:
        async def retrieve(
            self, wanted: Sequence[ListedMessage], *, stopping: Callable[[], bool]
        ) -> AsyncGenerator[Sequence[Retrieval], None]:
            try:
                async with aclosing(maildrop.retrieve(wanted, stopping=stopping)) as bursts:
                    async for burst in bursts:
                        yield burst
            finally:
                ended.append(True)

    async def fail(parcels: Sequence[Parcel]) -> None:
        raise LedgerUnavailable("gone")

    inbox.before_delivery = fail
    with pytest.raises(LedgerUnavailable):
        await carry(Watched(), session)  # type: ignore[arg-type]  # it needs no more of it

    assert ended == [True]
