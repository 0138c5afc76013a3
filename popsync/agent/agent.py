"""All accounts of one configuration, ready to be polled, planned or checked."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from popsync.agent.limits import ConnectionLimits
from popsync.agent.openings import Openings
from popsync.agent.paced import pace, wait_for_place
from popsync.agent.progress import Progress
from popsync.errors import PopsyncError
from popsync.model import Listing
from popsync.poll.events import PollReport
from popsync.poll.once import plan_once, poll_once
from popsync.poll.plan import PollPlan
from popsync.poll.policy import Account
from popsync.poll.ports import Ports


class Checkable(Protocol):
    """What can say whether it takes mail now, changing nothing."""

    async def probe(self) -> None:
        """Raise DestinationUnavailable when it does not."""
        ...


class AgentAccount(NamedTuple):
    """One account with the ports that its polls go through."""

    account: Account
    ports: Ports
    host: str


class AccountPlan(NamedTuple):
    """What a poll of one account would do now; ``error`` when that cannot be told."""

    account: str
    listing: Listing
    plan: PollPlan
    error: PopsyncError | None = None


class CheckReport(NamedTuple):
    """Whether one account lets us in, or one destination takes mail."""

    name: str
    error: PopsyncError | None = None
    messages: int = 0
    octets: int = 0


_Result = TypeVar("_Result")


class Agent:
    """Polls, plans or checks accounts, as many at a time as the limits allow.

    Methods take names of accounts, all of which must exist, and give results in that order. No
    account's trouble reaches another (P5).
    """

    def __init__(
        self,
        accounts: Mapping[str, AgentAccount],
        destinations: Mapping[str, Checkable],
        limits: ConnectionLimits,
    ) -> None:
        self._openings = Openings()
        self._accounts = accounts
        self._destinations = destinations
        self._limits = limits

    async def poll(
        self, name: str, *, wanted: Callable[[], bool], progress: Progress
    ) -> PollReport | None:
        """Poll one account once there is a place; None when it is not ``wanted`` any more then.

        progress: is told what the poll waits for.
        """
        account = self._accounts[name]
        async with self._limits.place(account.host):
            if not wanted():
                return None
            progress.begin()
            ports = self._bind(account.host, pace(account.ports, progress))
            begin = wait_for_place(ports.open_maildrop, progress)
            ports = replace(
                ports,
                open_maildrop=begin,
                stopping=lambda: account.ports.stopping() or progress.should_end(),
            )
            return await poll_once(account.account, ports)

    def give_up_openings(self) -> None:
        """Cancel the polls whose session has not begun yet; they have nothing in hand."""
        self._openings.give_up()

    async def poll_round(self, names: Sequence[str]) -> Sequence[PollReport]:
        """Poll each account once, side by side."""
        return await self._side_by_side(names, lambda a: poll_once(a.account, a.ports))

    async def plan_round(self, names: Sequence[str]) -> Sequence[AccountPlan]:
        """Tell what a poll would do now; nothing is retrieved, nothing changes."""
        return await self._side_by_side(names, _plan)

    async def check_accounts(self, names: Sequence[str]) -> Sequence[CheckReport]:
        """Log in to each account and list it; nothing is retrieved."""
        return await self._side_by_side(names, _check)

    async def check_destinations(self) -> Sequence[CheckReport]:
        """Ask each destination whether it takes mail now."""
        reports = (_check_destination(n, d) for n, d in self._destinations.items())
        return await asyncio.gather(*reports)

    def _bind(self, host: str, ports: Ports) -> Ports:
        """Let sessions begin only when the host takes one more, or be given up."""
        begin = partial(self._limits.open_maildrop, host, ports.open_maildrop)
        return replace(ports, open_maildrop=partial(self._openings.open_maildrop, begin))

    async def _side_by_side(
        self, names: Sequence[str], visit: Callable[[AgentAccount], Awaitable[_Result]]
    ) -> Sequence[_Result]:
        async def in_turn(account: AgentAccount) -> _Result:
            async with self._limits.place(account.host):
                ports = self._bind(account.host, account.ports)
                return await visit(account._replace(ports=ports))

        return await asyncio.gather(*(in_turn(self._accounts[name]) for name in names))


async def _plan(account: AgentAccount) -> AccountPlan:
    try:
        listing, plan = await plan_once(account.account, account.ports)
    except PopsyncError as error:
        return AccountPlan(account.account.name, Listing((), complete=False), PollPlan(), error)
    return AccountPlan(account.account.name, listing, plan)


async def _check(account: AgentAccount) -> CheckReport:
    name = account.account.name
    try:
        maildrop = await account.ports.open_maildrop(lock_step=False)
        try:
            listing = await maildrop.list()
            await maildrop.quit()
        finally:
            await maildrop.drop()
    except PopsyncError as error:
        return CheckReport(name, error)
    octets = sum(listed.octets for listed in listing.messages)
    return CheckReport(name, messages=len(listing.messages), octets=octets)


async def _check_destination(name: str, destination: Checkable) -> CheckReport:
    try:
        await destination.probe()
    except PopsyncError as error:
        return CheckReport(name, error)
    return CheckReport(name)
