"""Where ``popsync run`` writes its lines: journald, programs, and a disk that is full."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.servers.programs import wait_until
from tests.system.commands import (
    MAILDIR,
    TIMEOUT_S,
    Served,
    account,
    delivered,
    popsync,
    serving,
    write_config,
)

MESSAGE = b"Message-ID: <%d@example.org>\r\nSubject: %d\r\n\r\nbody\r\n"


@contextmanager
def writing_to(
    log: Path, config: Path, env: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon with its log in a file, as a shell does."""
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "popsync", "-c", config, "run"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env={**os.environ, **env},
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=TIMEOUT_S)


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask for an orderly end and give the exit code."""
    process.terminate()
    return process.wait(timeout=TIMEOUT_S)


def bring(served: Served, root: Path, process: subprocess.Popen[bytes], number: int) -> None:
    """Have one more message delivered; the first one by the poll at the start."""
    served.send("jane", MESSAGE % (number, number))
    if number:
        process.send_signal(signal.SIGUSR1)
    wait_until(lambda: len(delivered(root)) > number)


def configure(root: Path, served: Served, *, form: str = "auto", poll_every: str = "1d") -> Path:
    """Write a configuration with this format of log."""
    text = MAILDIR + f'[log]\nformat = "{form}"\n'
    jane = account("jane", served.pop3_port, f'poll_every = "{poll_every}"')
    return write_config(root / "popsync.toml", text + jane)


def test_every_line_of_json_is_one_event(tmp_path: Path) -> None:
    """What was delivered carries all that tells it apart; its poll is summed up."""
    log = tmp_path / "log"
    with serving(tmp_path, "jane") as served:
        served.send("jane", MESSAGE % (0, 0))
        config = configure(tmp_path, served, form="json")
        with writing_to(log, config, {}) as process:
            wait_until(lambda: log.exists() and b'"polled"' in log.read_bytes())
            code = stop(process)

    assert code == 0
    events = [json.loads(line) for line in log.read_text().splitlines()]
    (arrived,) = [event for event in events if event["event"] == "delivered"]
    told = {"account", "unique_id", "octets", "message_id", "destination", "reply"}
    assert told <= arrived.keys()
    assert "0@example.org" in arrived["message_id"]
    assert sum(event["event"] == "polled" for event in events) == 1


@pytest.mark.parametrize("command", ["run", "once"])
def test_the_last_line_of_json_is_an_event_too(tmp_path: Path, command: str) -> None:
    """Whoever reads the log by program learns why the process has ended."""
    (tmp_path / "state").write_text("")
    text = f'state_dir = "state"\nlog.format = "json"\n{MAILDIR}{account("jane", 1)}'
    config = write_config(tmp_path / "popsync.toml", text)

    done = popsync("-c", config, command)

    (event,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert (done.returncode, event["level"]) == (74, "error")
    assert "is not a directory" in event["event"]


def test_journald_gets_priorities(tmp_path: Path) -> None:
    """It adds the time by itself."""
    log = tmp_path / "log"
    log.touch()
    about = log.stat()
    config = write_config(tmp_path / "popsync.toml", MAILDIR)
    with writing_to(log, config, {"JOURNAL_STREAM": f"{about.st_dev}:{about.st_ino}"}) as process:
        wait_until(lambda: " polls " in log.read_text())
        config.write_text("broken =")
        wait_until(lambda: "stays in effect" in log.read_text())
        stop(process)

    lines = log.read_text().splitlines()
    assert all(re.match(r"<[0-7]>", line) for line in lines)
    assert lines[0].startswith("<6>popsync ")
    assert lines[-1].startswith("<3>")


def test_nothing_is_written_while_nothing_is_new(tmp_path: Path) -> None:
    """Polls go on, and the log is silent."""
    log = tmp_path / "log"
    with serving(tmp_path, "jane") as served:
        config = configure(tmp_path, served, poll_every="1s")
        with writing_to(log, config, {}) as process:
            bring(served, tmp_path, process, 0)
            bring(served, tmp_path, process, 1)
            stop(process)

    assert len([line for line in log.read_text().splitlines() if " polled " in line]) == 2
    assert len(log.read_text().splitlines()) == 1 + 2 * 2


def test_mail_comes_while_the_log_takes_nothing(tmp_path: Path) -> None:
    """The disk of the log is full."""
    with serving(tmp_path, "jane") as served:
        config = configure(tmp_path, served)
        with writing_to(Path("/dev/full"), config, {}) as process:
            bring(served, tmp_path, process, 0)
            bring(served, tmp_path, process, 1)
            code = stop(process)

    assert (code, len(delivered(tmp_path))) == (0, 2)


def fill(file: Path) -> None:
    """Write until there is no room."""
    with file.open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(4096))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("may not mount a file system")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_log_comes_back_when_its_disk_has_room(tmp_path: Path, small_disk: Path) -> None:
    """Meanwhile mail was delivered as ever."""
    log, filler = small_disk / "log", small_disk / "filler"
    with serving(tmp_path, "jane") as served:
        config = configure(tmp_path, served, form="json")
        with writing_to(log, config, {}) as process:
            bring(served, tmp_path, process, 0)
            wait_until(lambda: b'"polled"' in log.read_bytes())
            log.write_bytes(b"")
            fill(filler)
            bring(served, tmp_path, process, 1)
            wait_until(lambda: len(delivered(tmp_path)) == 2)
            filler.unlink()
            bring(served, tmp_path, process, 2)
            wait_until(lambda: b"2@example.org" in log.read_bytes())
            code = stop(process)

    assert code == 0
    assert all(json.loads(line) for line in log.read_text().splitlines())
