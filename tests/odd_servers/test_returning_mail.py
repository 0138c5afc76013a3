"""Mail that comes back, changes its name, hides, or is taken away by others."""

from collections.abc import Callable
from pathlib import Path

import pytest

from popsync.model import MessageState
from tests.odd_servers.form import MAIL, TWO, answer_verb, make_mail
from tests.odd_servers.harness import Bench, open_bench
from tests.odd_servers.server import CLOSE, Answer, Mail, OddServer, Turn

MANY = tuple(make_mail(f"m{n}", b"%d\r\n" % n * (n % 7)) for n in range(100))
NEW = make_mail("new", b"Something else.\r\n")
SAME_SIZE = Mail(TWO.unique_id, TWO.octets.replace(b"Second", b"SECOND"))


def _content(mail: Mail) -> bytes:
    return mail.octets.replace(b"\r\n", b"\n")


def _once(*mail: Mail) -> dict[bytes, int]:
    return dict.fromkeys(map(_content, mail), 1)


async def _states(bench: Bench) -> dict[bytes, MessageState]:
    memory = await bench.ports.ledger.memory(bench.account.id)
    return {uid: known[-1].state for uid, known in memory.messages.items()}


# -- names -----------------------------------------------------------------------------------


async def test_a_hundred_messages_under_new_names_bring_nothing_twice(tmp_path: Path) -> None:
    """They are recognised by their octets, and what is new among them is delivered."""

    def renamed(turn: Turn) -> bytes | None:
        new = turn.verb == b"UIDL" and turn.session > 1
        return turn.usual.replace(b"uid", b"moved") if new else None

    server = OddServer(list(MANY), renamed)
    async with open_bench(server, tmp_path, deletes=False) as bench:
        await bench.poll()
        server.mail.append(NEW)
        await bench.poll()
        assert bench.arrived == _once(*MANY, NEW)
        assert any("renumbered" in text for text in bench.warnings)
        server.commands.clear()
        await bench.poll()
        assert not any(line.startswith(b"RETR") for line in server.commands)
    assert tuple(server.mail) == (*MANY, NEW)


@pytest.mark.parametrize("other", [Mail(TWO.unique_id, NEW.octets), SAME_SIZE])
async def test_a_name_that_is_given_to_a_new_message_hides_nothing(
    other: Mail, tmp_path: Path
) -> None:
    """Whatever its size: it came under the name of one that was deleted."""
    server = OddServer(list(MAIL))
    async with open_bench(server, tmp_path) as bench:
        await bench.poll()
        server.mail = [other]
        await bench.poll()
        await bench.poll()
        assert bench.arrived == _once(*MAIL, other)
    assert server.mail == []


async def test_a_deleted_message_that_comes_back_is_deleted_again(tmp_path: Path) -> None:
    """The same octets are not delivered twice, after a listing without them either."""
    server = OddServer(list(MAIL))
    async with open_bench(server, tmp_path) as bench:
        for _ in range(2):
            await bench.poll()
            await bench.poll()
            assert bench.arrived == _once(*MAIL)
            assert server.mail == []
            server.mail = list(MAIL)


# -- deletions -------------------------------------------------------------------------------


async def test_deletions_that_have_no_effect_are_told_in_the_end(tmp_path: Path) -> None:
    """They are issued again at each poll, and after five the user hears of it."""
    server = OddServer(list(MAIL), answer_verb(b"QUIT", Answer(b"+OK\r\n", forgets=True)))
    async with open_bench(server, tmp_path) as bench:
        for _ in range(5):
            await bench.poll()
        assert not any("deleted often" in text for text in bench.warnings)
        await bench.poll()
        assert any("deleted often" in text for text in bench.warnings)
        assert bench.arrived == _once(*MAIL)
    assert tuple(server.mail) == MAIL


async def test_deletions_that_take_effect_later_double_nothing(tmp_path: Path) -> None:
    """The server lists them for two more sessions, and then no more."""
    late = answer_verb(b"QUIT", Answer(b"+OK\r\n", forgets=True), until=2)
    server = OddServer(list(MAIL), late)
    async with open_bench(server, tmp_path) as bench:
        await bench.poll()
        await bench.poll()
        server.mail = [NEW]
        await bench.poll()
        assert bench.arrived == _once(*MAIL, NEW)
        await bench.poll()
        assert set((await _states(bench)).values()) == {MessageState.GONE}


@pytest.mark.parametrize("verb", [b"DELE 2", b"QUIT"])
async def test_a_server_that_deletes_without_quit_does_no_harm(
    verb: bytes, tmp_path: Path
) -> None:
    """Nothing is told to be deleted before it is delivered."""
    server = OddServer(list(MAIL), answer_verb(verb, CLOSE, until=1))
    server.deletes_without_quit = True
    async with open_bench(server, tmp_path) as bench:
        for _ in range(3):
            await bench.poll()
            here = {_content(mail) for mail in server.mail}
            assert _once(*MAIL).keys() <= here | bench.arrived.keys()
        assert bench.arrived == _once(*MAIL)
    assert server.mail == []


# -- others, faults, clocks ------------------------------------------------------------------

_NOTHING = {b"STAT": b"+OK 0 0\r\n", b"LIST": b"+OK\r\n.\r\n", b"UIDL": b"+OK\r\n.\r\n"}


@pytest.mark.parametrize("deletes", [False, True], ids=["keep", "delete"])
async def test_a_hundred_that_were_not_shown_for_a_day_bring_nothing_twice(
    tmp_path: Path, *, deletes: bool
) -> None:
    """After a fault the maildrop is reported empty, and the next day full again."""

    def empty(turn: Turn) -> bytes | None:
        return _NOTHING.get(turn.line.upper()) if turn.session == 2 else None

    server = OddServer(list(MANY), empty)
    async with open_bench(server, tmp_path, deletes=deletes) as bench:
        await bench.poll()
        server.mail = list(MANY)
        await bench.poll()
        await bench.poll()
        assert bench.arrived == _once(*MANY)


CUTS: dict[str, Callable[[Turn], Answer | None]] = {
    "at-each-third-message": lambda turn: (
        CLOSE if turn.verb == b"RETR" and int(turn.line.split()[1]) % 3 == 0 else None
    ),
    "in-each-third-message": lambda turn: (
        Answer(turn.usual[:-9], closes=True)
        if turn.verb == b"RETR" and int(turn.line.split()[1]) % 3 == 0
        else None
    ),
}


@pytest.mark.parametrize("jump_s", [0.0, 400 * 86400.0, -400 * 86400.0])
@pytest.mark.parametrize("name", CUTS)
async def test_a_session_that_is_ended_goes_on_in_the_next(
    name: str, jump_s: float, tmp_path: Path
) -> None:
    """By what the ledger knows, also when the clock was set in between."""
    mail = MANY[:10]

    def cuts(turn: Turn) -> Answer | None:
        return CUTS[name](turn) if turn.session < 9 else None

    server = OddServer(list(mail), cuts)
    async with open_bench(server, tmp_path, deletes=False) as bench:
        for _ in range(12):
            await bench.poll()
            bench.clock[0] += jump_s
            jump_s = 0.0
        assert bench.arrived == _once(*mail)
    assert tuple(server.mail) == mail


@pytest.mark.parametrize("verb", [b"RETR 2", b"DELE 2"])
async def test_another_client_that_takes_a_message_away_costs_no_other(
    verb: bytes, tmp_path: Path
) -> None:
    """It is refused; only a whole listing without it says that it has gone."""

    def taken(turn: Turn) -> bytes | None:
        if turn.line.upper() != verb or turn.session > 1:
            return None
        turn.server.mail = [mail for mail in turn.server.mail if mail != TWO]
        return b"-ERR message has been expunged\r\n"

    server = OddServer(list(MAIL), taken)
    async with open_bench(server, tmp_path) as bench:
        await bench.poll()
        assert (await _states(bench))[TWO.unique_id] is not MessageState.GONE
        await bench.poll()
        assert (await _states(bench))[TWO.unique_id] is MessageState.GONE
        there = MAIL if verb == b"DELE 2" else (MAIL[0], MAIL[2])
        assert bench.arrived == _once(*there)
    assert server.mail == []
