"""A disk that does not answer any more: other accounts go on, and so does the end."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from popsync.agent.assembly import open_assembly
from popsync.agent.events import Started
from popsync.agent.gates import DestinationBack, DestinationDown
from popsync.agent.supervisor import Supervisor
from popsync.destinations.maildir import MaildirDestination
from popsync.poll.events import PollEnded
from tests.doubles.disks import HangingSteps
from tests.doubles.supervision import AskedStop
from tests.system.commands import account, delivered, serving
from tests.unit.config.files import load

MAILDIRS = """
state_dir = "state"
[destination.inbox]
type = "maildir"
path = "Mail"
[destination.dead]
type = "maildir"
path = "dead/Mail"
"""


async def test_a_dead_disk_holds_up_its_own_accounts_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though more hang on it than a pool has threads; when it answers, all get their mail (P5)."""
    monkeypatch.setattr(MaildirDestination, "patience_s", staticmethod(lambda _parcels: 0.2))
    monkeypatch.setattr("popsync.agent.patience.FAREWELL_S", 0.1)
    names = [f"dead{number}" for number in range(20)]
    steps = HangingSteps(tmp_path / "dead")
    ended: asyncio.Queue[str] = asyncio.Queue()
    gate_events: asyncio.Queue[object] = asyncio.Queue()
    started = asyncio.Event()

    def observe(event: object) -> None:
        if isinstance(event, PollEnded):
            ended.put_nowait(event.report.account)
        if isinstance(event, DestinationDown | DestinationBack):
            gate_events.put_nowait(event)
        if isinstance(event, Started):
            started.set()

    with serving(tmp_path, "jane", *names) as served:
        for name in ("jane", *names):
            served.send(name, b"Subject: 1\r\n\r\nbody\r\n")
        dead = [account(n, served.pop3_port, 'deliver_to = ["dead"]') for n in names]
        jane = account("jane", served.pop3_port, 'deliver_to = ["inbox"]', 'poll_every = "1d"')
        config = load(tmp_path, MAILDIRS + jane + "".join(dead))
        stop = AskedStop()
        async with open_assembly(config, observe=observe, stopping=stop, steps=steps) as assembly:
            supervisor = Supervisor(stop=stop, observe=observe)
            running = asyncio.create_task(
                supervisor.run(config, assembly.build_agent, assembly.memory, assembly.gates)
            )
            await started.wait()
            supervisor.poll_all()
            first = {await ended.get() for _ in range(21)}
            jane_has = len(delivered(tmp_path))
            down = await gate_events.get()
            reports = await supervisor.poll_now(["jane"])
            steps.release()
            back = await gate_events.get()
            again = {await ended.get() for _ in range(21)}
            stop.ask()
            await running

    new = list((tmp_path / "dead" / "Mail" / "new").iterdir())
    assert first == {"jane", *names}
    assert isinstance(down, DestinationDown)
    assert "'dead' hangs" in down.trouble
    assert reports["jane"] is not None
    assert reports["jane"].error is None
    assert isinstance(back, DestinationBack)
    assert (jane_has, len(new), len(again)) == (1, 20, 21)


PROGRAM = """
import asyncio, threading
from popsync.cli.ending import exit_process
from popsync.cli.stopping import run_stoppable

async def work(stopping):
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    await asyncio.sleep(0)
    {last}

code = {otherwise}
try:
    run_stoppable(work)
    code = 0
finally:
    exit_process(code)
"""


@pytest.mark.parametrize(
    ("last", "code"),
    [
        ("pass", 0),
        ("raise OSError", 74),
        ("stopping.ask(); stopping.ask(); await asyncio.Event().wait()", 143),
    ],
)
def test_a_thread_that_hangs_does_not_keep_the_process(last: str, code: int) -> None:
    """It ends a few seconds later, with the code that says how the work ended (P4)."""
    program = PROGRAM.format(last=last, otherwise=code)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=20, check=False
    )

    assert done.returncode == code, done.stderr
