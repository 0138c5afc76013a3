"""What a server says reaches people as harmless text."""

from pathlib import Path

import pytest

from tests.odd_servers.harness import open_bench
from tests.odd_servers.server import Oddity, OddServer, Turn

PASSWORD = b"hunter2-secret"


def _refuse_login(words: bytes) -> Oddity:
    def oddity(turn: Turn) -> bytes | None:
        return b"-ERR " + words + b"\r\n" if turn.verb == b"PASS" else None

    return oddity


async def _told(words: bytes, directory: Path) -> str:
    """Give what a poll tells of a login refused with these words."""
    async with open_bench(OddServer([], _refuse_login(words)), directory) as bench:
        report = await bench.poll()
    assert report.error is not None
    return "\n".join([str(report.error), report.summary.error])


async def test_a_password_that_the_server_repeats_is_masked(tmp_path: Path) -> None:
    """Neither the error nor the ledger's summary shows it (P7)."""
    told = await _told(b"bad password " + PASSWORD, tmp_path)

    assert "bad password" in told
    assert PASSWORD.decode() not in told


@pytest.mark.parametrize(
    "words",
    [
        b"\x1b[2J\x1b]52;c;aGk=\x07",
        "\u202egnp.exe \u2066".encode(),
        "\x85\u2028\u2029\x0b\x1c2026-01-01 INFO forged".encode(),
        b"\x00\x7f\x80\xff",
    ],
)
async def test_control_characters_are_escaped(words: bytes, tmp_path: Path) -> None:
    """No terminal obeys them and no log line is forged."""
    told = await _told(b"no " + words, tmp_path)

    assert all(line.isprintable() for line in told.split("\n"))
    assert len(told.splitlines()) == 2
