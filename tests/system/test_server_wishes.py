"""What servers want of whoever comes back, and what a daemon makes of it."""

import asyncio
from pathlib import Path

import pytest

from popsync.agent.events import Failed
from popsync.agent.overview import AccountState
from popsync.config.model import Config
from popsync.poll.events import PollEnded
from tests.doubles.pop3_script import ScriptedServer, Talk, admit
from tests.system.commands import MAILDIR, account
from tests.system.supervising import Bench, supervising
from tests.unit.config.files import load

HOUR_S = 3600.0
EMPTY = [
    (b"STAT", b"+OK 0 0\r\n"),
    (b"LIST", b"+OK\r\n.\r\n"),
    (b"UIDL", b"+OK\r\n.\r\n"),
    (b"QUIT", b"+OK\r\n"),
]


def config_for(tmp_path: Path, port: int, every: str) -> Config:
    """Give one account of the server at ``port``."""
    jane = account("jane", port, f'poll_every = "{every}"')
    return load(tmp_path, f'state_dir = "state"\n{MAILDIR}' + jane)


@pytest.mark.parametrize(
    ("words", "state", "earliest_s", "latest_s"),
    [
        (b"[IN-USE] locked", AccountState.BACKING_OFF, 60.0, 61.0),
        (b"[LOGIN-DELAY] too soon", AccountState.BACKING_OFF, 60.0, 61.0),
        (b"[SYS/TEMP] later", AccountState.BACKING_OFF, 10.0, 11.0),
        (b"[SYS/PERM] call us", AccountState.SUSPENDED, 6 * HOUR_S - 1, 6 * HOUR_S + 1),
        (b"[AUTH] wrong password", AccountState.BACKING_OFF, 10.0, 11.0),
        (b"wrong password", AccountState.BACKING_OFF, 10.0, 11.0),
    ],
)
async def test_a_refusal_decides_when_the_server_is_asked_again(
    tmp_path: Path, words: bytes, state: AccountState, earliest_s: float, latest_s: float
) -> None:
    """Polled every ten seconds, and never in less than a minute where that is too often."""
    bench = Bench()

    async def refuse(talk: Talk) -> None:
        await talk.send(b"+OK ready\r\n")
        await talk.exchange((b"CAPA", b"-ERR\r\n"), (b"USER jane", b"+OK\r\n"))
        await talk.exchange((b"PASS jane", b"-ERR " + words + b"\r\n"))
        await talk.wait_closed()

    async with ScriptedServer(refuse) as server:
        config = config_for(tmp_path, server.port, "10s")
        async with supervising(config, bench) as supervisor:
            async with asyncio.timeout(20):
                failed = await bench.next_event(Failed)
            (overview,) = supervisor.overview()

    assert isinstance(failed, Failed)
    assert overview.state is state
    assert overview.next_poll_at is not None
    assert earliest_s - 1 <= overview.next_poll_at - failed.report.summary.ended_at <= latest_s


@pytest.mark.parametrize(
    ("capability", "every", "expected_s"),
    [
        (b"LOGIN-DELAY 600", "5m", 600.0),
        (b"LOGIN-DELAY 600 USER", "5m", 600.0),
        (b"LOGIN-DELAY 120", "5m", 300.0),
        (b"LOGIN-DELAY 99999999", "5m", 86400.0),
        (b"LOGIN-DELAY soon", "5m", 300.0),
    ],
)
async def test_a_login_delay_is_the_least_interval(
    tmp_path: Path, capability: bytes, every: str, expected_s: float
) -> None:
    """RFC 2449 §6.4, a day at most; who has it in his own interval keeps that."""
    bench = Bench()

    async def serve(talk: Talk) -> None:
        await admit(talk, b"UIDL", capability)
        await talk.exchange(*EMPTY)

    async with ScriptedServer(serve) as server:
        config = config_for(tmp_path, server.port, every)
        async with supervising(config, bench) as supervisor:
            async with asyncio.timeout(20):
                ended = await bench.next_event(PollEnded)
            await supervisor._polls.wait()
            (overview,) = supervisor.overview()

    assert isinstance(ended, PollEnded)
    assert ended.report.error is None
    assert overview.next_poll_at is not None
    assert abs(overview.next_poll_at - ended.report.summary.ended_at - expected_s) < 2.0
