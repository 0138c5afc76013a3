"""The polls under way: one per account at a time, and at most one more that follows it."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from popsync.model import AccountId
from popsync.poll.events import PollReport

Poll = Callable[[], Coroutine[Any, Any, PollReport | None]]
"""Polls once; None when nothing was polled."""


@dataclass(eq=False, slots=True)
class _Follower:
    """The poll that begins when the one under way ends."""

    poll: Poll
    report: "asyncio.Future[PollReport | None]"
    asked: bool


class Polls:
    """Sees to it that no account is polled twice at a time, whatever it is called."""

    def __init__(self) -> None:
        self._under_way: dict[AccountId, asyncio.Task[PollReport | None]] = {}
        self._followers: dict[AccountId, _Follower] = {}

    def begin(
        self, account: AccountId, poll: Poll, *, asked: bool = False
    ) -> "asyncio.Future[PollReport | None]":
        """Begin a poll and give its report to come; None in its place when there is none.

        While the account is being polled, the poll begins afterwards; however often that is
        wanted meanwhile, it is one poll, the last one given.
        asked: somebody waits for it, so that ``forget`` does not apply to it.
        """
        if account not in self._under_way:
            return self._start(account, poll)
        report = asyncio.get_running_loop().create_future()
        follower = self._followers.setdefault(account, _Follower(poll, report, asked))
        follower.poll = poll
        follower.asked |= asked
        return follower.report

    def forget(self, account: AccountId) -> None:
        """Let nothing follow the poll under way, unless somebody waits for it."""
        follower = self._followers.get(account)
        if follower is not None and not follower.asked:
            del self._followers[account]
            follower.report.set_result(None)

    def cut(self, account: AccountId) -> None:
        """Cut the poll under way, as a crash would."""
        if account in self._under_way:
            self._under_way[account].cancel()

    def cancel(self) -> None:
        """Cut all of them, as a crash would."""
        for poll in self._under_way.values():
            poll.cancel()

    async def wait(self) -> None:
        """Return when none is under way, and none follows."""
        while self._under_way:
            await asyncio.wait(self._under_way.values())

    def _start(self, account: AccountId, poll: Poll) -> "asyncio.Task[PollReport | None]":
        task = asyncio.create_task(poll(), name=f"poll {account}")
        self._under_way[account] = task
        task.add_done_callback(partial(self._end, account))
        return task

    def _end(self, account: AccountId, _ended: "asyncio.Task[PollReport | None]") -> None:
        del self._under_way[account]
        follower = self._followers.pop(account, None)
        if follower is not None:
            successor = self._start(account, follower.poll)
            successor.add_done_callback(lambda task: follower.report.set_result(result_of(task)))


def result_of(poll: "asyncio.Future[PollReport | None]") -> PollReport | None:
    """Give what a poll that is over came to; None when it was cut, or broke."""
    return None if poll.cancelled() or poll.exception() else poll.result()
