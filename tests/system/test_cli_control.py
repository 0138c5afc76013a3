"""Commands that tell a running ``popsync run`` what to do."""

import json
from pathlib import Path

import pytest

from tests.system.commands import MAILDIR, account, delivered, popsync, serving, write_config
from tests.system.daemon import Daemon, running

SELDOM = 'poll_every = "1d"'
MESSAGE = b"Subject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\nbody\r\n"


def rewrite(config: Path, text: str) -> None:
    """Replace the configuration in one step, as editors do."""
    write_config(config.with_suffix(".fresh"), text).replace(config)


def test_poll_waits_and_says_what_came_of_it(tmp_path: Path) -> None:
    """In words and as JSON; a failed account gives the exit code of ``once``."""
    with serving(tmp_path, "jane", "bob") as served:
        wrong = account("bob", served.pop3_port, SELDOM).replace('word = "bob"', 'word = "x"')
        text = MAILDIR + account("jane", served.pop3_port, SELDOM) + wrong
        config = write_config(tmp_path / "popsync.toml", text)
        with running(config):
            popsync("-c", config, "poll")
            served.send("jane", MESSAGE % (1, 1))
            new = popsync("-c", config, "poll", "ja*")
            nothing = popsync("-c", config, "poll", "jane")
            refused = popsync("-c", config, "poll", "--json")
            stranger = popsync("-c", config, "poll", "jamie")

    assert (new.returncode, new.stdout[:26]) == (0, "jane: 1 message delivered ")
    assert (nothing.returncode, nothing.stdout) == (0, "1 account polled, nothing new\n")
    document = json.loads(refused.stdout)
    assert {a["account"]: a["error"] and a["error"]["kind"] for a in document["accounts"]} == {
        "jane": None,
        "bob": "AuthRejected",
    }
    assert (refused.returncode, document["exit_code"]) == (77, 77)
    assert stranger.returncode == 64
    assert "No account 'jamie', did you mean 'jane'?" in stranger.stderr
    assert len(delivered(tmp_path)) == 1


def test_a_paused_account_is_polled_only_when_asked(tmp_path: Path) -> None:
    """Its interval brings no poll, the operator does; resumed, it is polled at once."""
    with serving(tmp_path, "jane") as served:
        text = MAILDIR + account("jane", served.pop3_port, SELDOM)
        config = write_config(tmp_path / "popsync.toml", text)
        with running(config) as daemon:
            popsync("-c", config, "poll")
            paused = popsync("-c", config, "pause", "jane")
            served.send("jane", MESSAGE % (1, 1))
            asked = popsync("-c", config, "poll", "jane")
            served.send("jane", MESSAGE % (2, 2))
            resumed = popsync("-c", config, "resume")
            daemon.wait_for("<2@example.org>")

    assert (paused.returncode, paused.stdout) == (0, "paused: jane\n")
    assert asked.stdout.startswith("jane: 1 message delivered")
    assert (resumed.returncode, resumed.stdout) == (0, "resumed: every account\n")


def test_reload_says_what_changed_or_every_mistake(tmp_path: Path) -> None:
    """By name; a broken file is refused with its lines, and its daemon is found all the same."""
    state = 'state_dir = "own state"\n'
    with serving(tmp_path, "jane", "bob") as served:
        jane = state + MAILDIR + account("jane", served.pop3_port, SELDOM)
        config = write_config(tmp_path / "popsync.toml", jane)
        with running(config):
            same = popsync("-c", config, "reload")
            with (tmp_path / "popsync.toml").open("a") as file:
                file.write('[account.jane]\nhost = "twice"\npol_every = "x\n')
            broken = popsync("-c", config, "reload")
            rewrite(config, jane.replace(SELDOM, "poll_evry = 1"))
            wrong = popsync("-c", config, "reload")

    assert (same.returncode, same.stdout) == (0, "nothing changed\n")
    assert broken.returncode == 78
    assert f"{config}:" in broken.stderr
    assert wrong.returncode == 78
    assert "unknown key" in wrong.stderr
    assert (wrong.stdout, "Traceback" in wrong.stderr) == ("", False)


@pytest.mark.parametrize("command", ["poll", "pause", "resume", "reload"])
def test_without_a_daemon_they_say_what_to_do(tmp_path: Path, command: str) -> None:
    """One line and 69, also where a killed daemon left its socket."""
    config = write_config(tmp_path / "popsync.toml", MAILDIR + account("jane", 1))

    done = popsync("-c", config, command, env={"STATE_DIRECTORY": str(tmp_path / "state")})

    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr == (
        f"popsync: no popsync runs with {tmp_path / 'state'}; start it with 'popsync run', "
        "or poll once with 'popsync once'\n"
    )


def test_the_socket_goes_with_its_daemon(tmp_path: Path) -> None:
    """An orderly end leaves none behind, and the next start replaces what a crash left."""
    text = 'state_dir = "state"\n' + MAILDIR + account("jane", 1, SELDOM)
    config = write_config(tmp_path / "popsync.toml", text)
    socket = tmp_path / "state" / "control.sock"
    with running(config) as daemon:
        assert socket.is_socket()
        _stop(daemon)
    assert not socket.exists()


def _stop(daemon: Daemon) -> None:
    assert daemon.stop() == 0
