"""A server that promises pipelining and mixes up its replies costs time, and no message."""

from pathlib import Path

import pytest

from tests.odd_servers.form import MAIL, make_mail
from tests.odd_servers.harness import QUICK, open_bench
from tests.odd_servers.server import Mail, Oddity, OddServer, Turn

CAPABILITIES = b"+OK\r\nUSER\r\nUIDL\r\nPIPELINING\r\n.\r\n"
ALIKE = tuple(make_mail(f"m{n}", b"%d\r\n" % n) for n in range(6))
"""Messages of one size."""
LAST_DIFFERS = (*ALIKE[:3], make_mail("m9", b"Longer.\r\n" * 9), *ALIKE[3:])
MAILDROPS = {"sizes-differ": MAIL, "one-size": ALIKE, "one-differs": LAST_DIFFERS}


def _loses_second(turn: Turn) -> bytes | None:
    return b"" if turn.line.upper() == b"RETR 2" else None


def _merges_second_and_third(turn: Turn) -> bytes | None:
    return turn.usual.removesuffix(b".\r\n") if turn.line.upper() == b"RETR 2" else None


def _swaps_second_and_third(turn: Turn) -> bytes | None:
    other = {b"RETR 2": b"RETR 3", b"RETR 3": b"RETR 2"}.get(turn.line.upper())
    return turn.answer_to(other) if other else None


def _repeats_second(turn: Turn) -> bytes | None:
    return turn.usual * 2 if turn.line.upper() == b"RETR 2" else None


def _says_ok_twice(turn: Turn) -> bytes | None:
    return b"+OK\r\n" + turn.usual if turn.line.upper() == b"RETR 2" else None


ODDITIES: dict[str, Oddity] = {
    "loses-a-reply": _loses_second,
    "merges-two-replies": _merges_second_and_third,
    "swaps-two-replies": _swaps_second_and_third,
    "says-ok-twice": _says_ok_twice,
}


def _with_pipelining(oddity: Oddity, until: int) -> Oddity:
    def both(turn: Turn) -> object:
        if turn.verb == b"CAPA":
            return CAPABILITIES
        return oddity(turn) if turn.session <= until else None

    return both  # type: ignore[return-value]


@pytest.mark.parametrize("maildrop", MAILDROPS)
@pytest.mark.parametrize("name", ODDITIES)
@pytest.mark.parametrize("deletes", [False, True], ids=["keep", "delete"])
async def test_mixed_up_replies_lose_and_double_nothing(
    name: str, maildrop: str, tmp_path: Path, *, deletes: bool
) -> None:
    """Also when LIST's sizes cannot tell one message from another."""
    mail = MAILDROPS[maildrop]
    server = OddServer(list(mail), _with_pipelining(ODDITIES[name], until=1))
    async with open_bench(server, tmp_path, deletes=deletes, deadlines=QUICK) as bench:
        for _ in range(5):
            await bench.poll()
            here = {one.octets.replace(b"\r\n", b"\n") for one in server.mail}
            assert _content(mail) <= here | bench.arrived.keys()
        assert {octets: bench.arrived[octets] for octets in _content(mail)} == dict.fromkeys(
            _content(mail), 1
        )
    assert tuple(server.mail) == (() if deletes else mail)


@pytest.mark.parametrize("maildrop", MAILDROPS)
@pytest.mark.parametrize("deletes", [False, True], ids=["keep", "delete"])
async def test_a_reply_that_comes_twice_loses_nothing(
    maildrop: str, tmp_path: Path, *, deletes: bool
) -> None:
    """It may be delivered twice among messages of one size.

    Until the session ends with a reply too many, two messages with the same octets under two
    unique-ids are just that, and both are wanted.
    """
    mail = MAILDROPS[maildrop]
    server = OddServer(list(mail), _with_pipelining(_repeats_second, until=1))
    async with open_bench(server, tmp_path, deletes=deletes, deadlines=QUICK) as bench:
        for _ in range(5):
            await bench.poll()
            here = {one.octets.replace(b"\r\n", b"\n") for one in server.mail}
            assert _content(mail) <= here | bench.arrived.keys()
        assert bench.arrived.keys() >= _content(mail)
        repeated = mail[1].octets.replace(b"\r\n", b"\n")
        assert {octets for octets, times in bench.arrived.items() if times > 1} <= {repeated}
    assert tuple(server.mail) == (() if deletes else mail)


async def test_a_reply_too_many_that_comes_as_late_as_the_good_bye_is_noticed(
    tmp_path: Path,
) -> None:
    """The last of the messages of one size, taken for another's, is looked at again (P1)."""
    late = b""

    def repeats_second_and_is_late(turn: Turn) -> bytes | None:
        nonlocal late
        if turn.line.upper() == b"RETR %d" % len(ALIKE):
            late = turn.usual
            return b""
        return late + turn.usual if turn.verb == b"QUIT" else _repeats_second(turn)

    server = OddServer(list(ALIKE), _with_pipelining(repeats_second_and_is_late, until=1))
    async with open_bench(server, tmp_path, deletes=False) as bench:
        for _ in range(3):
            await bench.poll()
        assert bench.arrived.keys() >= _content(ALIKE)


def _content(mail: tuple[Mail, ...]) -> set[bytes]:
    return {one.octets.replace(b"\r\n", b"\n") for one in mail}
