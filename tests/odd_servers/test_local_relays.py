"""LMTP servers behind a Unix socket that is not as it should be."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from popsync.destinations.lmtp import LmtpDestination, LmtpSettings
from popsync.errors import DestinationUnavailable
from tests.doubles.smtp_script import SmtpScript
from tests.odd_servers.harness import open_bench
from tests.odd_servers.relay_cases import FIVE
from tests.odd_servers.server import OddServer

NOBODY = 65534


def _leave_stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


SOCKETS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda _path: None, "no such file or directory"),
    "stale": (_leave_stale, "connection refused"),
    "no socket": (Path.touch, "connection refused"),
    "in no directory": (lambda path: path.parent.rmdir(), "no such file or directory"),
}


@pytest.mark.parametrize("name", SOCKETS)
async def test_a_socket_that_leads_nowhere_is_named_and_tried_again(
    name: str, tmp_path: Path
) -> None:
    """Path and reason are told, nothing is retrieved; once somebody listens all is well."""
    make, reason = SOCKETS[name]
    path = tmp_path / "run" / "lmtp"
    path.parent.mkdir()
    make(path)
    relay = LmtpDestination("relay", LmtpSettings(socket=str(path)))
    server, script = OddServer(list(FIVE)), SmtpScript(lmtp=True)
    async with open_bench(server, tmp_path, destination=relay, recipients=("jane",)) as bench:
        refused = await bench.poll()
        assert str(refused.error) == f"destination 'relay': {path}: {reason}"
        assert refused.error is not None
        assert refused.error.temporary
        assert not any(command.upper().startswith(b"RETR") for command in server.commands)
        path.unlink(missing_ok=True)
        path.parent.mkdir(exist_ok=True)
        async with script.on_unix(path):
            assert (await bench.poll()).summary.delivered == len(FIVE)
            await relay.close()


@contextmanager
def _as_nobody() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _allow(path: Path, mode: int) -> None:
    path.chmod(mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_a_socket_of_somebody_else_is_named_and_tried_again() -> None:
    """The operator reads that permission is denied, and where; it may be put right meanwhile."""
    path = Path(f"/tmp/popsync-{os.getpid()}-lmtp")  # noqa: S108 - others can reach it there
    script = SmtpScript(lmtp=True)
    relay = LmtpDestination("relay", LmtpSettings(socket=str(path)))
    try:
        async with script.on_unix(path):
            _allow(path, 0o600)
            with _as_nobody(), pytest.raises(DestinationUnavailable) as caught:
                await relay.ready()
            assert str(caught.value) == f"destination 'relay': {path}: permission denied"
            assert caught.value.temporary
            _allow(path, 0o666)
            with _as_nobody():
                await relay.ready()
            await relay.close()
    finally:
        _remove(path)
