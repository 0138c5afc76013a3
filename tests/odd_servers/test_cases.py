"""Whatever the server does: nothing lost, nothing doubled, every octet as it was."""

from pathlib import Path

import pytest

from tests.odd_servers.cases import CASES
from tests.odd_servers.harness import open_bench
from tests.odd_servers.server import OddServer


@pytest.mark.parametrize("name", CASES)
async def test_each_message_arrives_once_and_unchanged(name: str, tmp_path: Path) -> None:
    """What can arrive has arrived once; what has not arrived is still on the server."""
    case = CASES[name]
    server = OddServer(list(case.mail), case.oddity)
    async with open_bench(server, tmp_path) as bench:
        for _ in range(case.polls):
            await bench.poll()
        wanted = {
            mail.octets.replace(b"\r\n", b"\n") for mail in case.mail if mail not in case.missing
        }
        arrived = bench.arrived
        assert {octets: arrived[octets] for octets in wanted} == dict.fromkeys(wanted, 1)
        marked = {octets.split(b"\n", 1)[1] for octets in bench.suspects}
        assert set(arrived) - wanted <= marked, "what is not whole has to be marked"
    assert set(case.missing) <= set(server.mail)
    if case.stays is not None:
        assert tuple(server.mail) == case.stays
