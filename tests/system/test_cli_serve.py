"""``popsync serve`` as a process."""

import poplib
import signal
from pathlib import Path

from tests.system.commands import popsync, serving, write_config


def test_mail_that_goes_in_by_smtp_comes_out_by_pop3(tmp_path: Path) -> None:
    """The server says where it listens; SIGTERM ends it with success."""
    with serving(tmp_path, "jane") as served:
        served.send("jane", b"Subject: hi\r\n\r\nbody\r\n")
        client = poplib.POP3("127.0.0.1", served.pop3_port, timeout=20)
        client.user("jane")
        client.pass_("jane")
        _, lines, _ = client.retr(1)
        client.quit()

        served.process.send_signal(signal.SIGTERM)
        code = served.process.wait(20)

    assert lines[-3:] == [b"Subject: hi", b"", b"body"]
    assert code == 0


def test_without_a_mailbox_it_shows_what_to_write(tmp_path: Path) -> None:
    """A configuration without one is refused with a sample to paste."""
    config = write_config(tmp_path / "popsync.toml", 'state_dir = "state"\n')

    done = popsync("-c", config, "serve")

    assert done.returncode == 78
    assert "[server.mailbox.jane]" in done.stderr
    assert done.stdout == ""


def test_a_taken_port_is_told_without_traceback(tmp_path: Path) -> None:
    """Two servers cannot share a port; the second says so."""
    with serving(tmp_path, "jane") as served:
        config = write_config(
            tmp_path / "second.toml",
            f'state_dir = "s2"\n[server]\nsmtp_listen = "127.0.0.1:{served.smtp_port}"\n'
            '[server.mailbox.x]\npassword = "x"\n',
        )
        done = popsync("-c", config, "serve")

    assert done.returncode == 74
    assert "Traceback" not in done.stderr
    assert str(served.smtp_port) in done.stderr
