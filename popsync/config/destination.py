"""``[destination.NAME]``: a Maildir, an SMTP or an LMTP server."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from popsync.config.fields import (
    AddressList,
    FilePath,
    Fingerprint,
    Host,
    OptionalPath,
    OptionalSecret,
    Port,
    User,
)
from popsync.config.table import Table, TlsMode

_PORTS = {"implicit": 465, "starttls": 587, "none": 25}


def _port(values: dict[str, Any]) -> int:
    return _PORTS[values.get("tls", "none")]


class MaildirDestination(Table):
    """A Maildir; it is made when it does not exist."""

    type: Literal["maildir"] = Field(description="A Maildir.", examples=["maildir"])
    path: FilePath = Field(description="Directory of the Maildir.", examples=["~/Mail"])


class SmtpDestination(Table):
    """An SMTP server that takes the mail on."""

    type: Literal["smtp"] = Field(description="An SMTP server.", examples=["smtp"])
    host: Host = Field(description="Name or address of the SMTP server.", examples=["localhost"])
    tls: TlsMode = Field(
        default="none",
        description="TLS from the first octet, after STARTTLS, or none.",
        examples=["starttls"],
    )
    port: Port = Field(
        default_factory=_port,
        description="Port of the SMTP server; 25 without TLS, 587 with starttls, "
        "465 with implicit TLS.",
        examples=[587],
    )
    ca_file: OptionalPath = Field(
        default=None,
        description="PEM file with the only certificate authorities to trust; "
        "without it, those of the system.",
        examples=["mail-ca.pem"],
    )
    fingerprint: Fingerprint = Field(
        default="",
        description="SHA-256 fingerprint of the server's certificate, colons allowed. "
        "It replaces the check of authority and name.",
        examples=["c0ffee" + 58 * "0"],
    )
    user: User = Field(
        default="", description="User name, when the server asks for a login.", examples=["jane"]
    )
    password: OptionalSecret = Field(
        default=None,
        description="The password for user, as in an account.",
        examples=[{"file": "smtp.password"}],
    )
    recipients: AddressList = Field(
        default=(),
        description="Envelope recipients of accounts that name none.",
        examples=[["jane@example.org"]],
    )
    require_8bitmime: bool = Field(
        default=False,
        description="Hold messages that are not ASCII only when the server does not offer "
        "8BITMIME, instead of sending their octets as they are.",
        examples=[True],
    )
    connections: Annotated[int, Field(ge=1, le=100)] = Field(
        default=4,
        description="Most connections at a time. With one, messages go in their order. After a "
        "crash, one message on each may arrive twice.",
        examples=[1],
    )


class LmtpDestination(Table):
    """An LMTP server, such as Dovecot's, by Unix socket or by host and port."""

    type: Literal["lmtp"] = Field(description="An LMTP server.", examples=["lmtp"])
    socket: OptionalPath = Field(
        default=None,
        description="Unix socket of the LMTP server, instead of host.",
        examples=["/run/dovecot/lmtp"],
    )
    host: Host = Field(
        default="",
        description="Name or address of the LMTP server, instead of socket.",
        examples=["localhost"],
    )
    port: Port = Field(
        default=24, description="Port of the LMTP server, with host.", examples=[24]
    )
    recipients: AddressList = Field(
        default=(),
        description="Envelope recipients of accounts that name none.",
        examples=[["jane"]],
    )
    connections: Annotated[int, Field(ge=1, le=100)] = Field(
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
