from collections.abc import Sequence

import pytest

from popsync.errors import RemoteProtocolError
from popsync.maildrop.opening import connect_maildrop
from tests.doubles.pop3_script import ScriptedServer, Talk
from tests.unit.maildrop.sessions import (
    begin,
    body,
    collect,
    listed,
    make_settings,
    retrieve,
    serve_login,
)

MESSAGE = b"seven\r\n"
ODD = [listed(number, 107) for number in (1, 2, 3)]


def answer_to(line: bytes, uidl: bytes) -> bytes:
    """Give what a server with wrong sizes says, which answers ``UIDL n`` with ``uidl``."""
    keyword, number = line.split()
    if keyword == b"RETR":
        return body(MESSAGE)
    return uidl if keyword == b"UIDL" else b"+OK %d 107\r\n" % int(number)


@pytest.mark.parametrize(
    "uidl",
    [
        b"-ERR no argument allowed\r\n",
        b"+OK u1\r\n",
        b"+OK\r\n",
        b"+OK 1\r\n",
        b"+OK 2 u1\r\n",
        b"+OK 1 U1\r\n",
    ],
)
async def test_a_server_without_uidl_n_is_asked_list_n_and_from_then_on_only_that(
    uidl: bytes,
) -> None:
    """Every message comes, and each but the first costs one question (P5)."""

    async def script(talk: Talk) -> None:
        await serve_login(talk)
        while line := await talk.line():
            await talk.send(answer_to(line, uidl))

    async with ScriptedServer(script) as server:
        maildrop = await connect_maildrop(make_settings(server), lock_step=False)
        given = await retrieve(maildrop, ODD)
        await maildrop.drop()

    assert [octets for _, octets, _ in given] == [MESSAGE] * 3
    told = server.talks[0].received.partition(b"RETR 1")[2]
    assert (told.count(b"UIDL"), told.count(b"LIST")) == (1, 3)


async def test_the_size_of_a_message_still_to_come_is_asked_for() -> None:
    """Whoever wrote this one may guess its size; of the last there is only its own."""
    maildrop, stream = await begin(
        body(MESSAGE),
        b"-ERR\r\n",
        b"+OK 2 2000 octets\r\n",
        body(MESSAGE),
        b"+OK 2 2000\r\n",
    )
    await retrieve(maildrop, [listed(1, 1000), listed(2, 2000)])

    assert stream.written == b"RETR 1\r\nUIDL 1\r\nLIST 2\r\nRETR 2\r\nLIST 2\r\n"


@pytest.mark.parametrize(
    "sizes", [b"-ERR\r\n", b"+OK\r\n", b"+OK 1 1000\r\n", b"+OK 2 1000\r\n", b"-ERR 2 2000\r\n"]
)
async def test_a_server_that_answers_neither_cannot_be_told_to_be_in_step(sizes: bytes) -> None:
    """The text says what was asked in vain."""
    maildrop, stream = await begin(body(MESSAGE), b"-ERR\r\n", sizes)
    given: list[tuple[int, bytes, str]] = []
    with pytest.raises(
        RemoteProtocolError,
        match="message 1 is not as long as LIST said, and the server does not answer "
        "UIDL 1 or LIST 2 as it should, so it cannot be told",
    ):
        await collect(maildrop, [listed(1, 1000), listed(2, 2000)], given)

    assert [number for number, _, _ in given] == [1]
    assert b"RETR 2" not in stream.written


async def test_a_size_that_list_never_told_proves_nothing() -> None:
    """0 stands for not known."""
    maildrop, _ = await begin(body(MESSAGE), b"-ERR\r\n", b"+OK 2 0\r\n")
    with pytest.raises(RemoteProtocolError, match="cannot be told"):
        await retrieve(maildrop, [listed(1, 0), listed(2, 0)])


@pytest.mark.parametrize("first", [b"+OK 1 u1\r\n", b"-ERR\r\n"])
async def test_what_worked_once_and_then_fails_has_no_second_way(first: bytes) -> None:
    """A server does not unlearn it, so something else has spoken."""
    proof = [first] if first.startswith(b"+") else [first, b"+OK 2 107\r\n"]
    maildrop, stream = await begin(body(MESSAGE), *proof, body(MESSAGE), b"-ERR\r\n", b"+OK 2 u2")
    with pytest.raises(RemoteProtocolError, match=r"answer (UIDL|LIST) 2 as it"):
        await retrieve(maildrop, ODD[:2])

    assert stream.written.endswith(b"UIDL 2\r\n" if len(proof) == 1 else b"LIST 2\r\n")


FORGED = [
    [b"+OK\r\n", b"+OK 1 107\r\n", b"+OK\r\nforged\r\n"],
    [b"-ERR\r\n", b"+OK 1 107\r\n", b"+OK\r\nforged\r\n"],
    [b"-ERR\r\n", b"+OK 2 107\r\n", b"+OK\r\nforged\r\n"],
    [b"+OK 1 u2\r\n", b"-ERR\r\n", b"+OK\r\nforged\r\n"],
    [b"-ERR\r\n", b"-ERR\r\n", b"+OK\r\nforged\r\n"],
]


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("late", [True, False])
async def test_forged_lines_behind_an_unstuffed_terminator_are_found_out(
    forged: Sequence[bytes], *, late: bool
) -> None:
    """At once, or late in the place of each answer; their author knows his message's size."""

    async def script(talk: Talk) -> None:
        await serve_login(talk)
        await talk.expect(b"RETR 1")
        await talk.send(b"+OK\r\ncut\r\n.\r\n" + (b"" if late else b"".join(forged)))
        if late:
            for line in forged:
                if await talk.line():
                    await talk.send(line)
        await talk.wait_closed()

    given: list[tuple[int, bytes, str]] = []
    async with ScriptedServer(script) as server:
        maildrop = await connect_maildrop(make_settings(server), lock_step=False)
        with pytest.raises(RemoteProtocolError):
            await collect(maildrop, [listed(1, 107), listed(2, 1234)], given)
        await maildrop.drop()

    assert given == [(1, b"cut\r\n", given[0][2])]
    assert given[0][2]
    assert b"RETR 2" not in server.talks[0].received


async def test_a_message_behind_which_the_server_is_out_of_step_is_in_doubt() -> None:
    """Numbers may have shifted, so that it is another one than it was listed as (P1)."""
    given: list[tuple[int, bytes, str]] = []

    async def script(talk: Talk) -> None:
        await serve_login(talk)
        await talk.exchange((b"RETR 1", body(MESSAGE)), (b"UIDL 1", b"+OK 1 another\r\n"))
        await talk.exchange((b"LIST 2", b"+OK 2 7\r\n"))
        await talk.expect_close()

    async with ScriptedServer(script) as server:
        maildrop = await connect_maildrop(make_settings(server), lock_step=False)
        with pytest.raises(RemoteProtocolError, match="does not answer UIDL 1 or LIST 2"):
            await collect(maildrop, [listed(1, 4), listed(2, 107)], given)
        await maildrop.drop()

    assert given == [(1, MESSAGE, "it may have come in another's place")]


@pytest.mark.parametrize(("told", "in_step"), [(b"2 14", True), (b"3 21", False), (b"", False)])
async def test_where_list_is_refused_the_totals_tell(told: bytes, *, in_step: bool) -> None:
    """What STAT said at the beginning it must say again; a wrong answer to LIST is no refusal."""
    given: list[tuple[int, bytes, str]] = []
    answers = {
        b"STAT": [b"+OK 2 14\r\n", b"+OK " + told + b"\r\n"],
        b"LIST": [b"-ERR no\r\n"] * 2,
        b"UIDL": [b"+OK\r\n1 u1\r\n.\r\n", b"-ERR no\r\n"],
        b"RETR": [body(MESSAGE)],
    }

    async def script(talk: Talk) -> None:
        await serve_login(talk)
        while line := await talk.line():
            await talk.send(answers[line.split()[0]].pop(0))

    async with ScriptedServer(script) as server:
        maildrop = await connect_maildrop(make_settings(server), lock_step=False)
        shown = await maildrop.list()
        try:
            await collect(maildrop, shown.messages, given)
            ended_well = True
        except RemoteProtocolError:
            ended_well = False
        await maildrop.drop()

    assert ended_well is in_step
    assert [bool(suspicion) for _, _, suspicion in given] == [not in_step]
