"""``[destination.NAME]``: a Maildir, an SMTP or an LMTP server."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from popsync.config.fields import (
    ADDRESSES,
    FINGERPRINT,
    FLAG,
    HOST,
    PATH,
    PORT,
    SECRET,
    USER,
    choice,
    number,
)
from popsync.config.secrets import Secret
from popsync.config.table import Table, TlsMode, key

_PORTS = {"implicit": 465, "starttls": 587, "none": 25}


def _port(values: dict[str, Any]) -> int:
    return _PORTS[values.get("tls", "none")]


class MaildirDestination(Table):
    """A Maildir; it is made when it does not exist."""

    type: Literal["maildir"] = key(
        choice(Literal["maildir"]), description="A Maildir.", examples=["maildir"]
    )
    path: Path = key(PATH, description="Directory of the Maildir.", examples=["~/Mail"])


class SmtpDestination(Table):
    """An SMTP server that takes the mail on."""

    type: Literal["smtp"] = key(
        choice(Literal["smtp"]), description="An SMTP server.", examples=["smtp"]
    )
    host: str = key(
        HOST, description="Name or address of the SMTP server.", examples=["localhost"]
    )
    tls: TlsMode = key(
        choice(TlsMode),
        default="none",
        description="TLS from the first octet, after STARTTLS, or none.",
        examples=["starttls"],
    )
    port: int = key(
        PORT,
        default_factory=_port,
        description="Port of the SMTP server; 25 without TLS, 587 with starttls, "
        "465 with implicit TLS.",
        examples=[587],
    )
    ca_file: Path | None = key(
        PATH,
        default=None,
        description="PEM file with the only certificate authorities to trust; "
        "without it, those of the system.",
        examples=["mail-ca.pem"],
    )
    fingerprint: str = key(
        FINGERPRINT,
        default="",
        description="SHA-256 fingerprint of the server's certificate, colons allowed. "
        "It replaces the check of authority and name.",
        examples=["c0ffee" + 58 * "0"],
    )
    user: str = key(
        USER,
        default="",
        description="User name, when the server asks for a login.",
        examples=["jane"],
    )
    password: Secret | None = key(
        SECRET,
        default=None,
        description="The password for user, as in an account.",
        examples=[{"file": "smtp.password"}],
    )
    recipients: tuple[str, ...] = key(
        ADDRESSES,
        default=(),
        description="Envelope recipients of accounts that name none.",
        examples=[["jane@example.org"]],
    )
    require_8bitmime: bool = key(
        FLAG,
        default=False,
        description="Hold messages that are not ASCII only when the server does not offer "
        "8BITMIME, instead of sending their octets as they are.",
        examples=[True],
    )
    connections: int = key(
        number(1, 100),
        default=4,
        description="Most connections at a time. With one, messages go in their order. After a "
        "crash, one message on each may arrive twice.",
        examples=[1],
    )


class LmtpDestination(Table):
    """An LMTP server, such as Dovecot's, by Unix socket or by host and port."""

    type: Literal["lmtp"] = key(
        choice(Literal["lmtp"]), description="An LMTP server.", examples=["lmtp"]
    )
    socket: Path | None = key(
        PATH,
        default=None,
        description="Unix socket of the LMTP server, instead of host.",
        examples=["/run/dovecot/lmtp"],
    )
    host: str = key(
        HOST,
        default="",
        description="Name or address of the LMTP server, instead of socket.",
        examples=["localhost"],
    )
    port: int = key(
        PORT, default=24, description="Port of the LMTP server, with host.", examples=[24]
    )
    recipients: tuple[str, ...] = key(
        ADDRESSES,
        default=(),
        description="Envelope recipients of accounts that name none.",
        examples=[["jane"]],
    )
    connections: int = key(
        number(1, 100),
        default=4,
        description="Most connections at a time. With one, messages go in their order. After a "
        "crash, one message on each may arrive twice.",
        examples=[1],
    )


DestinationConfig = MaildirDestination | SmtpDestination | LmtpDestination

DESTINATION_TYPES: Mapping[str, type[DestinationConfig]] = {
    "maildir": MaildirDestination,
    "smtp": SmtpDestination,
    "lmtp": LmtpDestination,
}
