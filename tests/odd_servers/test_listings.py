"""A listing that may not be whole never makes the ledger forget a message."""

from collections.abc import Callable
from pathlib import Path

import pytest

from popsync.maildrop.settings import Deadlines
from popsync.model import AccountMemory, MessageState
from tests.odd_servers.cases import listing_backwards
from tests.odd_servers.form import MAIL, answer_verb
from tests.odd_servers.harness import PATIENT, QUICK, Bench, open_bench
from tests.odd_servers.server import CLOSE, SILENCE, Answer, Oddity, OddServer, Turn

ODD_SESSION = 2


def _odd_at_second(oddity: Oddity) -> Oddity:
    """Behave well except in the second session."""
    return lambda turn: oddity(turn) if turn.session == ODD_SESSION else None


def _edit(command: bytes, edit: Callable[[bytes], bytes]) -> Oddity:
    return lambda turn: edit(turn.usual) if turn.line.upper() == command else None


def _says(command: bytes, answer: bytes | Answer) -> Oddity:
    return lambda turn: answer if turn.line.upper() == command else None


def _empty(turn: Turn) -> bytes | None:
    """Say of everything that nothing is there, as after a fault of the store."""
    return {b"STAT": b"+OK 0 0\r\n", b"LIST": b"+OK\r\n.\r\n", b"UIDL": b"+OK\r\n.\r\n"}.get(
        turn.line.upper()
    )


def _without_second(listing: bytes) -> bytes:
    return b"".join(row for row in listing.splitlines(keepends=True) if not row.startswith(b"2 "))


INCOMPLETE: dict[str, Oddity] = {
    "stat-says-none": _says(b"STAT", b"+OK 0 0\r\n"),
    "stat-says-one-more": _says(b"STAT", b"+OK 4 1000\r\n"),
    "stat-says-less": _says(b"STAT", b"+OK 1 1000\r\n"),
    "stat-refused": _says(b"STAT", b"-ERR no\r\n"),
    "stat-without-numbers": _says(b"STAT", b"+OK\r\n"),
    "stat-negative": _says(b"STAT", b"+OK -3 100\r\n"),
    "stat-is-a-fraction": _says(b"STAT", b"+OK 3.0 1e3\r\n"),
    "list-refused": _says(b"LIST", b"-ERR no\r\n"),
    "list-without-second": _edit(b"LIST", _without_second),
    "list-is-empty": _says(b"LIST", b"+OK\r\n.\r\n"),
    "uidl-without-second": _edit(b"UIDL", _without_second),
    "uidl-is-empty": _says(b"UIDL", b"+OK\r\n.\r\n"),
    "uidl-refusal-inside": _edit(
        b"UIDL", lambda rows: _without_second(rows)[:-3] + b"-ERR expunged\r\n.\r\n"
    ),
    "number-twice": _edit(b"UIDL", lambda rows: rows.replace(b"\r\n2 ", b"\r\n1 ")),
    "number-zero": _edit(b"UIDL", lambda rows: rows.replace(b"\r\n2 ", b"\r\n0 ")),
    "number-beyond-count": _edit(b"UIDL", lambda rows: rows.replace(b"\r\n2 ", b"\r\n9 ")),
    "uidl-cut": _says(b"UIDL", Answer(b"+OK\r\n1 uid-one\r\n", closes=True)),
    "uidl-hangs": _says(b"UIDL", Answer(b"+OK\r\n1 uid-one\r\n")),
    "list-hangs": _says(b"LIST", SILENCE),
    "uidl-refused-for-now": _says(b"UIDL", b"-ERR busy, try again later\r\n"),
    "closes-at-stat": answer_verb(b"STAT", CLOSE),
}
SAME: dict[str, Oddity] = {
    "backwards": listing_backwards,
    "leading-zeros": _edit(b"UIDL", lambda rows: rows.replace(b"\r\n2 ", b"\r\n0002 ")),
    "tabs-and-blanks": _edit(b"UIDL", lambda rows: rows.replace(b"2 uid", b"2 \t uid")),
    "words-behind-sizes": _edit(
        b"LIST", lambda rows: rows.replace(b"\r\n2 ", b"\r\n2\t").replace(b"\r\n.", b" x\r\n.")
    ),
    "words-behind-stat": _edit(b"STAT", lambda line: line[:-2] + b" octets, all yours\r\n"),
}


def _deadlines(name: str) -> Deadlines:
    return QUICK if name.endswith("-hangs") else PATIENT


def _states(memory: AccountMemory) -> dict[bytes, MessageState]:
    return {uid: known[-1].state for uid, known in memory.messages.items()}


async def _remembered(bench: Bench) -> dict[bytes, MessageState]:
    return _states(await bench.ports.ledger.memory(bench.account.id))


ALL_SETTLED = {one.unique_id: MessageState.SETTLED for one in MAIL}


@pytest.mark.parametrize("name", INCOMPLETE | SAME)
async def test_nothing_is_forgotten_and_nothing_comes_again(name: str, tmp_path: Path) -> None:
    """In keep mode, after one odd session, the ledger knows what it knew and no mail is new."""
    server = OddServer(list(MAIL), _odd_at_second((INCOMPLETE | SAME)[name]))
    async with open_bench(server, tmp_path, deletes=False, deadlines=_deadlines(name)) as bench:
        for _ in range(3):
            await bench.poll()
            assert await _remembered(bench) == ALL_SETTLED
        assert set(bench.arrived.values()) == {1}
        assert len(bench.arrived) == len(MAIL)
    assert tuple(server.mail) == MAIL


@pytest.mark.parametrize("name", INCOMPLETE)
async def test_nobody_is_gone_while_the_listing_is_in_doubt(name: str, tmp_path: Path) -> None:
    """A message that has left is noted as gone only by a listing that is whole."""
    server = OddServer(list(MAIL), _odd_at_second(INCOMPLETE[name]))
    async with open_bench(server, tmp_path, deletes=False, deadlines=_deadlines(name)) as bench:
        await bench.poll()
        del server.mail[2]
        await bench.poll()
        assert await _remembered(bench) == ALL_SETTLED
        await bench.poll()
        assert await _remembered(bench) == ALL_SETTLED | {b"uid-three": MessageState.GONE}


async def test_a_store_that_was_empty_for_a_day_brings_nothing_twice(tmp_path: Path) -> None:
    """Even when the server says so with one voice: what comes back is known by its octets."""
    server = OddServer(list(MAIL), _odd_at_second(_empty))
    async with open_bench(server, tmp_path, deletes=False) as bench:
        for _ in range(3):
            await bench.poll()
        assert set(bench.arrived.values()) == {1}
        assert await _remembered(bench) == ALL_SETTLED
