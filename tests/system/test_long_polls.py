"""Polls that last very long: they end in between, and go on at once."""

import asyncio
from pathlib import Path

from popsync.poll.events import PollEnded
from tests.doubles.pop3_script import ScriptedServer, Talk, admit
from tests.system.commands import MAILDIR, account, delivered
from tests.system.supervising import Bench, supervising
from tests.unit.config.files import load

MESSAGE = b"Subject: %d\r\n\r\nbody\r\n"
OCTETS = len(MESSAGE % 1)


async def test_a_poll_of_half_an_hour_ends_its_session_and_goes_on_at_once(tmp_path: Path) -> None:
    """What was delivered by then is deleted by then, not days later; nothing comes twice (P1)."""
    bench = Bench()
    left = [1, 2, 3]
    sessions = []

    async def serve(talk: Talk) -> None:
        sessions.append(list(left))
        await admit(talk, b"UIDL")
        sizes = b"".join(b"%d %d\r\n" % (n, OCTETS) for n, _ in enumerate(left, 1))
        names = b"".join(b"%d u%d\r\n" % row for row in enumerate(left, 1))
        await talk.exchange((b"STAT", b"+OK %d %d\r\n" % (len(left), len(left) * OCTETS)))
        await talk.exchange((b"LIST", b"+OK\r\n" + sizes + b".\r\n"))
        await talk.exchange((b"UIDL", b"+OK\r\n" + names + b".\r\n"))
        doomed = []
        while (line := await talk.line()) not in {b"QUIT\r\n", b""}:
            verb, number = line.split()
            message = left[int(number) - 1]
            if verb == b"DELE":
                doomed.append(message)
                await talk.send(b"+OK\r\n")
                continue
            bench.ahead_s += 1000.0
            await talk.send(b"+OK\r\n" + MESSAGE % message + b".\r\n")
        left[:] = [message for message in left if message not in doomed]
        await talk.send(b"+OK\r\n")

    async with ScriptedServer(serve) as server:
        text = f'state_dir = "state"\n{MAILDIR}' + account("jane", server.port, mode="delete")
        async with supervising(load(tmp_path, text), bench), asyncio.timeout(20):
            for _ in range(2):
                ended = await bench.next_event(PollEnded)
                assert isinstance(ended, PollEnded)
                assert ended.report.error is None

    assert sessions == [[1, 2, 3], [3]]
    assert left == []
    assert len(delivered(tmp_path)) == 3
