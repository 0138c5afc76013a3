"""Work that a disk may keep waiting for ever, each piece in a thread that does nothing else.

A pool would be full after a few pieces that never come back, and whatever else goes through it,
looking up a server's name for example, would wait with them. Nor can a thread in a system call be
ended: as a daemon it does not keep the process from ending, which is a cut like any other (P4).

Beginning a thread makes the event loop wait until it runs, which among many of them takes longer
than the work. So one that has come back is given what comes next, and ends when nothing does.
"""

import asyncio
import errno
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import ParamSpec, TypeVar

IDLE_S = 1.0
"""A thread that is given nothing for so long ends."""

_Work = Callable[[], None]
_Inbox = SimpleQueue[_Work]

_idle: list[_Inbox] = []
"""Of the threads that wait for work, the one that came back last at the end."""
os.register_at_fork(after_in_child=_idle.clear)  # their threads stay behind

P = ParamSpec("P")
T = TypeVar("T")


async def run_in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Give what ``work`` gives. When this is cancelled, the thread goes on.

    Raises what ``work`` raises; OSError when the system has no thread left.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            tell = partial(_settle, future, work(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - it goes to whoever waits
            tell = partial(_fail, future, error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell)

    _hand_over(run)
    return await future


def _hand_over(work: _Work) -> None:
    try:
        _idle.pop().put(work)
    except IndexError:
        _begin_thread(work)


def _begin_thread(work: _Work) -> None:
    try:
        Thread(target=_do_all, args=[work], name="popsync-disk", daemon=True).start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, "no thread could be started") from error


def _do_all(work: _Work | None) -> None:
    """Do ``work``, and what comes while this thread is among the idle ones."""
    inbox: _Inbox = SimpleQueue()
    while work is not None:
        work()
        work = None  # what it holds is not to live as long as the thread
        _idle.append(inbox)
        work = _next_work(inbox)


def _next_work(inbox: _Inbox) -> _Work | None:
    """Wait for work; None once nobody can give any to this thread."""
    try:
        return inbox.get(timeout=IDLE_S)
    except Empty:
        pass
    try:
        _idle.remove(inbox)
    except ValueError:
        return inbox.get()  # somebody has just taken it from there
    return None


def _settle(future: "asyncio.Future[T]", result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[T]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
