"""Messages whose octets are in doubt are delivered once, marked, and never deleted."""

from pathlib import Path

import pytest

from tests.odd_servers.cases import CASES
from tests.odd_servers.harness import open_bench
from tests.odd_servers.server import OddServer


@pytest.mark.parametrize(
    "name", ["message-ended-early", "message-that-forges-a-reply", "dots-not-doubled"]
)
async def test_a_message_with_a_false_end_is_marked_and_looked_at_twice(
    name: str, tmp_path: Path
) -> None:
    """It is not held back: half a message that somebody sees beats a whole one that nobody does.

    So what came is delivered at once with a mark. The second look tells whether the server was
    only out of order for a moment; then it is left alone, and stays on the server for good.
    """
    case = CASES[name]
    server = OddServer(list(case.mail), case.oddity)
    async with open_bench(server, tmp_path) as bench:
        for _ in range(6):
            await bench.poll()
        assert len(bench.suspects) == 1
        assert any("stays on the server" in text for text in bench.warnings)
    told = [line for said in server.said for line in said if line.startswith(b"RETR")]
    assert len(told) == len(case.mail) + 1
    assert tuple(server.mail) == case.stays
