"""The listing that left nothing to do is forgotten as soon as anything changes."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from popsync.ledger import SqliteLedger, open_ledger
from popsync.model import (
    AccountId,
    DeliveryState,
    MessageState,
    PollSummary,
    Quiet,
    UnretrievedMessage,
)
from tests.doubles.retrieved import ACCOUNT, make_key, make_seen
from tests.unit.ledger.test_recording import change, settle

U1, U2 = make_key(b"u1"), make_key(b"u2")
POLL = PollSummary(1.0, 2.0)


async def stamp_of(ledger: SqliteLedger) -> bytes:
    """Give the stamp of what the ledger knows now."""
    return (await ledger.memory(ACCOUNT)).stamp


async def note_quiet(ledger: SqliteLedger) -> Quiet:
    """End a poll, so that there is a stamp, and another one that finds the listing quiet."""
    await ledger.note_poll(ACCOUNT, POLL)
    quiet = Quiet(b"listing", 77.0, await stamp_of(ledger))
    await ledger.note_poll(ACCOUNT, POLL, quiet=quiet)
    return quiet


async def _settle_other(ledger: SqliteLedger) -> None:
    await settle(ledger, U2)


async def _see_again(ledger: SqliteLedger) -> None:
    await ledger.record([make_seen(U1)], [])


async def _bury(ledger: SqliteLedger) -> None:
    await ledger.close_listing(ACCOUNT, gone=[U1.unique_id], renumbering=False)


async def _renumber(ledger: SqliteLedger) -> None:
    await ledger.close_listing(ACCOUNT, gone=[], renumbering=True)


async def _delete(ledger: SqliteLedger) -> None:
    await ledger.note_deletions(ACCOUNT, [U1.unique_id])


async def _fail(ledger: SqliteLedger) -> None:
    note = UnretrievedMessage(U2.unique_id, 1, MessageState.PENDING)
    await ledger.note_unretrieved(ACCOUNT, [note])


async def _turn_to_content(ledger: SqliteLedger) -> None:
    await ledger.note_content_keys(ACCOUNT)


CHANGES: list[Callable[[SqliteLedger], Awaitable[None]]] = [
    *(_settle_other, _see_again, _bury, _renumber, _delete, _fail, _turn_to_content)
]


async def test_a_quiet_listing_is_remembered(ledger: SqliteLedger) -> None:
    """Polls that follow do not take it away, and other accounts have nothing to do with it."""
    await settle(ledger, U1)
    quiet = await note_quiet(ledger)
    await ledger.note_poll(ACCOUNT, POLL)

    assert (await ledger.outset(ACCOUNT)).quiet == quiet
    assert (await ledger.outset(AccountId("somebody@else"))).quiet is None


@pytest.mark.parametrize("change_something", CHANGES)
async def test_any_change_forgets_the_quiet_listing(
    ledger: SqliteLedger, change_something: Callable[[SqliteLedger], Awaitable[None]]
) -> None:
    """Whoever makes it; there is no stamp then before the next poll has ended."""
    await settle(ledger, U1)
    await note_quiet(ledger)
    await change_something(ledger)

    assert (await ledger.outset(ACCOUNT)).quiet is None
    assert await stamp_of(ledger) == b""


@pytest.mark.parametrize("change_something", CHANGES)
async def test_a_listing_compared_before_a_change_is_not_quiet(
    ledger: SqliteLedger, change_something: Callable[[SqliteLedger], Awaitable[None]]
) -> None:
    """Though another poll has ended since: its stamp is another one."""
    await settle(ledger, U1)
    quiet = await note_quiet(ledger)
    await change_something(ledger)
    await ledger.note_poll(ACCOUNT, POLL)
    await ledger.note_poll(ACCOUNT, POLL, quiet=quiet)

    assert (await ledger.outset(ACCOUNT)).quiet is None
    assert await stamp_of(ledger) not in {b"", quiet.stamp}


@pytest.mark.parametrize("drops", [False, True])
async def test_the_operators_commands_beside_a_daemon_count(
    tmp_path: Path, ledger: SqliteLedger, *, drops: bool
) -> None:
    """They come from another process."""
    await ledger.record([make_seen(U1)], [change(U1, DeliveryState.HELD)])
    await note_quiet(ledger)
    (held,) = await ledger.held()
    other = await open_ledger(tmp_path / "state", beside_daemon=True)
    await (other.drop_held(held.id) if drops else other.retry_held(held.id))
    await other.close()

    assert (await ledger.outset(ACCOUNT)).quiet is None
