"""Whatever the server does: nothing lost, nothing doubled, every octet as it was."""

from pathlib import Path

import pytest

from popsync.maildrop.settings import Deadlines
from tests.odd_servers.cases import CASES
from tests.odd_servers.form import Case
from tests.odd_servers.harness import PATIENT, QUICK, Bench, open_bench
from tests.odd_servers.server import Mail, OddServer

_ASKED_FOR = {b"CAPA", b"USER", b"PASS", b"STAT", b"LIST", b"UIDL", b"RETR", b"DELE", b"QUIT"}


def _content(mail: Mail) -> bytes:
    return mail.octets.replace(b"\r\n", b"\n")


def _deadlines(case: Case) -> Deadlines:
    return QUICK if case.hasty else PATIENT


def _judge(case: Case, server: OddServer, bench: Bench) -> None:
    """Demand that what is not missing has arrived once, and what has not is still there."""
    wanted = {_content(mail) for mail in case.mail if mail not in case.missing}
    arrived = bench.arrived
    assert {octets: arrived[octets] for octets in wanted} == dict.fromkeys(wanted, 1)
    marked = {octets.split(b"\n", 1)[1] for octets in bench.suspects}
    assert set(arrived) - wanted <= marked, "what is not whole has to be marked"
    assert set(case.missing) <= set(server.mail)


def _judge_manners(server: OddServer) -> None:
    """Demand that nothing is asked for but what is needed, and nothing after a deletion."""
    for said in server.said:
        verbs = [line.split(b" ", 1)[0] for line in said]
        assert set(verbs) <= _ASKED_FOR, "TOP, RSET and all others are never needed"
        if b"DELE" in verbs:
            assert b"RETR" not in verbs[verbs.index(b"DELE") :]


@pytest.mark.parametrize("name", CASES)
async def test_each_message_arrives_once_and_unchanged(name: str, tmp_path: Path) -> None:
    """What can arrive has arrived once; what has not arrived is still on the server."""
    case = CASES[name]
    server = OddServer(list(case.mail), case.oddity)
    async with open_bench(server, tmp_path, deadlines=_deadlines(case)) as bench:
        for _ in range(case.polls):
            await bench.poll()
            here = {_content(mail) for mail in server.mail}
            assert {_content(mail) for mail in case.mail} <= here | bench.arrived.keys()
        _judge(case, server, bench)
    if case.stays is not None:
        assert tuple(server.mail) == case.stays
    _judge_manners(server)


@pytest.mark.parametrize("name", CASES)
async def test_each_message_arrives_once_and_stays(name: str, tmp_path: Path) -> None:
    """The same in keep mode, where no poll deletes anything."""
    case = CASES[name]
    server = OddServer(list(case.mail), case.oddity)
    async with open_bench(server, tmp_path, deletes=False, deadlines=_deadlines(case)) as bench:
        for _ in range(case.polls):
            await bench.poll()
        _judge(case, server, bench)
    assert tuple(server.mail) == case.mail
    assert not any(command.startswith(b"DELE") for command in server.commands)
    _judge_manners(server)
