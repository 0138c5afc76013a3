"""What is known of an account is read while its server takes its time to let us in."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from popsync.model import AccountMemory
from popsync.poll.policy import Account
from popsync.poll.ports import Ports

Recall = Callable[[], Awaitable[AccountMemory]]
"""Gives what the ledger knows of the account; once. Raises LedgerError."""


@asynccontextmanager
async def recalling(account: Account, ports: Ports, *, ahead: bool) -> AsyncIterator[Recall]:
    """Give the way to ask the ledger, which is asked at once when it is to be asked ``ahead``.

    What nobody waited for is dropped, whatever it was.
    """
    if not ahead:
        yield lambda: ports.ledger.memory(account.id)
        return
    recalled = asyncio.ensure_future(ports.ledger.memory(account.id))
    try:
        yield lambda: recalled
    finally:
        recalled.cancel()
        await asyncio.gather(recalled, return_exceptions=True)
