"""``popsync init`` as a process, its answers from a pipe."""

import stat
import tomllib
from pathlib import Path

import pytest

from tests.system.commands import popsync, serving

ANSWERS = ("jane@gmx.net", "", "", "command", "echo secret", "keep", "")
NO_CHECK = "n"


def lines(*answers: str) -> str:
    """Give answers as they are typed."""
    return "".join(f"{answer}\n" for answer in answers)


def test_it_writes_a_private_file_that_passes_check(tmp_path: Path) -> None:
    """Where -c says, with mode 0600, defaults taken for empty answers."""
    path = tmp_path / "new" / "popsync.toml"

    done = popsync("init", "-c", path, answers=lines(*ANSWERS, NO_CHECK))

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Wrote {path}\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    gmx = tomllib.loads(path.read_text())["account"]["gmx"]
    assert (gmx["host"], gmx["user"], gmx["mode"]) == ("pop.gmx.net", "jane@gmx.net", "keep")
    assert popsync("check", "-c", path).returncode == 0


def test_without_a_name_it_goes_where_every_command_looks(tmp_path: Path) -> None:
    """$XDG_CONFIG_HOME/popsync/popsync.toml."""
    env = {"XDG_CONFIG_HOME": str(tmp_path)}

    done = popsync("init", answers=lines(*ANSWERS, NO_CHECK), env=env)

    assert done.returncode == 0
    assert (tmp_path / "popsync" / "popsync.toml").exists()
    assert popsync("check", env=env).returncode == 0


def test_an_existing_file_is_never_touched(tmp_path: Path) -> None:
    """It asks nothing and says which file is in the way."""
    path = tmp_path / "popsync.toml"
    path.write_text("mine")

    done = popsync("init", "-c", path, answers=lines(*ANSWERS))

    assert (done.returncode, done.stdout, path.read_text()) == (74, "", "mine")
    assert str(path) in done.stderr
    assert "address" not in done.stderr


@pytest.mark.parametrize("given", range(len(ANSWERS)))
def test_the_end_of_input_leaves_nothing_behind(tmp_path: Path, given: int) -> None:
    """Whichever question is not answered, no file exists afterwards."""
    path = tmp_path / "popsync.toml"

    done = popsync("init", "-c", path, answers=lines(*ANSWERS[:given]))

    assert done.returncode == 64
    assert done.stderr.endswith("\npopsync: a question was not answered, the input has ended\n")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_cannot_be_used_is_asked_for_again(tmp_path: Path) -> None:
    """With the reason; and a password never comes back on the screen."""
    path = tmp_path / "popsync.toml"
    answers = (
        *("jane@gmx.net", "pop3://x", "pop.gmx.net:0", "pop.gmx.net", ""),
        *("literal", "hunter2\x07", "hunter2", "sideways", "delete", "", NO_CHECK),
    )

    done = popsync("init", "-c", path, answers=lines(*answers))

    assert done.returncode == 0, done.stderr
    assert "must be the bare name" in done.stderr
    assert "no port" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert tomllib.loads(path.read_text())["account"]["gmx"]["password"] == "hunter2"


def test_the_login_is_tried_when_wanted(tmp_path: Path) -> None:
    """With a server that is there, it ends with what check --login says."""
    path = tmp_path / "popsync.toml"
    with serving(tmp_path, "jane") as served:
        port = served.pop3_port
        answers = (
            "jane",
            f"127.0.0.1:{port}",
            "none",
            "",
            "literal",
            "jane",
            "keep",
            str(tmp_path / "M"),
        )
        done = popsync("init", "-c", path, answers=lines(*answers, "y"))

    assert done.returncode == 0, done.stderr
    assert "account jane: 0 messages" in done.stdout


def test_what_no_question_could_find_out_leaves_no_file(tmp_path: Path) -> None:
    """A configuration that would not load is not left behind."""
    path = tmp_path / "popsync.toml"
    answers = (*ANSWERS[:-1], "~nobody-of-that-name/Mail")

    done = popsync("init", "-c", path, answers=lines(*answers))

    assert done.returncode == 78
    assert "home directory" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_answer_about_the_login_is_a_no(tmp_path: Path) -> None:
    """The configuration is written by then, and that is success."""
    path = tmp_path / "popsync.toml"

    done = popsync("init", "-c", path, answers=lines(*ANSWERS))

    assert done.returncode == 0
    assert "OK: 1 account" in done.stdout


@pytest.mark.parametrize(
    ("server", "answer", "written"),
    [
        ("localhost:22531", "", "implicit"),
        ("localhost:22531", "none", "none"),
        ("mail.example.org:1995", "", "implicit"),
        ("mail.example.org:1995", "starttls", "starttls"),
    ],
)
def test_tls_is_asked_for_on_a_port_that_says_nothing(
    tmp_path: Path, server: str, answer: str, written: str
) -> None:
    """P7: encryption is left out or put off by the user alone."""
    path = tmp_path / "popsync.toml"
    answers = ("jane@gmx.net", server, answer, "", "command", "echo secret", "keep", "", NO_CHECK)

    done = popsync("init", "-c", path, answers=lines(*answers))

    assert done.returncode == 0, done.stderr
    assert tomllib.loads(path.read_text())["account"]["gmx"]["tls"] == written


def test_a_usual_port_is_not_asked_about_but_told(tmp_path: Path) -> None:
    """What was assumed is on the screen."""
    done = popsync("init", "-c", tmp_path / "popsync.toml", answers=lines(*ANSWERS, NO_CHECK))

    assert 'Port 995, so TLS is on from the start: tls = "implicit"' in done.stderr


def test_a_place_that_cannot_be_written_is_named() -> None:
    """The line says what was attempted, not only which call failed."""
    done = popsync("init", "-c", "/proc/nowhere/x.toml", answers=lines(*ANSWERS))

    assert done.returncode == 74
    said = "popsync: /proc/nowhere/x.toml cannot be written: No such file or directory\n"
    assert done.stderr.endswith(said)
