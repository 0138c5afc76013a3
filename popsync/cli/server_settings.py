"""From the table ``[server]`` to what the bundled server is told."""

import asyncio

from popsync.config.model import Config
from popsync.config.secrets import read_secret
from popsync.server.settings import HostPort, MailboxSettings, ServerSettings


async def build_server_settings(config: Config) -> ServerSettings:
    """Give the bundled server's settings, passwords read from where they are kept.

    Raises SecretUnavailable.
    """
    server = config.server
    passwords = await asyncio.gather(
        *(
            read_secret(mailbox.password, allow_group=config.allow_group)
            for mailbox in server.mailbox.values()
        )
    )
    return ServerSettings(
        hostname=server.hostname,
        mailstore=server.mailstore or config.state_dir / "mailstore",
        mailboxes={
            name: MailboxSettings(password, mailbox.addresses)
            for (name, mailbox), password in zip(server.mailbox.items(), passwords, strict=True)
        },
        smtp_listen=HostPort(*server.smtp_listen),
        pop3_listen=HostPort(*server.pop3_listen),
        tls_cert=server.tls_cert,
        tls_key=server.tls_key,
    )
