"""Servers that hide or let go of what was retrieved, and relays that take it only later."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from popsync.destinations.smtp import SmtpDestination, SmtpSettings
from popsync.model import MessageState
from popsync.poll.policy import Route
from popsync.spool import LocalSpool
from popsync.storage import Scratch
from tests.doubles.smtp_script import SmtpScript
from tests.odd_servers.harness import BETWEEN_POLLS_S, Bench, open_bench
from tests.odd_servers.server import Answer, Mail, OddServer, Turn

A, B, C = (Mail(b"u%d" % n, b"Subject: %d\r\n\r\nText %d\r\n" % (n, n)) for n in range(3))
LARGE = Mail(b"large", b"Subject: large\r\n\r\n" + b"x" * 78 * 1000 + b"\r\n")
JANE = ("jane@example.org",)
FULL = "cannot be kept in the spool"


class Forgetful:
    """Shows nothing any more that was retrieved, once a session ends with QUIT, or at once."""

    def __init__(self, *, at_quit: bool = True, capabilities: bytes = b"") -> None:
        self._at_quit = at_quit
        self._capabilities = capabilities
        self._retrieved: list[Mail] = []
        self._numbered: list[Mail] = []

    def __call__(self, turn: Turn) -> bytes | Answer | None:
        """Take note; what is gone is gone."""
        if turn.verb == b"CAPA" and self._capabilities:
            return b"+OK\r\nUSER\r\nUIDL\r\n" + self._capabilities + b"\r\n.\r\n"
        if turn.verb == b"PASS":
            self._retrieved, self._numbered = [], list(turn.server.mail)
        if turn.verb == b"RETR":
            self._retrieved.append(self._numbered[int(turn.line.split()[1]) - 1])
        if turn.verb == b"QUIT" or (turn.verb == b"RETR" and not self._at_quit):
            left = [mail for mail in turn.server.mail if mail not in self._retrieved]
            turn.server.mail = left
        return None


@asynccontextmanager
async def relay_to(script: SmtpScript) -> AsyncIterator[SmtpDestination]:
    """Give a destination that delivers to the script."""
    async with script.on_tcp() as port:
        relay = SmtpDestination("relay", SmtpSettings(host="127.0.0.1", port=port))
        yield relay
        await relay.close()


def add_destination(bench: Bench, destination: SmtpDestination) -> None:
    """Have the account deliver to another destination as well."""
    destinations = {**bench.ports.destinations, destination.name: destination}
    routes = (*bench.account.routes, Route(destination.name, JANE))
    policy = replace(bench.account.policy, destinations=frozenset(destinations))
    bench.ports = replace(bench.ports, destinations=destinations)
    bench.account = replace(bench.account, routes=routes, policy=policy)


def bound_spool(bench: Bench, directory: Path, max_octets: int) -> None:
    """Give the account a spool that holds no more."""
    state, ledger = directory / "state", bench.ports.ledger
    token: str = ledger.token  # type: ignore[attr-defined]  # it is the real one
    spool = LocalSpool(state, token=token, scratch=Scratch(state), max_octets=max_octets)
    bench.ports = replace(bench.ports, spool=spool)


def taken(script: SmtpScript) -> Counter[bytes]:
    """Count what the relay has taken."""
    return Counter(message.data for message in script.messages)


@pytest.mark.parametrize("deletes", [False, True])
async def test_what_a_server_hides_is_delivered_once_the_relay_takes_it(
    tmp_path: Path, *, deletes: bool
) -> None:
    """Put off three times, then taken: retrieved once, delivered once, the session ended well."""
    server = OddServer([A], Forgetful())
    script = SmtpScript(answers={"DOT": ["451 later"] * 3})
    async with (
        relay_to(script) as relay,
        open_bench(server, tmp_path, deletes=deletes, destination=relay, recipients=JANE) as bench,
    ):
        for _ in range(3):
            report = await bench.poll()
            assert report.error is None
            assert report.summary.deferred == 1
        await bench.poll()
        await bench.poll()

    assert taken(script) == {A.octets: 1}
    assert server.commands.count(b"RETR 1") == 1
    assert all(said[-1] == b"QUIT" for said in server.said)


async def test_what_a_server_deletes_as_it_is_retrieved_is_delivered(tmp_path: Path) -> None:
    """Against RFC 1939 §8 it waits for no QUIT; what was put off or refused is in the spool."""
    server = OddServer([A, B, C], Forgetful(at_quit=False))
    script = SmtpScript(answers={"DOT": ["451 later", "554 no", ""]})
    async with (
        relay_to(script) as relay,
        open_bench(server, tmp_path, deletes=False, destination=relay, recipients=JANE) as bench,
    ):
        for _ in range(3):
            await bench.poll()

    assert server.mail == []
    assert taken(script) == dict.fromkeys([A.octets, B.octets, C.octets], 1)


async def test_a_full_spool_leaves_mail_on_a_server_that_would_hide_it(tmp_path: Path) -> None:
    """What does not fit in keeps the session from QUIT, so the server must show it again."""
    server = OddServer([A, LARGE], Forgetful())
    script = SmtpScript(answers={"DOT": ["451 later"] * 2})
    async with (
        relay_to(script) as relay,
        open_bench(server, tmp_path, deletes=False, destination=relay, recipients=JANE) as bench,
    ):
        bound_spool(bench, tmp_path, max_octets=1000)
        await bench.poll()
        assert b"QUIT" not in server.commands
        assert server.mail == [A, LARGE]
        assert any(FULL in warning for warning in bench.warnings)
        await bench.poll()

    assert taken(script) == {A.octets: 1, LARGE.octets: 1}
    assert server.commands.count(b"RETR 1") == 1
    assert server.commands.count(b"RETR 2") == 2


async def test_one_destination_that_is_down_for_long_holds_up_no_other(tmp_path: Path) -> None:
    """For days the Maildir gets what comes; then the relay gets all, in order, from the spool."""
    server = OddServer([], Forgetful())
    script = SmtpScript(answers={"GREETING": ["421 down"] * 10})
    async with (
        relay_to(script) as relay,
        open_bench(server, tmp_path, deletes=False) as bench,
    ):
        add_destination(bench, relay)
        for mail in (A, B, C):
            server.mail.append(mail)
            bench.clock[0] += 24 * 3600
            report = await bench.poll()
            assert report.error is None
            assert report.summary.deferred
        assert sum(bench.arrived.values()) == 3
        assert script.messages == []

        script.answers.clear()
        await bench.poll()
        assert sum(bench.arrived.values()) == 3

    assert [message.data for message in script.messages] == [A.octets, B.octets, C.octets]
    assert sum(command.startswith(b"RETR") for command in server.commands) == 3


async def test_nothing_is_deleted_before_the_last_destination_has_it(tmp_path: Path) -> None:
    """A copy in the spool is no receipt (P1): DELE waits for the relay."""
    server = OddServer([A])
    script = SmtpScript(answers={"GREETING": ["421 down"] * 2})
    async with relay_to(script) as relay, open_bench(server, tmp_path) as bench:
        add_destination(bench, relay)
        await bench.poll()
        assert server.mail == [A]
        assert b"DELE 1" not in server.commands

        script.answers.clear()
        await bench.poll()

    assert server.mail == []
    assert server.commands.count(b"RETR 1") == 1


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"EXPIRE 0", "deletes mail once it was retrieved (EXPIRE 0)"),
        (b"EXPIRE 30", "deletes mail after 30 days (EXPIRE 30)"),
        (b"EXPIRE NEVER", ""),
    ],
)
async def test_a_server_that_keeps_no_mail_is_told_of_once(
    tmp_path: Path, said: bytes, told: str
) -> None:
    """In keep mode only; all of it arrives, and what was put off waits in the spool."""
    server = OddServer([A, B], Forgetful(capabilities=said))
    script = SmtpScript(answers={"DOT": ["451 later"]})
    async with (
        relay_to(script) as relay,
        open_bench(server, tmp_path, deletes=False, destination=relay, recipients=JANE) as bench,
    ):
        for _ in range(3):
            await bench.poll()
        assert len([warning for warning in bench.warnings if "EXPIRE" in warning]) == bool(told)
        assert told in "".join(bench.warnings)

    assert taken(script) == {A.octets: 1, B.octets: 1}


async def test_a_window_of_mail_that_shrinks_buries_nothing_that_is_owed(tmp_path: Path) -> None:
    """Only the oldest are shown, and what was retrieved never again; all arrives all the same."""
    mail = [Mail(b"w%d" % n, b"Subject: w%d\r\n\r\n%d\r\n" % (n, n)) for n in range(30)]
    server = OddServer(mail[:10], Forgetful())
    # Never three in a row, which would be the relay's trouble and not the messages'.
    script = SmtpScript(answers={"DOT": ["451 later", ""] * 15})
    async with (
        relay_to(script) as relay,
        open_bench(server, tmp_path, deletes=False, destination=relay, recipients=JANE) as bench,
    ):
        for start in range(10, 60, 10):
            await bench.poll()
            server.mail += mail[start : start + 10]
        bench.clock[0] += BETWEEN_POLLS_S
        await bench.poll()
        memory = await bench.ports.ledger.memory(bench.account.id)

    assert taken(script) == dict.fromkeys([m.octets for m in mail], 1)
    states = {known.state for same in memory.messages.values() for known in same}
    assert states <= {MessageState.GONE, MessageState.SETTLED}
