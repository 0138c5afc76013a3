"""Work that a disk may keep waiting for ever, each piece in a thread of its own.

A pool would be full after a few pieces that never come back, and whatever else goes through it,
looking up a server's name for example, would wait with them. Nor can a thread in a system call be
ended: as a daemon it does not keep the process from ending, which is a cut like any other (P4).
"""

import asyncio
import errno
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import ParamSpec, TypeVar

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

    try:
        Thread(target=run, name="popsync-disk", daemon=True).start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, "no thread could be started") from error
    return await future


def _settle(future: "asyncio.Future[T]", result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[T]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
