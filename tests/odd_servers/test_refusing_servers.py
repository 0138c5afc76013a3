"""A server that gives no message at all is left alone for a while, and nothing is lost by it."""

from dataclasses import replace
from pathlib import Path

from popsync.errors import ServerUnavailable
from tests.odd_servers.form import MAIL, make_mail
from tests.odd_servers.harness import Bench, open_bench
from tests.odd_servers.server import OddServer, Turn

NEW = tuple(make_mail(f"new-{number}") for number in range(8))
_REFUSING_SESSION = 2


def _refuses_all_in_second(turn: Turn) -> bytes | None:
    refuses = turn.verb == b"RETR" and turn.session == _REFUSING_SESSION
    return b"-ERR store is down\r\n" if refuses else None


def _delete_after_an_hour(bench: Bench) -> None:
    policy = replace(bench.account.policy, delete_after_s=3600)
    bench.account = replace(bench.account, policy=policy)


async def test_five_refusals_end_the_session_but_not_the_deletions(tmp_path: Path) -> None:
    """What is due is deleted all the same (P5); at the next poll every message arrives."""
    server = OddServer(list(MAIL), _refuses_all_in_second)
    async with open_bench(server, tmp_path) as bench:
        _delete_after_an_hour(bench)
        await bench.poll()
        server.mail += NEW
        server.commands.clear()

        report = await bench.poll()

        assert isinstance(report.error, ServerUnavailable)
        assert sum(command.startswith(b"RETR") for command in server.commands) == 5
        assert tuple(server.mail) == NEW
        await bench.poll()
        assert set(bench.arrived.values()) == {1}
        assert len(bench.arrived) == len(MAIL + NEW)
