"""Runs a program for its output: no shell, no terminal, no way to go on for ever."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress

_FAREWELL_S = 5.0
"""How long a killed program may take to be gone."""


class ProgramFailed(Exception):
    """The program gave nothing to use; the text says why, after the program's name."""


async def run_program(command: tuple[str, ...], *, max_octets: int, timeout_s: float) -> bytes:
    """Give what ``command`` prints, once it has ended well.

    Its errors are not read: they may hold a secret. On time-out, too much output or
    cancellation the program is killed with all that it started. Raises ProgramFailed.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, start_new_session=True
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is not possible"
        raise ProgramFailed(f"cannot be started: {reason}") from None
    try:
        async with asyncio.timeout(timeout_s):
            output = await _read(process, max_octets)
            status = await process.wait()
    except TimeoutError:
        await _kill(process)
        raise ProgramFailed(f"did not end within {timeout_s:g} s and was killed") from None
    except BaseException:
        await _kill(process)
        raise
    if status:
        raise ProgramFailed(_describe_status(status))
    return output


async def _read(process: Process, max_octets: int) -> bytes:
    output = b""
    while process.stdout and (more := await process.stdout.read(max_octets)):
        output += more
        if len(output) > max_octets:
            raise ProgramFailed(f"printed more than {max_octets // 1024} KB")
    return output


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
