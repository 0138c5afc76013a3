"""What a server says to a login, on a real socket, and what the account makes of it."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from popsync.errors import (
    AuthRejected,
    AuthUnsupported,
    DeadlineExceeded,
    LoginDelayed,
    MaildropLocked,
    PeerClosed,
    PopsyncError,
    RemoteProtocolError,
    ServerRefused,
    ServerUnavailable,
)
from popsync.maildrop.settings import Deadlines
from tests.doubles.pop3_script import Talk
from tests.odd_servers.form import MAIL, answer_verb
from tests.odd_servers.harness import PATIENT, QUICK, open_bench
from tests.odd_servers.server import CLOSE, SILENCE, Answer, Oddity, OddServer, Turn

REPLIES: dict[bytes, type[PopsyncError]] = {
    b"-ERR [IN-USE] maildrop already locked": MaildropLocked,
    b"-ERR [in-use] x": MaildropLocked,
    b"-ERR maildrop already locked": MaildropLocked,
    b"-ERR Unable to lock maildrop: another POP3 session is active": MaildropLocked,
    b"-ERR mailbox in use": MaildropLocked,
    b"-ERR [LOGIN-DELAY] wait": LoginDelayed,
    b"-ERR login too frequent": LoginDelayed,
    b"-ERR minimum interval between logins is 15 minutes": LoginDelayed,
    b"-ERR [SYS/TEMP] backend": ServerUnavailable,
    b"-ERR [SYS/TEMP/X] backend": ServerUnavailable,
    b"-ERR server busy": ServerUnavailable,
    b"-ERR please wait": ServerUnavailable,
    b"-ERR try again later": ServerUnavailable,
    b"-ERR service temporarily unavailable": ServerUnavailable,
    b"-ERR too many connections": ServerUnavailable,
    b"-ERR Download exceeds limit": ServerUnavailable,
    b"-ERR under maintenance": ServerUnavailable,
    b"-ERR internal server error": ServerUnavailable,
    b"-ERR time-out talking to the store": ServerUnavailable,
    b"-ERR out of memory": ServerUnavailable,
    b"-ERR [SYS/PERM] call us": ServerRefused,
    b"-ERR [AUTH] no": AuthRejected,
    b"-ERR [AUTH] try again later": AuthRejected,
    b"-ERR wrong password": AuthRejected,
    b"-ERR account locked out": AuthRejected,
    b"-ERR": AuthRejected,
    b"-ERR [X/Y] odd": AuthRejected,
    b"-ERR [odd": AuthRejected,
    b"-ERR []": AuthRejected,
    b"-ERR POP access is not enabled for this account": AuthRejected,
    b"hello": RemoteProtocolError,
}


async def _error(
    oddity: Oddity, directory: Path, *, deadlines: Deadlines = PATIENT
) -> PopsyncError:
    """Give what a poll fails with; nothing is touched by it."""
    server = OddServer(list(MAIL), oddity)
    async with open_bench(server, directory, deadlines=deadlines) as bench:
        report = await bench.poll()
        assert not bench.arrived
    assert report.error is not None
    assert tuple(server.mail) == MAIL
    return report.error


@pytest.mark.parametrize("verb", [b"USER", b"PASS"])
@pytest.mark.parametrize("reply", REPLIES)
async def test_a_refusal_is_told_apart_by_its_code_or_its_words(
    reply: bytes, verb: bytes, tmp_path: Path
) -> None:
    """Only a wrong password counts as one, at USER as at PASS; a busy server is tried later."""
    error = await _error(answer_verb(verb, reply + b"\r\n"), tmp_path)

    assert type(error) is REPLIES[reply]


@pytest.mark.parametrize(
    ("answer", "kind"), [(CLOSE, PeerClosed), (SILENCE, DeadlineExceeded)], ids=["close", "silent"]
)
async def test_no_reply_to_the_password_is_no_refusal(
    answer: Answer, kind: type[PopsyncError], tmp_path: Path
) -> None:
    """Throttled servers do that; it is tried again, more and more rarely."""
    error = await _error(answer_verb(b"PASS", answer), tmp_path, deadlines=QUICK)

    assert isinstance(error, kind)
    assert error.temporary


async def test_a_slow_reply_to_the_password_is_waited_for(tmp_path: Path) -> None:
    """It may take longer than any other reply."""

    async def drip(talk: Talk) -> None:
        await asyncio.wait_for(talk.drip_until_closed(b"x"), 1.3)

    async def answer_late(talk: Talk) -> None:
        with suppress(TimeoutError):
            await drip(talk)
        await talk.send(b"\r\n")

    server = OddServer(list(MAIL), answer_verb(b"PASS", Answer(b"+OK ", then=answer_late)))
    patient = replace(PATIENT, reply_s=1.0)
    async with open_bench(server, tmp_path, deadlines=patient) as bench:
        report = await bench.poll()
        assert report.error is None
        assert len(bench.arrived) == len(MAIL)


@pytest.mark.parametrize("offer", [b"SASL X-ODD", b"SASL XOAUTH2 OAUTHBEARER", b"SASL GSSAPI"])
async def test_a_server_that_takes_no_password_is_told_none(offer: bytes, tmp_path: Path) -> None:
    """Popsync logs in with a password; tokens (XOAUTH2) are not among what it knows.

    So neither their one-step and two-step forms nor a token that expires can come up: the error
    names what the server offers, and nothing secret has been said.
    """
    server = OddServer(list(MAIL), answer_verb(b"CAPA", b"+OK\r\nUIDL\r\n" + offer + b"\r\n.\r\n"))
    async with open_bench(server, tmp_path) as bench:
        report = await bench.poll()

    assert isinstance(report.error, AuthUnsupported)
    assert offer.removeprefix(b"SASL ").decode() in str(report.error)
    assert not any(line.startswith((b"USER", b"PASS", b"AUTH")) for line in server.commands)


async def test_a_password_that_changed_is_asked_for_anew(tmp_path: Path) -> None:
    """Each session asks its source again, so what expired is not kept."""
    right = [b"old"]
    given = iter(["old", "old", "new"])

    async def give() -> str:
        return next(given)

    def check(turn: Turn) -> bytes | None:
        wrong = turn.verb == b"PASS" and turn.line != b"PASS " + right[0]
        return b"-ERR [AUTH] expired\r\n" if wrong else None

    server = OddServer(list(MAIL), check)
    async with open_bench(server, tmp_path, deletes=False, password=give) as bench:
        assert (await bench.poll()).error is None
        right[0] = b"new"
        assert isinstance((await bench.poll()).error, AuthRejected)
        assert (await bench.poll()).error is None


async def test_the_delay_that_a_server_asks_for_is_reported(tmp_path: Path) -> None:
    """The next poll waits at least so long."""
    told = b"+OK\r\nUSER\r\nUIDL\r\nLOGIN-DELAY 900\r\n.\r\n"
    async with open_bench(OddServer([], answer_verb(b"CAPA", told)), tmp_path) as bench:
        assert (await bench.poll()).login_delay_s == 900
