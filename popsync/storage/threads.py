"""Work that a disk may keep waiting for ever, each piece in a thread that does nothing else.

A pool would be full after a few pieces that never come back, and whatever else goes through it,
looking up a server's name for example, would wait with them. Nor can a thread in a system call be
ended: as a daemon it does not keep the process from ending, which is a cut like any other (P4).

Beginning a thread makes the event loop wait until it runs, which among many of them takes longer
than the work. So one that has come back is given what comes next, and ends when nothing does. And
many that run at once only take the interpreter from one another: while a few are at work the next
piece waits for one of them, for as long as they come back: what they do may hang.
"""

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import ParamSpec, TypeVar

IDLE_S = 1.0
"""A thread that is given nothing for so long ends."""
FEW = 2
"""So many threads at work are enough, as long as they come back."""
PATIENCE_S = 0.05
"""Where none of them comes back for so long, what waits gets a thread of its own."""

_Work = Callable[[], None]
_Inbox = SimpleQueue[_Work]

_busy: set[_Inbox] = set()
"""Of the threads that are at work."""
_idle: list[_Inbox] = []
"""Of the threads that wait for work, the one that came back last at the end."""
_waiting: deque[_Work] = deque()
"""What waits for a thread, the oldest first."""
_came_back_at = deque([0.0], maxlen=1)
"""When one of them last did."""
for _threads in (_busy, _idle, _waiting):
    os.register_at_fork(after_in_child=_threads.clear)  # they stay behind

P = ParamSpec("P")
T = TypeVar("T")


async def run_in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Give what ``work`` gives. When this is cancelled, the thread goes on.

    Raises what ``work`` raises; OSError when the system has no thread left at all.
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

    _hand_over(run, loop)
    return await future


def _hand_over(work: _Work, loop: asyncio.AbstractEventLoop) -> None:
    if _idle or len(_busy) < FEW:
        _give_thread(work)
        return
    _waiting.append(work)
    loop.call_later(PATIENCE_S, _lose_patience, work, loop)


def _lose_patience(work: _Work, loop: asyncio.AbstractEventLoop) -> None:
    """Give ``work`` a thread of its own, unless one that came back has it or will soon."""
    left_s = _came_back_at[0] + PATIENCE_S - monotonic()
    if left_s > 0:
        loop.call_later(left_s, _lose_patience, work, loop)
        return
    try:
        _waiting.remove(work)
    except ValueError:
        return
    _busy.clear()  # who has been at work for so long is waited for no more: it may hang
    try:
        _give_thread(work)
    except OSError:
        _waiting.append(work)
        loop.call_later(PATIENCE_S, _lose_patience, work, loop)


def _give_thread(work: _Work) -> None:
    try:
        inbox = _idle.pop()
    except IndexError:
        _begin_thread(work)
    else:
        _busy.add(inbox)
        inbox.put(work)


def _begin_thread(work: _Work) -> None:
    inbox: _Inbox = SimpleQueue()
    _busy.add(inbox)
    inbox.put(work)
    try:
        Thread(target=_do_all, args=[inbox], name="popsync-disk", daemon=True).start()
    except RuntimeError as error:
        _busy.discard(inbox)
        raise OSError(errno.EAGAIN, "no thread could be started") from error


def _do_all(inbox: _Inbox) -> None:
    """Do what comes, as long as something does."""
    work: _Work | None = inbox.get()
    while work is not None:
        work()
        work = None  # what it holds is not to live as long as the thread
        work = _next_work(inbox)


def _next_work(inbox: _Inbox) -> _Work | None:
    """Take what waits, or wait for work; None once nobody can give any to this thread."""
    _came_back_at.append(monotonic())
    with suppress(IndexError):
        return _waiting.popleft()
    _busy.discard(inbox)
    _idle.append(inbox)
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
