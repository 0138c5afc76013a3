"""What the bundled server is told: plain values, checked before anything listens."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from popsync.errors import ConfigError, escape


class HostPort(NamedTuple):
    """Where to listen, or where somebody listens; port 0 asks for any free one."""

    host: str
    port: int


DEFAULT_SMTP_LISTEN = HostPort("127.0.0.1", 2525)
DEFAULT_POP3_LISTEN = HostPort("127.0.0.1", 2110)


@dataclass(frozen=True, slots=True)
class MailboxSettings:
    """One mailbox: who may read it, and which recipients' mail comes into it."""

    password: str = field(repr=False)
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Everything the bundled server needs to know.

    A listener outside loopback needs ``tls_cert`` and ``tls_key``, and then insists on TLS and a
    login (P7). A mailbox's name is its directory below ``mailstore`` and its login.
    """

    hostname: str
    mailstore: Path
    mailboxes: Mapping[str, MailboxSettings]
    smtp_listen: HostPort = DEFAULT_SMTP_LISTEN
    pop3_listen: HostPort = DEFAULT_POP3_LISTEN
    tls_cert: Path | None = None
    tls_key: Path | None = None


# A name becomes one path component; a leading dot would hide it or lead out.
_MAILBOX_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+=-]{0,127}")


def check_settings(settings: ServerSettings) -> None:
    """Return if the server may run with ``settings``. Raises ConfigError with every problem."""
    problems = list(_find_problems(settings))
    if problems:
        raise ConfigError(*problems)


def is_loopback(host: str) -> bool:
    """Whether ``host`` can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _find_problems(settings: ServerSettings) -> Iterator[str]:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        yield "server: tls_cert and tls_key go together"
    for key, listen in (
        ("smtp_listen", settings.smtp_listen),
        ("pop3_listen", settings.pop3_listen),
    ):
        if settings.tls_cert is None and not is_loopback(listen.host):
            yield f"server.{key}: {escape(listen.host)} is not loopback, so it needs tls_cert"
    yield from _find_mailbox_problems(settings.mailboxes)


def _find_mailbox_problems(mailboxes: Mapping[str, MailboxSettings]) -> Iterator[str]:
    owners: dict[str, str] = {}
    for name, mailbox in mailboxes.items():
        if not _MAILBOX_NAME.fullmatch(name):
            yield (
                f"server.mailbox.{escape(name)}: a mailbox is named with letters, digits and "
                "_.@+=-, and begins with none of the signs but _"
            )
        if not mailbox.password:
            yield f"server.mailbox.{escape(name)}: the password is empty"
        for address in mailbox.addresses:
            owner = owners.setdefault(address.lower(), name)
            if owner != name:
                yield f"server.mailbox.{escape(name)}: {escape(address)} belongs to {owner} too"
