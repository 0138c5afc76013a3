"""A server that does not come to TLS as demanded is told no secret and loses no mail."""

from pathlib import Path
from typing import Literal

import pytest

from popsync.net.tls import TlsOptions
from tests.doubles.pop3_script import Talk
from tests.odd_servers.form import MAIL
from tests.odd_servers.harness import QUICK, open_bench
from tests.odd_servers.server import CLOSE, SILENCE, Answer, Oddity, OddServer, Turn

_OFFERS = b"+OK\r\nUSER\r\nUIDL\r\nSTLS\r\n.\r\n"


async def _plaintext_later(talk: Talk) -> None:
    await talk.octets(1)  # the handshake has begun
    await talk.send(b"+OK logged in\r\n" + _OFFERS)


ANSWERS: dict[str, bytes | Answer] = {
    "refused": b"-ERR no TLS today\r\n",
    "agreed-and-not-begun": b"+OK begin\r\n",
    "agreed-with-a-reply-behind": b"+OK begin\r\n+OK logged in\r\n",
    "agreed-with-capabilities-behind": b"+OK begin\r\n" + _OFFERS,
    "agreed-and-a-reply-a-moment-later": Answer(b"+OK begin\r\n", then=_plaintext_later),
    "agreed-and-closed": Answer(b"+OK begin\r\n", closes=True),
    "closed": CLOSE,
    "silent": SILENCE,
    "no-reply": b"hello\r\n",
}


def _stls(answer: bytes | Answer) -> Oddity:
    def oddity(turn: Turn) -> bytes | Answer | None:
        return {b"CAPA": _OFFERS, b"STLS": answer}.get(turn.verb)

    return oddity


def _begs_for_login(turn: Turn) -> bytes | None:
    return b"-ERR please log in first\r\n" if turn.verb == b"CAPA" else None


SERVERS: dict[str, tuple[Literal["starttls", "implicit"], Oddity]] = {
    **{name: ("starttls", _stls(answer)) for name, answer in ANSWERS.items()},
    "not-offered": ("starttls", lambda _turn: None),
    "not-offered-before-login": ("starttls", _begs_for_login),
    "plain-where-tls-is-due": ("implicit", lambda _turn: None),
}


@pytest.mark.parametrize("name", SERVERS)
async def test_no_secret_is_said_and_no_mail_touched(name: str, tmp_path: Path) -> None:
    """Not even the user name goes out, whatever the server says instead (P7)."""
    mode, oddity = SERVERS[name]
    server = OddServer(list(MAIL), oddity)
    async with open_bench(server, tmp_path, tls=TlsOptions(mode=mode), deadlines=QUICK) as bench:
        report = await bench.poll()

        assert report.error is not None
        assert not bench.arrived
    said = b"\n".join(server.commands)
    assert not any(secret in said for secret in (b"jane", b"hunter2", b"USER", b"PASS", b"AUTH"))
    assert tuple(server.mail) == MAIL
