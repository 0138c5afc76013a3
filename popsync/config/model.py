"""The whole configuration; the reference and the JSON Schema come from these classes.

What the program reads is ``Config``: every default applied, every path absolute, every account
with its destinations. ``ConfigFile`` is the same as the user writes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from popsync.config.account import AccountConfig
from popsync.config.checks import ListenAddress
from popsync.config.destination import (
    DESTINATION_TYPES,
    DestinationConfig,
    LmtpDestination,
    MaildirDestination,
    SmtpDestination,
)
from popsync.config.fields import (
    AddressList,
    GlobList,
    Host,
    Listen,
    OptionalListen,
    OptionalPath,
    SecretField,
    Size,
    TextList,
)
from popsync.config.table import Table

__all__ = [
    "DESTINATION_TYPES",
    "AccountConfig",
    "Config",
    "ConfigFile",
    "DestinationConfig",
    "LimitsConfig",
    "LmtpDestination",
    "LogConfig",
    "MailboxConfig",
    "MaildirDestination",
    "MetricsConfig",
    "ServerConfig",
    "SmtpDestination",
]

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "plain"]


class MailboxConfig(Table):
    """A mailbox of the bundled server; its name is the POP3 user."""

    password: SecretField = Field(
        description="The password for POP3, as in an account.",
        examples=[{"file": "jane.password"}],
    )
    addresses: AddressList = Field(
        default=(),
        description="Addresses whose mail the mailbox takes.",
        examples=[["jane@example.org"]],
    )


class ServerConfig(Table):
    """The bundled SMTP and POP3 server, which popsync serve runs."""

    hostname: Host = Field(
        default="localhost",
        description="Name that the server greets with.",
        examples=["mail.example.org"],
    )
    smtp_listen: Listen = Field(
        default=ListenAddress("127.0.0.1", 2525),
        description="Address and port for SMTP.",
        examples=["127.0.0.1:2525"],
        json_schema_extra={"default": "127.0.0.1:2525"},
    )
    pop3_listen: Listen = Field(
        default=ListenAddress("127.0.0.1", 2110),
        description="Address and port for POP3.",
        examples=["127.0.0.1:2110"],
        json_schema_extra={"default": "127.0.0.1:2110"},
    )
    tls_cert: OptionalPath = Field(
        default=None,
        description="PEM file with the server's certificate chain; needed to listen beyond this "
        "machine.",
        examples=["server.pem"],
    )
    tls_key: OptionalPath = Field(
        default=None, description="PEM file with the key of tls_cert.", examples=["server.key"]
    )
    mailstore: OptionalPath = Field(
        default=None,
        description="Directory with the mailboxes; without it, mailstore in state_dir.",
        examples=["/var/lib/popsync/mailstore"],
    )
    mailbox: dict[str, MailboxConfig] = Field(
        default_factory=dict, description="The mailboxes, by name."
    )


class LimitsConfig(Table):
    """What popsync takes of the machine and of the servers."""

    connections: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=200, description="Most POP3 connections at a time.", examples=[200]
    )
    connections_per_host: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=50,
        description="Most POP3 connections to one host at a time; fewer when it refuses more.",
        examples=[4],
    )
    spool_octets: Size = Field(
        default=1024**3,
        alias="spool_size",
        description="Most that is kept in state_dir of messages that were retrieved and that a "
        "destination does not take yet; more of them stays on the server.",
        examples=["200MB"],
        json_schema_extra={"default": "1GB"},
    )


class LogConfig(Table):
    """What is logged, and how."""

    level: LogLevel = Field(
        default="info", description="The least that is logged.", examples=["debug"]
    )
    format: LogFormat = Field(
        default="auto",
        description="JSON or plain lines; auto is plain on a terminal, else what fits.",
        examples=["json"],
    )


class MetricsConfig(Table):
    """Figures for Prometheus, over HTTP, from popsync run."""

    listen: OptionalListen = Field(
        default=None,
        description="Address and port that they can be fetched from, at /metrics; without it "
        "there are none.",
        examples=["127.0.0.1:9125"],
    )
    allow_remote: bool = Field(
        default=False,
        description="Let other machines fetch them: they name accounts, and nobody has to log in.",
        examples=[True],
    )


class ConfigFile(Table):
    """The file as the user writes it."""

    include: GlobList = Field(
        default=(),
        description="Further files, as globs, with more accounts and destinations.",
        examples=[["accounts.d/*.toml"]],
    )
    state_dir: OptionalPath = Field(
        default=None,
        description="Directory of the ledger; without it $STATE_DIRECTORY, else "
        "$XDG_STATE_HOME/popsync.",
        examples=["/var/lib/popsync"],
    )
    deliver_to: TextList = Field(
        default=(), description="Destinations of accounts that name none.", examples=[["inbox"]]
    )
    allow_group: bool = Field(
        default=False,
        description="Let the file's group read it although it holds a password.",
        examples=[True],
    )
    account: dict[str, AccountConfig] = Field(
        default_factory=dict, description="The accounts, by name."
    )
    destination: dict[str, Annotated[DestinationConfig, Field(discriminator="type")]] = Field(
        default_factory=dict, description="The destinations, by name."
    )
    server: ServerConfig = Field(default_factory=ServerConfig, description="The bundled server.")
    limits: LimitsConfig = Field(default_factory=LimitsConfig, description="Limits.")
    log: LogConfig = Field(default_factory=LogConfig, description="The log.")
    metrics: MetricsConfig = Field(
        default_factory=MetricsConfig, description="Figures for Prometheus."
    )


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration in its final values."""

    path: Path
    """The main file, absolute."""
    state_dir: Path
    accounts: Mapping[str, AccountConfig]
    """By name, in file order, disabled ones too; each with at least one name in deliver_to."""
    destinations: Mapping[str, DestinationConfig]
    server: ServerConfig
    """Its mailstore is set."""
    limits: LimitsConfig
    log: LogConfig
    metrics: MetricsConfig
    allow_group: bool
    """The group may read files with passwords."""
    files: tuple[Path, ...]
    """Every file that was read, the main one first."""
    include: tuple[str, ...]
    """The globs that further files may appear under, absolute."""

    def recipients(self, account: AccountConfig, destination: str) -> tuple[str, ...]:
        """Give who is served at ``destination``: ``("",)`` for a Maildir, which knows nobody."""
        target = self.destinations[destination]
        if isinstance(target, MaildirDestination):
            return ("",)
        return account.recipients or target.recipients
