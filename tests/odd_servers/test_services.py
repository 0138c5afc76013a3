"""Services as they are in the field: windows, hidden mail, throttling, retention."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from popsync.destinations.smtp import SmtpDestination, SmtpSettings
from popsync.errors import AuthRejected, LoginDelayed, PopsyncError, ServerUnavailable
from tests.doubles.pop3_script import Talk
from tests.doubles.smtp_script import SmtpScript
from tests.odd_servers.form import MAIL, answer_verb, make_mail
from tests.odd_servers.harness import Bench, open_bench
from tests.odd_servers.server import CLOSE, Answer, Mail, Oddity, OddServer, Turn

MANY = tuple(make_mail(f"m{n}", b"%d\r\n" % n * (n % 5)) for n in range(40))
JANE = "jane@example.org"


def _once(*mail: Mail) -> dict[bytes, int]:
    return dict.fromkeys((one.octets.replace(b"\r\n", b"\n") for one in mail), 1)


# -- mail that is hidden or deleted once it was retrieved ------------------------------------


@dataclass
class Window:
    """An oddity: shows a few of its messages; what was retrieved before QUIT is shown no more."""

    backlog: list[Mail]
    most: int = 10
    ignores_deletions: bool = True
    seen: set[bytes] = field(default_factory=set)

    def show(self) -> list[Mail]:
        """Give what a session is shown."""
        return self.backlog[: self.most]

    def __call__(self, turn: Turn) -> Answer | None:
        """Watch what is retrieved; change what is shown at QUIT."""
        if not turn.line:
            self.seen.clear()
        if turn.verb == b"RETR":
            shown = self.show()[int(turn.line.split()[1]) - 1]
            self.seen.add(shown.unique_id)
        if turn.verb != b"QUIT":
            return None
        self.backlog = [mail for mail in self.backlog if mail.unique_id not in self.seen]
        turn.server.mail = self.show()
        return Answer(turn.usual, forgets=self.ignores_deletions)


@pytest.mark.parametrize("deletes", [False, True], ids=["keep", "delete"])
async def test_a_service_that_shows_a_window_and_hides_what_was_retrieved(
    tmp_path: Path, *, deletes: bool
) -> None:
    """As Gmail does: a list that shrinks is no loss, and all arrives, poll after poll.

    One poll takes one window; the next poll goes on. When the service later shows everything
    once more (a user name that begins with ``recent:``, a change of its settings), nothing comes
    twice.
    """
    window = Window(list(MANY))
    server = OddServer(window.show(), window)
    async with open_bench(server, tmp_path, deletes=deletes) as bench:
        for _ in range(5):
            await bench.poll()
        assert bench.arrived == _once(*MANY)
        own = make_mail("sent-by-jane")
        window.backlog, window.most = [*MANY, own], len(MANY) + 1
        server.mail = window.show()
        for _ in range(3):
            await bench.poll()
        assert bench.arrived == _once(*MANY, own)


@asynccontextmanager
async def _open_relayed(
    server: OddServer, directory: Path, script: SmtpScript
) -> AsyncIterator[Bench]:
    """Poll into a relay."""
    async with script.on_tcp() as port:
        relay = SmtpDestination("relay", SmtpSettings(host="127.0.0.1", port=port))
        async with open_bench(server, directory, destination=relay, recipients=(JANE,)) as bench:
            yield bench
        await relay.close()


def _octets(mail: Iterable[Mail]) -> list[bytes]:
    return sorted(one.octets for one in mail)


@pytest.mark.parametrize(
    "expire", [b"", b"EXPIRE 0", b"EXPIRE 0 USER", b"EXPIRE NEVER", b"EXPIRE 60"]
)
async def test_what_a_service_hides_at_quit_is_safe_before_it(
    expire: bytes, tmp_path: Path
) -> None:
    """A message that the relay puts off waits in the spool, so QUIT may come (P1).

    What CAPA says of retention (EXPIRE) changes nothing of that: any message may be gone after any
    QUIT, and none is retrieved and not safe by then.
    """
    window = Window(list(MAIL))
    capabilities = b"+OK\r\nUSER\r\nUIDL\r\n" + (expire + b"\r\n" if expire else b"") + b".\r\n"
    told = answer_verb(b"CAPA", capabilities)
    server = OddServer(window.show(), lambda turn: told(turn) or window(turn))
    script = SmtpScript(("8BITMIME",), {"RCPT": ["", "450 later"]})
    async with _open_relayed(server, tmp_path, script) as bench:
        report = await bench.poll()
        assert (report.summary.delivered, report.summary.deferred) == (2, 1)
        assert server.mail == []
        await bench.poll()
    assert _octets(Mail(b"", stored.data) for stored in script.messages) == _octets(MAIL)


def _deletes_at_once(turn: Turn) -> None:
    """Delete a message as soon as it is retrieved, QUIT or not (against RFC 1939 §8)."""
    if turn.verb == b"RETR":
        retrieved = turn.usual
        turn.server.mail = [
            mail for mail in turn.server.mail if mail.octets not in retrieved.partition(b"\r\n")[2]
        ]


@pytest.mark.parametrize("deletes", [False, True], ids=["keep", "delete"])
async def test_a_server_that_deletes_what_is_retrieved_gives_it_once(
    tmp_path: Path, *, deletes: bool
) -> None:
    """All of it is delivered; what goes down with a process that dies meanwhile is the price."""
    server = OddServer(list(MAIL), _deletes_at_once)
    async with open_bench(server, tmp_path, deletes=deletes) as bench:
        await bench.poll()
        assert server.mail == []
        await bench.poll()
        assert bench.arrived == _once(*MAIL)


async def test_a_server_that_deletes_what_is_retrieved_and_a_relay_that_waits(
    tmp_path: Path,
) -> None:
    """The copy in the spool is the only one, and it is delivered."""
    server = OddServer(list(MAIL), _deletes_at_once)
    script = SmtpScript(("8BITMIME",), {"RCPT": ["450 later", "", "450 later"]})
    async with _open_relayed(server, tmp_path, script) as bench:
        await bench.poll()
        assert server.mail == []
        await bench.poll()
    assert _octets(Mail(b"", stored.data) for stored in script.messages) == _octets(MAIL)


# -- services that throttle ------------------------------------------------------------------


class _Jealous(OddServer):
    """Lets one session in at a time, and says so."""

    at_once = 0

    async def serve(self, talk: Talk) -> None:
        """Talk, unless somebody else is talking."""
        if self.at_once:
            await talk.send(b"-ERR [SYS/TEMP] too many connections\r\n")
            raise AssertionError("two sessions at once")
        self.at_once += 1
        try:
            await super().serve(talk)
        finally:
            self.at_once -= 1


def _throttles(turn: Turn) -> Answer | bytes | None:
    """Close now at this step and now at that, and be slow besides."""
    busy: dict[tuple[int, bytes], Answer | bytes] = {
        (1, b""): b"-ERR Too many connections. Closing.\r\n",
        (2, b"PASS"): CLOSE,
        (3, b"UIDL"): CLOSE,
        (4, b"RETR"): CLOSE,
    }
    return busy.get((turn.session, turn.verb))


async def test_a_service_that_bears_one_session_gets_one(tmp_path: Path) -> None:
    """It closes on whoever asks for more: each failure may be tried again, and all arrives."""
    server = _Jealous(list(MAIL), _throttles)
    async with open_bench(server, tmp_path) as bench:
        for _ in range(3):
            report = await bench.poll()
            assert report.error is not None
            assert report.error.temporary
        for _ in range(3):
            await bench.poll()
        assert bench.arrived == _once(*MAIL)
    assert server.mail == []


BURST: tuple[tuple[bytes, type[PopsyncError]], ...] = (
    (b"-ERR [SYS/TEMP] try again\r\n", ServerUnavailable),
    (b"-ERR [SYS/TEMP] try again\r\n", ServerUnavailable),
    (b"-ERR minimum interval between logins is 15 minutes\r\n", LoginDelayed),
    (b"-ERR POP3 access is not enabled for this mailbox\r\n", AuthRejected),
)


def _refuses_in_turn(answers: tuple[tuple[bytes, type[PopsyncError]], ...]) -> Oddity:
    def oddity(turn: Turn) -> bytes | None:
        refused = turn.verb == b"PASS" and turn.session <= len(answers)
        return answers[turn.session - 1][0] if refused else None

    return oddity


async def test_a_service_that_refuses_logins_in_bursts(tmp_path: Path) -> None:
    """Each refusal is told for what it is, and then all arrives.

    That POP3 is switched off is said by a plain -ERR, like a wrong password, and counts as one.
    """
    server = OddServer(list(MAIL), _refuses_in_turn(BURST))
    async with open_bench(server, tmp_path) as bench:
        for _, kind in BURST:
            assert type((await bench.poll()).error) is kind
        await bench.poll()
        assert bench.arrived == _once(*MAIL)
    assert server.mail == []


# -- UTF8 ------------------------------------------------------------------------------------


async def test_a_message_that_needs_utf8_mode_waits_and_is_told(tmp_path: Path) -> None:
    """Popsync does not switch to UTF8 (RFC 6856): it would have to change what the server sends.

    No server is known that refuses for want of it. The message stays, with the server's words,
    and the others arrive.
    """
    refused = answer_verb(b"RETR 2", b"-ERR [UTF8] this message needs UTF8 mode\r\n", until=1)
    told = answer_verb(b"CAPA", b"+OK\r\nUSER\r\nUIDL\r\nUTF8 USER\r\n.\r\n")
    server = OddServer(list(MAIL), lambda turn: told(turn) or refused(turn))
    async with open_bench(server, tmp_path) as bench:
        report = await bench.poll()
        assert report.summary.deferred == 1
        assert bench.arrived == _once(MAIL[0], MAIL[2])
        assert any("[UTF8] this message needs UTF8 mode" in text for text in bench.warnings)
    assert not any(line.startswith(b"UTF8") for line in server.commands)
