"""Signals that ask for an end."""

import asyncio
import os
import signal

import click
import pytest

from popsync.cli.stopping import SIGNALS, CutShort, Stopping, run_stoppable, stopping_on_signals


@pytest.mark.parametrize("number", SIGNALS)
async def test_the_first_signal_asks(number: signal.Signals) -> None:
    """The work in hand goes on, and can see that it should be the last."""
    async with stopping_on_signals() as stopping:
        before = stopping()
        os.kill(os.getpid(), number)
        await stopping.wait()

        assert (before, stopping(), stopping.cut_short) == (False, True, None)


async def wait_after_two_signals() -> None:
    """Wait for ever, as far as signals allow."""
    async with stopping_on_signals() as stopping:
        os.kill(os.getpid(), signal.SIGTERM)
        await stopping.wait()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()


async def wait_after_one_signal() -> None:
    """Wait for ever, as far as patience allows."""
    async with stopping_on_signals(grace_s=0.01):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()


async def test_the_second_signal_cuts_the_work_short() -> None:
    """Whatever is awaited then is cancelled, and it is known why."""
    with pytest.raises(CutShort) as caught:
        await wait_after_two_signals()

    assert caught.value.insisted == signal.SIGINT


async def test_a_stop_that_takes_too_long_is_cut_short() -> None:
    """Patience ends before a service manager's does."""
    with pytest.raises(CutShort) as caught:
        await wait_after_one_signal()

    assert caught.value.insisted is None


async def test_work_that_ends_in_time_is_left_alone() -> None:
    """After the block nothing is cancelled any more, and signals mean what they meant."""
    async with stopping_on_signals(grace_s=0.01) as stopping:
        stopping.ask()
    await asyncio.sleep(0.02)

    assert stopping.cut_short is None
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    """Only what a signal caused is told as such."""
    with pytest.raises(asyncio.CancelledError):
        async with stopping_on_signals():
            raise asyncio.CancelledError


@pytest.mark.parametrize(("second", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_cut_short_says_so(
    capsys: pytest.CaptureFixture[str], second: signal.Signals, code: int
) -> None:
    """A second signal ends it with the code that a shell shows, and one line, no traceback."""

    async def work(stopping: Stopping) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await stopping.wait()
        os.kill(os.getpid(), second)
        await asyncio.Event().wait()

    with pytest.raises(click.exceptions.Exit) as caught:
        run_stoppable(work)

    assert caught.value.exit_code == code
    assert capsys.readouterr().err == "popsync: stopped in the middle; nothing is lost\n"


def test_a_command_that_stops_in_time_gives_its_result() -> None:
    """Asked once, it ends as it would have."""

    async def work(stopping: Stopping) -> str:
        stopping.ask()
        await stopping.wait()
        return "done"

    assert run_stoppable(work) == "done"
