"""What a poll is told of its account before it begins."""

import pytest

from popsync.ledger import SqliteLedger
from popsync.model import AccountId, AccountOutset, DeliveryState, MessageState, UnretrievedMessage
from tests.doubles.retrieved import ACCOUNT, make_key, make_seen
from tests.unit.ledger.test_recording import change, settle

U1 = make_key(b"u1")


async def test_nothing_is_owed_by_an_account_that_nobody_knows(ledger: SqliteLedger) -> None:
    """Nor does it write anything."""
    assert await ledger.outset(ACCOUNT) == AccountOutset(lock_step=False, owes=False)


async def test_an_account_whose_messages_are_settled_owes_nothing(ledger: SqliteLedger) -> None:
    """It still knows about its server."""
    await settle(ledger, U1)
    await ledger.note_lock_step(ACCOUNT)

    assert await ledger.outset(ACCOUNT) == AccountOutset(lock_step=True, owes=False)


OPEN = [DeliveryState.STAGED, DeliveryState.DOT_SENT, DeliveryState.DEFERRED, DeliveryState.HELD]


@pytest.mark.parametrize("state", [None, *OPEN])
async def test_an_account_owes_a_delivery_that_has_no_receipt(
    ledger: SqliteLedger, state: DeliveryState | None
) -> None:
    """However far it has come; and another account does not."""
    await ledger.record([make_seen(U1)], [change(U1, state)] if state else [])

    assert (await ledger.outset(ACCOUNT)).owes
    assert not (await ledger.outset(AccountId("somebody@else"))).owes


@pytest.mark.parametrize("state", [MessageState.PENDING, MessageState.HELD])
async def test_an_account_owes_a_message_that_was_never_retrieved(
    ledger: SqliteLedger, state: MessageState
) -> None:
    """Settling what is open finds nothing to do there, and that is all it costs."""
    await ledger.note_unretrieved(ACCOUNT, [UnretrievedMessage(U1.unique_id, 1, state)])

    assert (await ledger.outset(ACCOUNT)).owes
