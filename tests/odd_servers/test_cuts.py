"""A message that is cut off, wherever that happens, leaves nothing behind and comes again."""

from pathlib import Path

from tests.odd_servers.form import MAIL, ONE, THREE, make_mail
from tests.odd_servers.harness import open_bench
from tests.odd_servers.server import Answer, OddServer, Turn

CUT = make_mail("cut", b"Line.\r\n.\r\n..\r\n" * 4 + b"A line that has some more octets.\r\n" * 5)


async def test_a_cut_at_any_octet_leaves_nothing(tmp_path: Path) -> None:
    """Of three messages the first arrives, the second never in part; then all do."""
    tries = len(CUT.octets) + 20  # its stuffed dots, status line and end included
    server = OddServer([ONE, CUT, THREE])

    def cuts(turn: Turn) -> Answer | None:
        if turn.line.upper() != b"RETR 2" or turn.session > tries:
            return None
        return Answer(turn.usual[: min(turn.session - 1, len(turn.usual) - 1)], closes=True)

    server.oddity = cuts
    first, third = (mail.octets.replace(b"\r\n", b"\n") for mail in (MAIL[0], MAIL[2]))
    async with open_bench(server, tmp_path, deletes=False) as bench:
        for _ in range(tries):
            report = await bench.poll()
            assert report.error is not None
            assert set(bench.arrived) <= {first, third}
        await bench.poll()
        cut = CUT.octets.replace(b"\r\n", b"\n")
        assert bench.arrived == dict.fromkeys((first, cut, third), 1)
