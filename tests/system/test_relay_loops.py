"""A relay that brings its mail back into the maildrop that it comes from."""

import poplib
from pathlib import Path

from tests.system.commands import Served, popsync, serving, write_config


def _accounts(root: Path, served: Served, *lines: str) -> Path:
    """Write a configuration that polls jane's mailbox into the server that it belongs to."""
    text = f"""
state_dir = "state"
[destination.mta]
type = "smtp"
host = "127.0.0.1"
port = {served.smtp_port}
tls = "none"
[account.jane]
host = "127.0.0.1"
port = {served.pop3_port}
tls = "none"
user = "jane"
password = "jane"
mode = "delete"
recipients = ["jane@example.org"]
"""
    return write_config(root / "popsync.toml", text + "\n".join(lines) + "\n")


def _messages(served: Served) -> list[bytes]:
    client = poplib.POP3("127.0.0.1", served.pop3_port, timeout=20)
    client.user("jane")
    client.pass_("jane")
    count, _ = client.stat()
    messages = [b"\r\n".join(client.retr(n)[1]) for n in range(1, count + 1)]
    client.quit()
    return messages


def test_a_message_goes_round_once_and_is_held(tmp_path: Path) -> None:
    """The second round meets the account's own mark; it stays where it is, and is shown."""
    with serving(tmp_path, "jane") as served:
        served.send("jane", b"Subject: hi\r\n\r\nbody\r\n")
        config = _accounts(tmp_path, served)
        codes = [popsync("-c", config, "once").returncode for _ in range(3)]
        held = popsync("-c", config, "held", "list")
        messages = _messages(served)

    assert codes[0] == 0
    assert held.stdout.count("loop") == 1
    assert len(messages) == 1
    assert messages[0].count(b"(popsync)") == 1


def test_a_configured_reverse_path_takes_the_place_of_the_messages_own(tmp_path: Path) -> None:
    """With the null one no bounce of the relay can reach a sender who knows nothing of it."""
    with serving(tmp_path, "jane") as served:
        served.send("jane", b"Subject: hi\r\n\r\nbody\r\n")
        (before,) = _messages(served)
        config = _accounts(tmp_path, served, 'reverse_path = "<>"')
        popsync("-c", config, "once")
        (after,) = _messages(served)

    assert before.startswith(b"Return-Path: <sender@example.org>\r\n")
    assert after.startswith(b"Return-Path: <>\r\n")
