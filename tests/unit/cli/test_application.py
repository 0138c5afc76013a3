"""The root command: quick, and plain about mistakes."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import click
import pytest

from popsync import __version__
from popsync.cli import application
from popsync.cli.application import COMMANDS, run
from popsync.cli.lazy_group import LazyCommand
from popsync.errors import AuthRejected

HEAVY = (
    "pydantic", "apscheduler", "rich", "structlog", "aiosmtpd", "watchdog", "platformdirs",
    "asyncio", "ssl", "sqlite3",
)  # fmt: skip
NOT_FOR_A_POLL = (
    "apscheduler", "rich", "structlog", "aiosmtpd", "watchdog", "prometheus_client", "pydantic",
    "importlib.metadata", "email", "platformdirs", "shutil", "tempfile",
    "popsync.destinations.smtp", "popsync.destinations.lmtp",
    "popsync.agent.supervisor", "popsync.config.explain", "popsync.cli.progress",
)  # fmt: skip
IDLE = """
state_dir = "{state}"
[destination.inbox]
type = "maildir"
path = "{mail}"
[account.gmx]
host = "127.0.0.1"
port = 1
tls = "none"
user = "jane"
password = "secret"
mode = "keep"
"""


def popsync(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "popsync", *args],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **(env or {})},
    )


def install_command(monkeypatch: pytest.MonkeyPatch, command: click.Command) -> None:
    """Put a command named ``boom`` into the table."""
    module = ModuleType("tests_boom")
    vars(module)["command"] = command
    monkeypatch.setitem(sys.modules, "tests_boom", module)
    monkeypatch.setitem(COMMANDS, "boom", LazyCommand("tests_boom", "Goes wrong."))


def raising(error: BaseException) -> click.Command:
    """Make a command that fails with ``error``."""

    @click.command("boom")
    def command() -> None:
        raise error

    return command


def imported(code: str, names: Sequence[str]) -> str:
    """Give those of ``names`` that are imported once ``code`` has run in a process of its own."""
    tell = f"print(*sorted(set({names!r}) & set(sys.modules)), file=sys.stderr)"
    # Where coverage is measured, it has itself loaded into every process, and sqlite3 with it.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\n{tell}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env=env,
    )
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("args", [["--version"], ["--help"], ["onec"]])
def test_it_answers_without_importing_what_only_commands_need(args: list[str]) -> None:
    """Version, help and a misspelt command load nothing heavy."""
    code = f"from popsync.cli.application import run\nrun({args!r})"

    assert imported(code, HEAVY) == ""


def test_a_poll_without_anything_to_tell_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    """Every module costs a poll from cron its time: no log, no relay, no daemon."""
    config = tmp_path / "popsync.toml"
    config.write_text(IDLE.format(state=tmp_path / "state", mail=tmp_path / "mail"))
    config.chmod(0o600)
    code = (
        "from popsync.cli.application import run\n"
        f"assert run(['-c', {str(config)!r}, '-q', '-q', 'once', 'gmx']) == 69"
    )

    assert imported(code, (*NOT_FOR_A_POLL, "pydantic_core")) == "pydantic_core"


def test_version_names_the_program_and_its_version() -> None:
    """``popsync --version`` is one line on stdout."""
    done = popsync("--version")

    assert (done.returncode, done.stdout, done.stderr) == (0, f"popsync {__version__}\n", "")


def test_help_lists_every_command() -> None:
    """Each command of the table is there with its one line."""
    done = popsync("-h")

    assert done.returncode == 0
    for name, entry in COMMANDS.items():
        assert f"{name} " in done.stdout
        assert entry.summary in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_help_that_the_table_promises(name: str) -> None:
    """The table's line is the first of the command's own help, and global options work there."""
    command = application.application.get_command(click.Context(application.application), name)

    assert command is not None
    assert (command.help or "").splitlines()[0] == COMMANDS[name].summary


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["onec"], "did you mean 'once'?"),
        (["--vresion"], "No such option"),
        (["zzzzzz"], "No such command 'zzzzzz'"),
        (["schema", "surplus"], "unexpected extra argument"),
        ([], "Usage: popsync"),
    ],
)
def test_a_mistake_on_the_command_line_exits_64(
    args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Usage errors are EX_USAGE and say what is wrong on stderr."""
    assert run(args) == 64

    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_a_failure_from_outside_is_told_without_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error of popsync's own tree is one line, and its code is its kind's."""
    install_command(monkeypatch, raising(AuthRejected("pop.example: login refused")))

    assert run(["boom"]) == 77
    assert capsys.readouterr().err == "popsync: pop.example: login refused\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "/a/b"), "/a/b: Permission denied"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("cannot listen on 127.0.0.1:25"), "cannot listen on 127.0.0.1:25"),
    ],
)
def test_a_system_error_is_told_without_its_number(
    error: OSError,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the file that it is about."""
    install_command(monkeypatch, raising(error))

    assert run(["boom"]) == 74
    assert capsys.readouterr().err == f"popsync: {said}\n"


def test_a_bug_shows_its_traceback_and_exits_70(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What nobody foresaw is shown whole, and called a bug."""
    install_command(monkeypatch, raising(KeyError("oops")))

    assert run(["boom"]) == 70
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "bug" in said


def test_control_c_exits_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An interrupted question ends without a traceback."""
    install_command(monkeypatch, raising(KeyboardInterrupt()))

    assert run(["boom"]) == 130
    assert capsys.readouterr().err == "\npopsync: interrupted\n"


@pytest.mark.parametrize("args", ["schema", "--help", "--version"])
def test_a_reader_who_leaves_is_no_error(args: str) -> None:
    """With nobody left to read stdout, popsync ends quietly as any Unix tool does."""
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen(
        [sys.executable, "-m", "popsync", args],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    _, said = process.communicate(timeout=30)

    assert (process.returncode, said) == (141, "")


def test_global_options_go_before_or_after_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``-c``, ``-v`` and ``-q`` mean the same in either place, and add up."""
    from popsync.cli.options import Command, Invocation, invocation  # noqa: PLC0415

    seen: list[Invocation] = []

    @click.command("boom", cls=Command)
    def command() -> None:
        seen.append(invocation())

    install_command(monkeypatch, command)
    for args in (["-c", "f", "-v", "boom", "-v"], ["boom", "-vv", "-c", "f"], ["boom", "-qq"]):
        assert run(args) == 0

    assert [(str(i.config), i.verbosity) for i in seen] == [("f", 2), ("f", 2), ("None", -2)]


def test_the_shell_completes_names_without_importing_commands() -> None:
    """Completion of a command's name comes from the table."""
    done = popsync(
        env={"_POPSYNC_COMPLETE": "bash_complete", "COMP_WORDS": "popsync he", "COMP_CWORD": "1"}
    )

    assert done.stdout.split() == ["plain,held"]
