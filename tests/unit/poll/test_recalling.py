import asyncio
from dataclasses import replace
from typing import Any

import pytest

from popsync.errors import LedgerUnavailable
from popsync.model import AccountId, AccountMemory
from popsync.poll.recalling import recalling
from tests.doubles.polling import Desk


class Asked:
    """A ledger that notes who asks, and answers when it is told to."""

    def __init__(self, answer: AccountMemory | Exception) -> None:
        self.accounts: list[AccountId] = []
        self._answer = answer

    async def memory(self, account: AccountId) -> AccountMemory:
        """Note it and answer."""
        self.accounts.append(account)
        await asyncio.sleep(0)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


async def asked(desk: Desk, answer: AccountMemory | Exception) -> tuple[Asked, Any]:
    """Give such a ledger, and ports that lead to it."""
    ledger: Any = Asked(answer)
    return ledger, replace(desk.ports, ledger=ledger)


async def known(desk: Desk) -> AccountMemory:
    """Give what the real ledger knows."""
    return await desk.ledger.memory(desk.account.id)


async def test_the_ledger_is_asked_while_the_server_takes_its_time(desk: Desk) -> None:
    """It answers before anybody waits."""
    ledger, ports = await asked(desk, answer := await known(desk))
    async with recalling(desk.account, ports, ahead=True) as recall:
        for _ in range(3):
            await asyncio.sleep(0)
        assert ledger.accounts == [desk.account.id]

        assert await recall() is answer
    assert ledger.accounts == [desk.account.id]


async def test_the_ledger_is_left_alone_where_it_may_not_be_needed(desk: Desk) -> None:
    """A quiet listing may make it needless."""
    ledger, ports = await asked(desk, answer := await known(desk))
    async with recalling(desk.account, ports, ahead=False) as recall:
        await asyncio.sleep(0)
        assert ledger.accounts == []

        assert await recall() is answer


async def test_an_error_of_the_ledger_is_raised_where_it_is_waited_for(desk: Desk) -> None:
    """And not before: the session is ended in order."""
    _, ports = await asked(desk, LedgerUnavailable("gone"))
    async with recalling(desk.account, ports, ahead=True) as recall:
        await asyncio.sleep(0)
        with pytest.raises(LedgerUnavailable):
            await recall()


async def test_what_nobody_waited_for_is_dropped(desk: Desk) -> None:
    """The server let nobody in; nothing complains of an error that nobody saw."""
    _, ports = await asked(desk, LedgerUnavailable("gone"))
    with pytest.raises(KeyError):
        async with recalling(desk.account, ports, ahead=True):
            raise KeyError
