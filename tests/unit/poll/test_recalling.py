import asyncio
import gc
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from weakref import ref

import pytest

from popsync.errors import LedgerUnavailable
from popsync.model import (
    AccountId,
    AccountMemory,
    Digest,
    KnownMessage,
    ListedMessage,
    Listing,
    MessageNumber,
    MessageState,
    UniqueId,
)
from popsync.poll.allowance import MAX_AHEAD
from popsync.poll.content_keys import content_key
from popsync.poll.plan import PollPlan, plan_poll
from popsync.poll.policy import Policy
from popsync.poll.recalling import let_go, recalling
from tests.doubles.polling import Desk


class Messages(dict[UniqueId, tuple[KnownMessage, ...]]):
    """What is known, and can be seen to be freed."""


class Asked:
    """A ledger that notes who asks, and answers when it is told to."""

    def __init__(self, answer: AccountMemory | Exception) -> None:
        self.accounts: list[AccountId] = []
        self._answer: AccountMemory | Exception | None = answer

    async def memory(self, account: AccountId) -> AccountMemory:
        """Note it and answer."""
        self.accounts.append(account)
        await asyncio.sleep(0)
        if isinstance(self._answer, Exception):
            raise self._answer
        assert self._answer is not None
        return self._answer

    def forget(self) -> None:
        """Keep the answer no longer."""
        self._answer = None


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


async def test_only_a_few_are_asked_ahead(desk: Desk) -> None:
    """What waits for slow servers in memory stays bounded (P8); the others are asked later."""
    ledger, ports = await asked(desk, answer := await known(desk))
    async with AsyncExitStack() as stack:
        recalls = [
            await stack.enter_async_context(recalling(desk.account, ports, ahead=True))
            for _ in range(MAX_AHEAD + 3)
        ]
        await asyncio.sleep(0)
        assert len(ledger.accounts) == MAX_AHEAD

        assert [await recall() for recall in recalls] == [answer] * len(recalls)
        async with recalling(desk.account, ports, ahead=True):
            await asyncio.sleep(0)
            assert len(ledger.accounts) == len(recalls) + 1


async def test_what_was_handed_over_is_kept_by_nobody_else(desk: Desk) -> None:
    """A session that lasts long would have it in memory all the time."""
    ledger, ports = await asked(desk, AccountMemory(messages := Messages()))
    async with recalling(desk.account, ports, ahead=True) as recall:
        there = ref(messages)
        del messages
        memory = await recall()
        assert memory.messages is there()

        ledger.forget()
        del memory
        await asyncio.sleep(0)  # the event loop lets go of the task that asked
        gc.collect()
        assert there() is None


def settled(*unique_ids: bytes) -> dict[UniqueId, tuple[KnownMessage, ...]]:
    """Give what is known of messages that were delivered and are kept."""
    return {
        UniqueId(name): (
            KnownMessage(
                UniqueId(name),
                Digest(name * 32),
                MessageState.SETTLED,
                1,
                0,
                0,
                None,
                False,
                0,
                False,
            ),
        )
        for name in unique_ids
    }


def plan_of(
    memory: AccountMemory, *unique_ids: bytes, deletes: bool = False
) -> tuple[Listing, PollPlan]:
    """Give a listing of these, and what is to be done about it."""
    messages = tuple(
        ListedMessage(MessageNumber(n), UniqueId(name), 0)
        for n, name in enumerate(unique_ids, start=1)
    )
    listing = Listing(messages, complete=True)
    return listing, plan_poll(listing, memory, Policy(deletes=deletes), 0.0)


def test_after_the_plan_only_what_is_retrieved_is_asked_for() -> None:
    """What is known of all others is let go, however much it is."""
    memory = AccountMemory(settled(b"a", b"b", b"c"), polled_before=True, stamp=b"s")
    again = memory.messages[UniqueId(b"b")][0]._replace(state=MessageState.PENDING)
    memory = replace(memory, messages={**memory.messages, UniqueId(b"b"): (again,)})
    listing, plan = plan_of(memory, b"a", b"b", b"c", b"new")

    left = let_go(memory, listing, plan, frozenset())

    assert left == replace(memory, messages={UniqueId(b"b"): (again,)})


@pytest.mark.parametrize(
    "why", ["vanished", "content keys", "nameless", "never retrieved", "once nameless"]
)
def test_where_names_do_not_tell_all_is_kept(why: str) -> None:
    """A message may then be known under another name, and only all of them tell (P1, P4)."""
    memory = AccountMemory(settled(b"a", b"b"), polled_before=True)
    listed = [b"a", b"b", b"new"]
    vanished = frozenset({Digest(b"x" * 32)} if why == "vanished" else ())
    if why == "content keys":
        memory = replace(memory, content_keys=True)
    if why == "nameless":
        listed.append(b"")
    if why == "never retrieved":
        known = settled(b"new")[UniqueId(b"new")][0]
        known = known._replace(digest=None, state=MessageState.PENDING)
        memory = replace(memory, messages={**memory.messages, UniqueId(b"new"): (known,)})
    if why == "once nameless":
        memory = replace(
            memory, messages={**memory.messages, **settled(content_key(Digest(b"k")))}
        )
    listing, plan = plan_of(memory, *listed, deletes=True)

    assert let_go(memory, listing, plan, vanished) is memory
