"""What the demonstration plays on: a server on this machine, and a configuration for it."""

import smtplib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from popsync.cli.demo.mail import DemoMessage
from popsync.config.load import load_config
from popsync.config.model import Config
from popsync.server.run import Endpoints
from popsync.server.settings import HostPort, MailboxSettings, ServerSettings

PASSWORD = "demo"  # noqa: S105 - of mailboxes that live for seconds, on loopback
OFFICE = "office"
"""The mailbox of the bundled server that plays the part of an organisation's mail server."""


class Role(NamedTuple):
    """One account of the demonstration, and what happens to its mail."""

    name: str
    mode: str
    destination: str


CAST = (
    Role("alice", "keep", "maildir"),
    Role("bob", "delete", "maildir"),
    Role("carol", "delete", OFFICE),
)

_CONFIG = """\
state_dir = "state"

[destination.maildir]
type = "maildir"
path = "Maildir"

[destination.{office}]
type = "smtp"
host = "{smtp.host}"
port = {smtp.port}
recipients = ["{office}@demo.test"]
"""

_ACCOUNT = """
[account.{role.name}]
host = "{pop3.host}"
port = {pop3.port}
tls = "none"
user = "{role.name}"
password = "{password}"
mode = "{role.mode}"
deliver_to = ["{role.destination}"]
"""


def stage_server(root: Path) -> ServerSettings:
    """Give settings for a bundled server below ``root``, on free ports of loopback."""
    names = [*(role.name for role in CAST), OFFICE]
    return ServerSettings(
        hostname="demo.test",
        mailstore=root / "mailstore",
        mailboxes={name: MailboxSettings(PASSWORD, (f"{name}@demo.test",)) for name in names},
        smtp_listen=HostPort("127.0.0.1", 0),
        pop3_listen=HostPort("127.0.0.1", 0),
    )


def write_config(root: Path, endpoints: Endpoints) -> Config:
    """Write the configuration that a user would, and load it as any other."""
    accounts = [
        _ACCOUNT.format(role=role, pop3=endpoints.pop3, password=PASSWORD) for role in CAST
    ]
    path = root / "popsync.toml"
    path.touch(mode=0o600)
    path.write_text(_CONFIG.format(office=OFFICE, smtp=endpoints.smtp) + "".join(accounts))
    return load_config(path)


def send_mail(smtp: HostPort, mailbox: str, messages: Sequence[DemoMessage]) -> None:
    """Hand messages for ``mailbox`` to the bundled server, as any mail program would. Blocks."""
    with smtplib.SMTP(smtp.host, smtp.port, timeout=30) as client:
        for message in messages:
            client.sendmail("sender@example.org", [f"{mailbox}@demo.test"], message.content)
