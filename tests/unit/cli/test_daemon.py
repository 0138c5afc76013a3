"""The running daemon, as other commands meet it."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from popsync.agent.control import (
    SOCKET_NAME,
    Answer,
    AskPause,
    Done,
    Overview,
    Refusal,
    format_answer,
)
from popsync.cli.daemon import ask_daemon, look_at_daemon
from popsync.errors import ConnectFailed, RemoteProtocolError, UnknownAccount
from popsync.net.local import serve_local

OVERVIEW = Overview("1.2.3", 1.0, moving=True, accounts=())


def answering(line: bytes) -> Callable[[bytes], Awaitable[bytes]]:
    """Give a daemon that always says the same."""

    async def answer(_request: bytes) -> bytes:
        return line

    return answer


async def ask(root: Path, answer: Answer) -> Done:
    """Ask a daemon that gives this answer."""
    async with serve_local(root / SOCKET_NAME, answering(format_answer(answer))):
        return await asyncio.to_thread(ask_daemon, root, AskPause(), Done, timeout_s=10)


async def test_an_answer_comes_back(tmp_path: Path) -> None:
    """The one that fits the request."""
    assert await ask(tmp_path, Done()) == Done()


async def test_what_the_daemon_refuses_is_raised_here(tmp_path: Path) -> None:
    """By its class, which has its exit code; an answer to another question is none."""
    with pytest.raises(UnknownAccount, match="no account 'eve'"):
        await ask(tmp_path, Refusal("UnknownAccount", ("no account 'eve'",)))
    with pytest.raises(RemoteProtocolError, match="not an answer"):
        await ask(tmp_path, OVERVIEW)


def test_no_daemon_is_said_with_what_to_do(tmp_path: Path) -> None:
    """To whoever wants something of it; whoever only looks sees none."""
    with pytest.raises(ConnectFailed, match=r"no popsync runs .* 'popsync run'"):
        ask_daemon(tmp_path, AskPause(), Done, timeout_s=10)
    assert look_at_daemon(tmp_path) == (None, "")


def test_a_state_directory_that_is_a_file_is_no_daemon(tmp_path: Path) -> None:
    """What is wrong is said, with what to do; whoever only looks sees none."""
    (tmp_path / "state").write_text("")

    said = r"no popsync runs: state_dir .*/state is not a directory; .* name another"
    with pytest.raises(ConnectFailed, match=said):
        ask_daemon(tmp_path / "state", AskPause(), Done, timeout_s=10)
    assert look_at_daemon(tmp_path / "state") == (None, "")


def test_a_socket_that_is_none_is_trouble(tmp_path: Path) -> None:
    """Something is there, and nobody can say that no daemon runs."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(tmp_path / SOCKET_NAME))
        seen = look_at_daemon(tmp_path)

    assert seen.overview is None
    assert "wrong type" in seen.trouble


async def test_a_daemon_that_answers_is_seen(tmp_path: Path) -> None:
    """With all it says of itself; one of another version is told apart from none."""
    path = tmp_path / SOCKET_NAME
    async with serve_local(path, answering(format_answer(OVERVIEW))):
        assert await asyncio.to_thread(look_at_daemon, tmp_path) == (OVERVIEW, "")
    async with serve_local(path, answering(b'{"protocol": 2}')):
        seen = await asyncio.to_thread(look_at_daemon, tmp_path)
    assert seen == (None, "it is of another version, start it again")
