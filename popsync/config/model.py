"""The whole configuration; the reference and the JSON Schema come from these classes.

What the program reads is ``Config``: every default applied, every path absolute, every account
with its destinations. ``ConfigFile`` is the same as the user writes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
    ADDRESSES,
    FLAG,
    GLOBS,
    HOST,
    LISTEN,
    PATH,
    SECRET,
    SIZE,
    TEXTS,
    choice,
    named_tables,
    number,
    table,
)
from popsync.config.secrets import Secret
from popsync.config.table import Table, key

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

    password: Secret = key(
        SECRET,
        description="The password for POP3, as in an account.",
        examples=[{"file": "jane.password"}],
    )
    addresses: tuple[str, ...] = key(
        ADDRESSES,
        default=(),
        description="Addresses whose mail the mailbox takes.",
        examples=[["jane@example.org"]],
    )


class ServerConfig(Table):
    """The bundled SMTP and POP3 server, which popsync serve runs."""

    hostname: str = key(
        HOST,
        default="localhost",
        description="Name that the server greets with.",
        examples=["mail.example.org"],
    )
    smtp_listen: ListenAddress = key(
        LISTEN,
        default=ListenAddress("127.0.0.1", 2525),
        description="Address and port for SMTP.",
        examples=["127.0.0.1:2525"],
        written_default="127.0.0.1:2525",
    )
    pop3_listen: ListenAddress = key(
        LISTEN,
        default=ListenAddress("127.0.0.1", 2110),
        description="Address and port for POP3.",
        examples=["127.0.0.1:2110"],
        written_default="127.0.0.1:2110",
    )
    tls_cert: Path | None = key(
        PATH,
        default=None,
        description="PEM file with the server's certificate chain; needed to listen beyond this "
        "machine.",
        examples=["server.pem"],
    )
    tls_key: Path | None = key(
        PATH,
        default=None,
        description="PEM file with the key of tls_cert.",
        examples=["server.key"],
    )
    mailstore: Path | None = key(
        PATH,
        default=None,
        description="Directory with the mailboxes; without it, mailstore in state_dir.",
        examples=["/var/lib/popsync/mailstore"],
    )
    mailbox: Mapping[str, MailboxConfig] = key(
        named_tables("MailboxConfig"), default={}, description="The mailboxes, by name."
    )


class LimitsConfig(Table):
    """What popsync takes of the machine and of the servers."""

    connections: int = key(
        number(1, 100_000),
        default=200,
        description="Most POP3 connections at a time.",
        examples=[200],
    )
    connections_per_host: int = key(
        number(1, 100_000),
        default=50,
        description="Most POP3 connections to one host at a time; fewer when it refuses more.",
        examples=[4],
    )
    spool_octets: int = key(
        SIZE,
        default=1024**3,
        alias="spool_size",
        description="Most that is kept in state_dir of messages that were retrieved and that a "
        "destination does not take yet; more of them stays on the server.",
        examples=["200MB"],
        written_default="1GB",
    )


class LogConfig(Table):
    """What is logged, and how."""

    level: LogLevel = key(
        choice(LogLevel),
        default="info",
        description="The least that is logged.",
        examples=["debug"],
    )
    format: LogFormat = key(
        choice(LogFormat),
        default="auto",
        description="JSON or plain lines; auto is plain on a terminal, else what fits.",
        examples=["json"],
    )


class MetricsConfig(Table):
    """Figures for Prometheus, over HTTP, from popsync run."""

    listen: ListenAddress | None = key(
        LISTEN,
        default=None,
        description="Address and port that they can be fetched from, at /metrics; without it "
        "there are none.",
        examples=["127.0.0.1:9125"],
    )
    allow_remote: bool = key(
        FLAG,
        default=False,
        description="Let other machines fetch them: they name accounts, and nobody has to log in.",
        examples=[True],
    )


class ConfigFile(Table):
    """The file as the user writes it."""  # each of its tables is checked by itself

    include: tuple[str, ...] = key(
        GLOBS,
        default=(),
        description="Further files, as globs, with more accounts and destinations.",
        examples=[["accounts.d/*.toml"]],
    )
    state_dir: Path | None = key(
        PATH,
        default=None,
        description="Directory of the ledger; without it $STATE_DIRECTORY, else "
        "$XDG_STATE_HOME/popsync.",
        examples=["/var/lib/popsync"],
    )
    deliver_to: tuple[str, ...] = key(
        TEXTS,
        default=(),
        description="Destinations of accounts that name none.",
        examples=[["inbox"]],
    )
    allow_group: bool = key(
        FLAG,
        default=False,
        description="Let the file's group read it although it holds a password.",
        examples=[True],
    )
    account: Mapping[str, Any] = key(
        named_tables("AccountConfig"), default={}, description="The accounts, by name."
    )
    destination: Mapping[str, Any] = key(
        named_tables(*(each.__name__ for each in DESTINATION_TYPES.values())),
        default={},
        description="The destinations, by name.",
    )
    server: Any = key(table("ServerConfig"), default=None, description="The bundled server.")
    limits: Any = key(table("LimitsConfig"), default=None, description="Limits.")
    log: Any = key(table("LogConfig"), default=None, description="The log.")
    metrics: Any = key(table("MetricsConfig"), default=None, description="Figures for Prometheus.")


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
