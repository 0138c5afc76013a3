"""Polls that wait for ever, because no deadline of theirs ends them: they are cut from outside."""

import asyncio
from pathlib import Path

import pytest

from popsync.agent.events import Failed
from popsync.agent.overview import AccountState
from popsync.errors import PollStuck
from popsync.ledger import read_ledger
from popsync.net.connection import Connection
from tests.doubles.pop3_script import ScriptedServer, Talk, admit
from tests.doubles.supervision import settle
from tests.system.commands import MAILDIR, account, delivered
from tests.system.supervising import Bench, supervising
from tests.unit.config.files import load

MESSAGE = b"Subject: 1\r\n\r\nbody\r\n"
ENDLESS_S = 1e6
AHEAD_S = 5 * 3600.0
"""More than twice what anything may take."""


async def serve_until(talk: Talk, *, at: str) -> None:
    """Serve one message, but go no further than to a certain moment."""
    if at == "the login":
        return
    await admit(talk, b"UIDL", user=b"dead")
    await talk.expect(b"STAT")
    await talk.send(b"+OK 1 %d\r\n" % len(MESSAGE))
    await talk.expect(b"LIST")
    if at == "the listing":
        return
    await talk.send(b"+OK\r\n1 %d\r\n.\r\n" % len(MESSAGE))
    await talk.exchange((b"UIDL", b"+OK\r\n1 u1\r\n.\r\n"))
    await talk.expect(b"RETR 1")
    if at == "a message":
        await talk.send(b"+OK\r\nSubject: 1\r\n")
        return
    await talk.send(b"+OK\r\n" + MESSAGE + b".\r\n")
    await talk.expect(b"DELE 1")


@pytest.mark.parametrize("at", ["the login", "the listing", "a message", "deletions"])
async def test_a_stuck_poll_is_cut_and_its_account_backs_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Whatever it waits for; it is said once, what was delivered stays so, others go on (P4)."""
    read = Connection.read
    monkeypatch.setattr(Connection, "read", lambda self, **_: read(self, timeout_s=ENDLESS_S))
    bench = Bench()

    async def script(talk: Talk) -> None:
        await serve_until(talk, at=at)
        bench.silent.set()
        await talk.wait_closed()

    async with ScriptedServer(script) as server:
        text = f'state_dir = "state"\n{MAILDIR}' + account("dead", server.port, mode="delete")
        config = load(tmp_path, text)
        async with supervising(config, bench) as supervisor:
            async with asyncio.timeout(20):
                await bench.silent.wait()
                await settle()
                supervisor.cut_stuck()
                before = supervisor.is_moving()
                bench.ahead_s += AHEAD_S
                stuck = supervisor.is_moving()
                supervisor.cut_stuck()
                failed = await bench.next_event(Failed)
            (overview,) = supervisor.overview()
            after = supervisor.is_moving()
    with read_ledger(config.state_dir) as ledger:
        (report,) = ledger.accounts()

    assert isinstance(failed, Failed)
    assert isinstance(failed.report.error, PollStuck)
    assert str(failed.report.error).startswith(f"the poll waited for {at} without end and was cut")
    assert (overview.state, overview.standing.failures) == (AccountState.BACKING_OFF, 1)
    assert report.last_poll is not None
    assert report.last_poll.error == str(failed.report.error)
    assert (before, stuck, after) == (True, False, True)
    assert len(delivered(tmp_path)) == (at == "deletions")
