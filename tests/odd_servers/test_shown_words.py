"""What a server says reaches the log of ``popsync once`` as harmless text on one line."""

import asyncio
from pathlib import Path

import pytest

from tests.doubles.pop3_script import ScriptedServer
from tests.odd_servers.form import MAIL
from tests.odd_servers.server import OddServer, Turn
from tests.system.commands import popsync, write_config

PASSWORD = "hunter2-secret"
WORDS: dict[str, bytes] = {
    "screen-control": b"\x1b[2J\x1b]52;c;aGk=\x07\x9b1m",
    "bidirectional": "\u202egnp.exe\u2066 \u200f".encode(),
    "line-ends-of-others": "\x85\u2028\u2029\x0b\x0c\x1c\x1d\x1e2026-01-01 INFO forged".encode(),
    "delete-and-nul": b"\x00\x7f\x80\xff",
    "our-password": b"bad password " + PASSWORD.encode(),
    "our-password-in-capitals": b"BAD PASSWORD " + PASSWORD.upper().encode(),
}
EVERYWHERE = ("screen-control", "line-ends-of-others")
REFUSED_AT = {"greeting": b"", "login": b"PASS", "message": b"RETR", "deletion": b"DELE"}


def _refuse(verb: bytes, words: bytes) -> OddServer:
    def oddity(turn: Turn) -> bytes | None:
        return b"-ERR " + words + b"\r\n" if turn.verb == verb else None

    return OddServer(list(MAIL), oddity)


async def _shown(server: OddServer, directory: Path, *options: str) -> str:
    """Give all that a poll writes, to its log and beside it."""
    async with ScriptedServer(server.serve) as served:
        config = write_config(
            directory / "popsync.toml",
            f'state_dir = "state"\n[destination.inbox]\ntype = "maildir"\npath = "Mail"\n'
            f'[account.jane]\nhost = "127.0.0.1"\nport = {served.port}\ntls = "none"\n'
            f'user = "jane"\npassword = "{PASSWORD}"\nmode = "delete"\n',
        )
        done = await asyncio.to_thread(popsync, "-c", config, "-v", *options, "once")
    told = [file.read_bytes() for file in (directory / "state").iterdir() if file.is_file()]
    assert not any(PASSWORD.encode() in octets for octets in told), "nor in the ledger"
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("step", "name"),
    [
        *(("login", name) for name in WORDS),
        *((step, name) for step in REFUSED_AT for name in EVERYWHERE if step != "login"),
    ],
)
async def test_no_word_of_a_server_steers_a_terminal_or_forges_a_line(
    step: str, name: str, tmp_path: Path
) -> None:
    """Each line is printable, and none begins as a line of ours does; our password is masked."""
    shown = await _shown(_refuse(REFUSED_AT[step], WORDS[name]), tmp_path)

    assert all(line.isprintable() for line in shown.split("\n"))
    assert len(shown.splitlines()) == shown.count("\n")
    assert not any(line.startswith("2026-01-01") for line in shown.splitlines())
    assert PASSWORD.lower() not in shown.lower()
