"""Names that lead nowhere, addresses that do not answer, connections that come to nothing."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from popsync.errors import ConnectFailed, PeerClosed, StreamError
from tests.doubles.pop3_script import ScriptedServer, Talk
from tests.odd_servers.form import MAIL
from tests.odd_servers.harness import QUICK, open_bench
from tests.odd_servers.server import OddServer

_Address = tuple[Any, ...]
_V4, _V6 = socket.AF_INET, socket.AF_INET6


def _lead_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name have these addresses."""

    def resolve(_host: str, port: int, *_: object, **__: object) -> list[_Address]:
        return [
            (_V6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (_V4, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (socket.EAI_NONAME, "name not found"),
        (socket.EAI_AGAIN, "name not found"),
        (socket.EAI_FAIL, "name not found"),
    ],
    ids=["no such name", "server fails", "refused"],
)
async def test_a_name_that_is_not_found_may_be_there_later(
    code: int, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also when its servers say that there is none: others may mend that."""

    def resolve(*_: object, **__: object) -> list[_Address]:
        raise socket.gaierror(code, "told by a name server")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    server = OddServer(list(MAIL))
    async with open_bench(server, tmp_path, host="pop.example.org") as bench:
        report = await bench.poll()

    assert isinstance(report.error, ConnectFailed)
    assert report.error.temporary
    assert words in str(report.error)
    assert "pop.example.org" in str(report.error)


@pytest.mark.parametrize(
    "addresses",
    [
        [f"127.0.0.{n}" for n in range(2, 11)],
        ["::1"],
        ["::1", "127.0.0.9", "::1", "127.0.0.8"],
    ],
    ids=["nine of ten", "the newer protocol", "both"],
)
async def test_addresses_that_refuse_are_passed_over(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that answers is enough."""
    _lead_to(monkeypatch, *addresses, "127.0.0.1")
    server = OddServer(list(MAIL))
    async with open_bench(server, tmp_path, host="pop.example.org") as bench:
        assert (await bench.poll()).error is None
        assert len(bench.arrived) == len(MAIL)


@contextmanager
def _black_hole(address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Listen and take nobody in: what comes is neither answered nor refused."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(0)
        there = listening.getsockname()
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(there)
        yield there[1]


async def test_an_address_that_keeps_silent_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The next one is tried beside it after a moment (RFC 8305 §5)."""
    _lead_to(monkeypatch, "127.0.0.7", "127.0.0.1")
    server = OddServer(list(MAIL))
    async with ScriptedServer(server.serve) as served:
        with _black_hole("127.0.0.7", served.port):
            patient = replace(QUICK, connect_s=20)
            async with open_bench(
                server, tmp_path, host="pop.example.org", port=served.port, deadlines=patient
            ) as bench:
                assert (await bench.poll()).error is None
                assert len(bench.arrived) == len(MAIL)


async def _fails(directory: Path, **settings: Any) -> StreamError:
    server = OddServer(list(MAIL))
    async with open_bench(server, directory, **settings) as bench:
        report = await bench.poll()
        assert not bench.arrived
    assert isinstance(report.error, StreamError)
    assert report.error.temporary
    return report.error


async def test_a_connection_that_nobody_answers_ends_at_its_deadline(tmp_path: Path) -> None:
    """As into a black hole."""
    with _black_hole() as port:
        error = await _fails(tmp_path, port=port, deadlines=replace(QUICK, connect_s=0.3))

    assert isinstance(error, ConnectFailed)
    assert "within 0.3 s" in str(error)


async def test_a_refused_connection_is_told_as_such(tmp_path: Path) -> None:
    """Nobody listens there."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        error = await _fails(tmp_path, port=bound.getsockname()[1])

    assert "connection refused" in str(error)


@pytest.mark.parametrize("address", ["255.255.255.255", "::ffff:0:0"])
async def test_an_address_that_cannot_be_reached_is_told_as_such(
    address: str, tmp_path: Path
) -> None:
    """In the system's words, and named."""
    error = await _fails(tmp_path, host=address, port=9, deadlines=replace(QUICK, connect_s=2))

    assert isinstance(error, ConnectFailed)
    assert address in str(error)


async def _reset(talk: Talk) -> None:
    talk.reset()
    await asyncio.sleep(0)


async def _greet_and_reset(talk: Talk) -> None:
    await talk.send(b"+OK ready\r\n")
    await talk.line()
    talk.reset()


async def _close(talk: Talk) -> None:
    await talk.close()


@pytest.mark.parametrize("script", [_reset, _greet_and_reset, _close])
async def test_a_connection_that_breaks_at_once_may_be_tried_again(
    script: Callable[[Talk], Any], tmp_path: Path
) -> None:
    """By a reset or in good order."""
    async with ScriptedServer(script) as served:
        error = await _fails(tmp_path, port=served.port)

    assert isinstance(error, PeerClosed)
