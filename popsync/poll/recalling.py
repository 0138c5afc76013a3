"""What is known of an account: read while its server lets us in, let go once the plan is made.

Sessions are long, and what is known grows with the years: were it kept for as long as a session
lasts, slow servers would fill the memory (P8).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace

from popsync.model import AccountMemory, Digest, Listing
from popsync.poll.content_keys import is_content_key, is_nameless
from popsync.poll.plan import PollPlan
from popsync.poll.policy import Account
from popsync.poll.ports import Ports

Recall = Callable[[], Awaitable[AccountMemory]]
"""Gives what the ledger knows of the account; once. Raises LedgerError."""


@asynccontextmanager
async def recalling(account: Account, ports: Ports, *, ahead: bool) -> AsyncIterator[Recall]:
    """Give the way to ask the ledger, which is asked at once when it is to be asked ``ahead``.

    Unless others have been asked ahead and still wait for their servers. What nobody waited for
    is dropped, whatever it was.
    """
    if not ahead or ports.allowance.ahead.locked():
        yield lambda: ports.ledger.memory(account.id)
        return
    await ports.allowance.ahead.acquire()
    asked = [asyncio.ensure_future(ports.ledger.memory(account.id))]

    async def hand_over() -> AccountMemory:
        try:
            return await asked.pop()
        finally:
            ports.allowance.ahead.release()

    try:
        yield hand_over
    finally:
        for unwanted in asked:
            unwanted.cancel()
            await asyncio.gather(unwanted, return_exceptions=True)
            ports.allowance.ahead.release()


def let_go(
    memory: AccountMemory, listing: Listing, plan: PollPlan, vanished: Collection[Digest]
) -> AccountMemory:
    """Give what a session may still ask of ``memory`` once it has its plan.

    That is what is known under the names that are retrieved; all where a message may be known
    under another one.
    """
    names = {listed.unique_id for listed in plan.retrieve}
    messages = {name: memory.messages[name] for name in names if name in memory.messages}
    if (
        vanished
        or plan.renumbered
        or memory.content_keys
        or any(map(is_nameless, listing.messages))
        or any(known.digest is None for same in messages.values() for known in same)
        or any(map(is_content_key, memory.messages))
    ):
        return memory
    return replace(memory, messages=messages)
