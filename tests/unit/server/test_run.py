"""Both halves together."""

import poplib
import smtplib
from asyncio import to_thread
from dataclasses import replace
from pathlib import Path

import pytest

from popsync.errors import ConfigError
from popsync.server import MailboxSettings, ServerSettings
from popsync.server.run import ServerUnusable, running_server
from popsync.server.settings import HostPort
from tests.doubles.bundled_server import trusting
from tests.doubles.line_client import line_client
from tests.servers.certificates import issue_certificate

FREE = HostPort("127.0.0.1", 0)


def settings(directory: Path, **tls: Path) -> ServerSettings:
    """Give settings with one mailbox and free ports."""
    return ServerSettings(
        hostname="mail.example",
        mailstore=directory / "mailstore",
        mailboxes={"jane": MailboxSettings("pw", ("jane@example.org",))},
        smtp_listen=FREE,
        pop3_listen=FREE,
        tls_cert=tls.get("tls_cert"),
        tls_key=tls.get("tls_key"),
    )


def send(endpoint: HostPort) -> None:
    """Send a message to jane."""
    with smtplib.SMTP(*endpoint) as client:
        client.sendmail("a@example.com", "jane@example.org", b"Subject: x\r\n\r\nhello\r\n")


def count(endpoint: HostPort) -> int:
    """Count jane's messages."""
    client = poplib.POP3(*endpoint)
    client.user("jane")
    client.pass_("pw")
    messages, _ = client.stat()
    client.quit()
    return messages


async def test_what_comes_in_goes_out_also_after_a_restart(tmp_path: Path) -> None:
    """Mail and unique-ids are on disk."""
    async with running_server(settings(tmp_path)) as endpoints:
        await to_thread(send, endpoints.smtp)
        assert await to_thread(count, endpoints.pop3) == 1
    async with running_server(settings(tmp_path)) as endpoints:
        assert await to_thread(count, endpoints.pop3) == 1


async def test_a_connection_too_many_is_refused_in_the_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Temporary, so that a client comes again; the ones inside are served."""
    monkeypatch.setattr("popsync.server.gate.Gate.enter", lambda *_: None)
    async with running_server(settings(tmp_path)) as endpoints:
        async with line_client(endpoints.smtp, b"421 4.3.2 ") as client:
            assert await client.rest() == b""
        async with line_client(endpoints.pop3, b"-ERR [SYS/TEMP] ") as client:
            assert await client.rest() == b""


async def test_a_second_server_on_the_same_mailstore_does_not_start(tmp_path: Path) -> None:
    """It would clear away what the first is writing."""
    async with running_server(settings(tmp_path)):
        with pytest.raises(
            ServerUnusable, match=f"another popsync serves the mailstore {tmp_path}"
        ):
            async with running_server(settings(tmp_path)):
                pass


async def test_an_address_in_use_is_named(tmp_path: Path) -> None:
    """In the form that the configuration has it in."""
    async with running_server(settings(tmp_path / "a")) as endpoints:
        taken = replace(settings(tmp_path / "b"), smtp_listen=endpoints.smtp)
        port = endpoints.smtp.port
        with pytest.raises(
            ServerUnusable, match=f"^cannot listen on 127.0.0.1:{port}: Address already in use$"
        ):
            async with running_server(taken):
                pass


async def test_a_mailstore_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """With the system's reason."""
    (tmp_path / "file").touch()
    with pytest.raises(
        ServerUnusable, match=r"the mailstore .*/file/mailstore cannot be used: Not a dir"
    ):
        async with running_server(settings(tmp_path / "file")):
            pass


async def test_a_certificate_secures_both_halves(tmp_path: Path) -> None:
    """STARTTLS and STLS with the same one."""
    certificate = issue_certificate(tmp_path)
    certificate.key_file.chmod(0o600)
    context = trusting(certificate.ca_file)

    def secure(smtp: HostPort, pop3: HostPort) -> None:
        with smtplib.SMTP("localhost", smtp.port) as client:
            client.starttls(context=context)
            client.login("jane", "pw")
        maildrop = poplib.POP3("localhost", pop3.port)
        maildrop.stls(context)
        maildrop.quit()

    tls = {"tls_cert": certificate.chain_file, "tls_key": certificate.key_file}
    async with running_server(settings(tmp_path, **tls)) as endpoints:
        await to_thread(secure, *endpoints)


@pytest.mark.parametrize("fault", ["open to every user", "cannot be used", "No such file"])
async def test_a_key_that_will_not_do_is_a_config_error(tmp_path: Path, fault: str) -> None:
    """A key that others can read is none."""
    certificate = issue_certificate(tmp_path)
    key = certificate.key_file
    key.chmod(0o604 if fault == "open to every user" else 0o600)
    if fault == "cannot be used":
        key.write_text("no key")
    if fault == "No such file":
        key.unlink()
    with pytest.raises(ConfigError, match=fault):
        async with running_server(
            settings(tmp_path, tls_cert=certificate.chain_file, tls_key=key)
        ):
            pass
