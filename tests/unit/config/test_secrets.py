import asyncio
import os
import select
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from popsync.config.secrets import (
    CommandSecret,
    CredentialSecret,
    EnvSecret,
    FileSecret,
    LiteralSecret,
    read_secret,
)
from popsync.errors import SecretUnavailable

CANARY = "hunter2"


def python(script: str) -> CommandSecret:
    """Give a command that runs ``script``."""
    return CommandSecret((sys.executable, "-c", script))


def secret_file(path: Path, octets: bytes, mode: int = 0o600) -> FileSecret:
    """Write a password file."""
    path.write_bytes(octets)
    path.chmod(mode)
    return FileSecret(path)


async def refusal(secret: CommandSecret | FileSecret | EnvSecret | CredentialSecret) -> str:
    """Give the words of a refusal, which never hold the canary (P7)."""
    with pytest.raises(SecretUnavailable) as caught:
        await read_secret(secret, environ={"EMPTY": "", "CR": f"{CANARY}\r{CANARY}"})
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


async def test_literal_is_itself_and_never_shows() -> None:
    """Neither repr nor str has it (P7)."""
    secret = LiteralSecret(CANARY)

    assert await read_secret(secret) == CANARY
    assert CANARY not in f"{secret!r}{secret}"


async def test_variable_gives_its_value() -> None:
    """The environment is read when the password is needed."""
    assert await read_secret(EnvSecret("PW"), environ={"PW": CANARY}) == CANARY


@pytest.mark.parametrize(
    ("name", "words"), [("NONE", "not set"), ("EMPTY", "empty"), ("CR", "control")]
)
async def test_variable_without_a_password_is_refused(name: str, words: str) -> None:
    """An unset, empty or unsendable value is told apart."""
    assert words in await refusal(EnvSecret(name))


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
async def test_file_gives_its_text_without_one_line_end(tmp_path: Path, end: str) -> None:
    """Editors put a line end there."""
    secret = secret_file(tmp_path / "pw", f" {CANARY} {end}".encode())

    assert await read_secret(secret) == f" {CANARY} "


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"hunter2\n\n", "control character"),
        (b"hunter2\0", "control character"),
        (b"", "empty"),
        (b"\n", "empty"),
        (b"hunter2\xff", "UTF-8"),
        (b"hunter2" * 600, "4096 octets"),
        (b"hunter2" * 10_000, "larger than 64 KB"),
    ],
)
async def test_file_without_a_usable_password_is_refused(
    tmp_path: Path, octets: bytes, words: str
) -> None:
    """What could not be sent, or is no password at all, is not tried."""
    assert words in await refusal(secret_file(tmp_path / "pw", octets))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604])
async def test_file_that_others_can_open_is_refused_with_the_cure(
    tmp_path: Path, mode: int
) -> None:
    """The rule is the configuration's own."""
    words = await refusal(secret_file(tmp_path / "pw", CANARY.encode(), mode))

    assert f"chmod 600 {tmp_path}/pw" in words


async def test_group_may_read_when_allowed(tmp_path: Path) -> None:
    """Reading is allowed to the group, writing is not."""
    assert await read_secret(secret_file(tmp_path / "a", CANARY.encode(), 0o640), allow_group=True)
    with pytest.raises(SecretUnavailable, match="0660"):
        await read_secret(secret_file(tmp_path / "b", CANARY.encode(), 0o660), allow_group=True)


async def test_pipe_in_place_of_a_file_does_not_block(tmp_path: Path) -> None:
    """A named pipe without a writer is refused at once."""
    os.mkfifo(tmp_path / "pw", 0o600)

    assert "regular file" in await refusal(FileSecret(tmp_path / "pw"))


async def test_missing_file_is_refused_with_the_systems_reason(tmp_path: Path) -> None:
    """The user sees which file."""
    assert f"{tmp_path}/pw cannot be read: No such file" in await refusal(
        FileSecret(tmp_path / "pw")
    )


async def test_credential_comes_from_the_service_managers_directory(tmp_path: Path) -> None:
    """Its permissions are the service manager's business."""
    secret_file(tmp_path / "pop", CANARY.encode(), 0o644)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}

    assert await read_secret(CredentialSecret("pop"), environ=environ) == CANARY
    with pytest.raises(SecretUnavailable, match="No such file"):
        await read_secret(CredentialSecret("none"), environ=environ)


async def test_credential_outside_a_service_is_refused() -> None:
    """The variable is named, so the user sees what is missing."""
    assert "CREDENTIALS_DIRECTORY" in await refusal(CredentialSecret("pop"))


async def test_command_gives_what_it_prints() -> None:
    """One line end is cut, standard input is empty, standard error is ignored."""
    script = f"import sys; sys.stdin.read(); print('x', file=sys.stderr); print('{CANARY}')"

    assert await read_secret(python(script)) == CANARY


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import sys; print('hunter2', file=sys.stderr); sys.exit(3)", "exit code 3"),
        ("print('hunter2'); raise SystemExit(1)", "exit code 1"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9"),
        ("print('hunter2' * 20000)", "more than 64 KB"),
        ("print()", "empty"),
        ("print('hunter2\\n')", "control character"),
        ("import os; os.write(1, b'\\xff')", "UTF-8"),
    ],
)
async def test_command_without_a_password_is_refused_without_its_words(
    script: str, words: str
) -> None:
    """The command is named by its program only; arguments may be secret (P7)."""
    told = await refusal(python(script))

    assert words in told
    assert f'password command "{sys.executable}"' in told
    assert "-c" not in told


@pytest.mark.parametrize("program", ["/nonexistent/pass", "/etc", "a\0b"])
async def test_command_that_cannot_be_started_is_refused(program: str) -> None:
    """A missing program is not a traceback."""
    assert "cannot be started" in await refusal(CommandSecret((program,)))


def has_ended(pid: int) -> bool:
    """Whether the process ends, or has ended; a killed one may need a moment."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 10)[0])
    finally:
        os.close(handle)


async def test_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    """Nothing of it is left after the time-out."""
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    command = CommandSecret(("sh", "-c", f"sleep 60 & echo $$ $! >'{pids}'; wait"))
    reading = asyncio.ensure_future(read_secret(command, command_timeout_s=2))
    started = await asyncio.to_thread(pids.read_text)

    with pytest.raises(SecretUnavailable, match="within 2 s"):
        await reading

    assert all(has_ended(int(pid)) for pid in started.split())


async def test_command_may_leave_a_child_with_its_output_behind(tmp_path: Path) -> None:
    """What the program itself printed counts once it has ended; the child is ended too."""
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    command = CommandSecret(("sh", "-c", f"echo {CANARY}; sleep 60 & echo $! >'{pids}'"))
    reading = asyncio.ensure_future(read_secret(command, command_timeout_s=20))
    child = int(await asyncio.to_thread(pids.read_text))

    assert await reading == CANARY
    assert has_ended(child)


async def test_command_that_closes_its_output_is_waited_for() -> None:
    """Its exit code decides, whenever that comes."""
    script = "import os; os.write(1, b'hunter2'); os.close(1); raise SystemExit(3)"

    assert "exit code 3" in await refusal(python(script))


def is_running(argument: str) -> bool:
    """Whether some process was started with ``argument``."""
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if argument.encode() in place.read_bytes().split(b"\0"):
                return True
    return False


@pytest.mark.parametrize("moments", range(12))
async def test_command_that_is_cancelled_at_its_very_start_is_killed(moments: int) -> None:
    """There is no moment at which nobody answers for it."""
    mark = f"60.{os.getpid()}{moments:02}"
    reading = asyncio.ensure_future(read_secret(CommandSecret(("sleep", mark))))
    for _ in range(moments):
        await asyncio.sleep(0)

    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert not is_running(mark)


async def test_cancelled_command_is_killed(tmp_path: Path) -> None:
    """An orderly stop leaves no program behind."""
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    command = CommandSecret(("sh", "-c", f"echo $$ >'{pids}'; exec sleep 60"))
    reading = asyncio.ensure_future(read_secret(command))
    pid = int(await asyncio.to_thread(pids.read_text))

    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert has_ended(pid)
