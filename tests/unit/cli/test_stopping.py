"""Signals that ask for an end."""

import asyncio
import os
import signal

import pytest

from popsync.cli.stopping import SIGNALS, stopping_on_signals


@pytest.mark.parametrize("number", SIGNALS)
async def test_the_first_signal_asks(number: signal.Signals) -> None:
    """The work in hand goes on, and can see that it should be the last."""
    async with stopping_on_signals() as stopping:
        before = stopping()
        os.kill(os.getpid(), number)
        await stopping.wait()

        assert (before, stopping(), stopping.cut_short) == (False, True, False)


async def test_the_second_signal_cancels() -> None:
    """Whatever is awaited then is cancelled, and it is known why."""
    async with stopping_on_signals() as stopping:
        os.kill(os.getpid(), signal.SIGTERM)
        await stopping.wait()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()

        assert stopping.cut_short


async def test_a_stop_that_takes_too_long_is_cut_short() -> None:
    """Patience ends before a service manager's does."""
    async with stopping_on_signals(grace_s=0.01) as stopping:
        stopping.ask()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()

        assert stopping.cut_short


async def test_work_that_ends_in_time_is_left_alone() -> None:
    """After the block nothing is cancelled any more, and signals mean what they meant."""
    async with stopping_on_signals(grace_s=0.01) as stopping:
        stopping.ask()
    await asyncio.sleep(0.02)

    assert not stopping.cut_short
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
