"""Runs a program for its output: no shell, no terminal, no way to go on for ever."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress
from typing import Any

_FAREWELL_S = 5.0
"""How long a killed program may take to be gone."""
_GRACE_S = 1.0
"""How long the output of a program that has ended may stay open."""


class ProgramFailed(Exception):
    """The program gave nothing to use; the text says why, after the program's name."""


class _Output(asyncio.Protocol):
    """What has been printed so far."""

    def __init__(self, max_octets: int) -> None:
        self.octets = b""
        self.complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when there is no more, or already too much."""
        self._max_octets = max_octets

    def data_received(self, data: bytes) -> None:
        self.octets += data
        if len(self.octets) > self._max_octets:
            self._complete()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's form
        self._complete()

    def _complete(self) -> None:
        if not self.complete.done():
            self.complete.set_result(None)

    def check(self) -> None:
        """Raise ProgramFailed when it is too much."""
        if len(self.octets) > self._max_octets:
            raise ProgramFailed(f"printed more than {self._max_octets // 1024} KB")


async def run_program(command: tuple[str, ...], *, max_octets: int, timeout_s: float) -> bytes:
    """Give what ``command`` prints, once it has ended well.

    Its errors are not read: they may hold a secret. On time-out, too much output or
    cancellation the program is killed with all that it started; so is what it leaves behind
    with our end of its output still open. Raises ProgramFailed.
    """
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb", buffering=0) as pipe:
        try:
            process = await _start(command, theirs)
        finally:
            os.close(theirs)
        try:
            transport, output = await asyncio.get_running_loop().connect_read_pipe(
                lambda: _Output(max_octets), pipe
            )
        except BaseException:  # cancelled as early as this, it must not be left behind either
            await _kill(process)
            raise
        try:
            status = await _attend(process, output, timeout_s)
        finally:
            transport.close()
    if status:
        raise ProgramFailed(_describe_status(status))
    return output.octets


async def _start(command: tuple[str, ...], stdout: int) -> Process:
    # Not asyncio's own pipe: with that, a program counts as running until its children are done.
    try:
        return await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=stdout, stderr=DEVNULL, start_new_session=True
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is not possible"
        raise ProgramFailed(f"cannot be started: {reason}") from None


async def _attend(process: Process, output: _Output, timeout_s: float) -> int:
    """Give the exit status once the program has ended and ``output`` has what it printed."""
    ended = asyncio.ensure_future(process.wait())
    either: tuple[asyncio.Future[Any], ...] = (ended, output.complete)
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            output.check()
            status = await ended
            await asyncio.wait((output.complete,), timeout=_GRACE_S)
        output.check()
        if not output.complete.done():
            await _kill(process)
    except TimeoutError:
        await _kill(process)
        raise ProgramFailed(f"did not end within {timeout_s:g} s and was killed") from None
    except BaseException:
        await _kill(process)
        raise
    finally:
        ended.cancel()
    return status


async def _kill(process: Process) -> None:
    """End the program and its children; one that left the group is not waited for."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(_FAREWELL_S):
            await process.wait()


def _describe_status(status: int) -> str:
    if status < 0:
        return f"was ended by signal {-status}"
    return f"ended with exit code {status}; run it by hand to see why"
