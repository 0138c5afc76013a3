"""What a person sees on a terminal, and a pipe does not."""

import os
import pty
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.system.commands import MAILDIR, TIMEOUT_S, account, popsync, serving, write_config


def popsync_on_terminal(*args: str | Path, env: Mapping[str, str]) -> tuple[int, str]:
    """Run a command with stdout and stderr on a terminal; give its code and the screen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "popsync", *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", **env},
    )
    os.close(theirs)
    screen = b""
    try:
        while piece := os.read(ours, 65536):
            screen += piece
    except OSError:
        pass  # how Linux says that nobody is left on the other end
    finally:
        os.close(ours)
    return process.wait(TIMEOUT_S), screen.decode()


def converse(*args: str | Path, dialogue: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """Answer each question of a command as it comes up; give its code and the screen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "popsync", *map(str, args)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,  # no terminal but the one it is given
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    screen, told = "", 0
    for question, answer in dialogue:
        while question not in screen[told:]:
            screen += os.read(ours, 65536).decode()
        told = len(screen)
        os.write(ours, f"{answer}\n".encode())
    with suppress(OSError):  # how Linux says that nobody is left on the other end
        while piece := os.read(ours, 65536):
            screen += piece.decode()
    os.close(ours)
    return process.wait(TIMEOUT_S), screen


def test_a_password_that_is_typed_is_unseen_and_asked_for_twice(tmp_path: Path) -> None:
    """Two that differ are asked for again."""
    path = tmp_path / "popsync.toml"
    dialogue = [
        *[("address", "jane@gmx.net"), ("POP3 server", ""), ("User name", "")],
        *[("Password from", "literal"), ("Password:", "hunter2"), ("Repeat", "hunter3")],
        *[("Password:", "hunter2"), ("Repeat", "hunter2")],
        *[("Mode", "keep"), ("Maildir", ""), ("Try the login", "n")],
    ]

    code, screen = converse("init", "-c", path, dialogue=dialogue)

    assert code == 0
    assert "hunter" not in screen
    assert tomllib.loads(path.read_text())["account"]["gmx"]["password"] == "hunter2"


def test_a_round_shows_a_bar_and_no_log_lines(tmp_path: Path) -> None:
    """The bar is drawn and cleared; the summary stays."""
    with serving(tmp_path, "jane") as served:
        config = write_config(
            tmp_path / "popsync.toml", MAILDIR + account("jane", served.pop3_port)
        )
        served.send("jane", b"Subject: x\r\n\r\n")

        code, screen = popsync_on_terminal("-c", config, "once", env={})

    assert code == 0
    assert "1/1 messages" in screen
    assert "unique_id" not in screen
    assert "jane: 1 message delivered" in screen


@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
def test_colour_is_for_terminals_that_want_it(
    tmp_path: Path, no_color: str, *, colored: bool
) -> None:
    """NO_COLOR takes it away; a pipe never gets it."""
    config = write_config(tmp_path / "popsync.toml", MAILDIR + account("jane", 9))
    arguments = ("-c", config, "check", "--login")
    env = {"NO_COLOR": no_color, "XDG_STATE_HOME": str(tmp_path / "state")}

    _, screen = popsync_on_terminal(*arguments, env=env)
    piped = popsync(*arguments, env=env)

    assert ("\x1b[31m" in screen) is colored
    assert "\x1b" not in piped.stdout


def test_the_demonstration_draws_its_table(tmp_path: Path) -> None:
    """The live table stands for the plain one."""
    _, screen = popsync_on_terminal("demo", "--messages", "1", env={"TMPDIR": str(tmp_path)})

    assert "delivers to" in screen
    assert "DELIVERS TO" not in screen
    assert "each exactly once" in screen
