"""``[account.NAME]`` and ``[defaults]``: a remote POP3 login, and what happens to its mail."""

from pathlib import Path
from typing import Any, Literal

from popsync.config.cron import CronTimes
from popsync.config.fields import (
    ADDRESSES,
    DURATION,
    FINGERPRINT,
    FLAG,
    HOST,
    INTERVAL,
    PATH,
    PORT,
    REVERSE_PATH,
    SCHEDULE,
    SECRET,
    SIZE,
    TEXTS,
    USER,
    choice,
    number,
)
from popsync.config.secrets import Secret
from popsync.config.table import Table, TlsMode, key
from popsync.model import AccountId

Mode = Literal["keep", "delete"]
AuthMethod = Literal["auto", "plain", "user"]
FirstRun = Literal["all", "adopt"]
Pipelining = Literal["auto", "on", "off"]

_PORTS = {"implicit": 995, "starttls": 110, "none": 110}


def _port(values: dict[str, Any]) -> int:
    return _PORTS[values.get("tls", "implicit")]


class AccountConfig(Table):
    """A remote POP3 login, and what happens to its mail."""

    host: str = key(
        HOST, description="Name or address of the POP3 server.", examples=["pop.gmx.net"]
    )
    tls: TlsMode = key(
        choice(TlsMode),
        default="implicit",
        description="TLS from the first octet, after STLS, or none. "
        "None is possible to this machine only, unless allow_plaintext is true.",
        examples=["starttls"],
    )
    port: int = key(
        PORT,
        default_factory=_port,
        description="Port of the POP3 server; 995 with implicit TLS, else 110.",
        examples=[995],
    )
    allow_plaintext: bool = key(
        FLAG,
        default=False,
        description="Let password and mail cross the network unencrypted, with tls none.",
        examples=[True],
    )
    ca_file: Path | None = key(
        PATH,
        default=None,
        description="PEM file with the only certificate authorities to trust; "
        "without it, those of the system.",
        examples=["shop-ca.pem"],
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
        description="User name of the login, often the whole address.",
        examples=["jane@gmx.net"],
    )
    password: Secret = key(
        SECRET,
        description="The password, or where it is kept: a command's output, a file, an "
        "environment variable or a credential of the service manager.",
        examples=[{"command": ["pass", "show", "mail/gmx"]}],
    )
    auth: AuthMethod = key(
        choice(AuthMethod),
        default="auto",
        description="How to log in: plain is AUTH PLAIN, user is USER and PASS; auto "
        "takes what the server offers.",
        examples=["plain"],
    )
    mode: Mode = key(
        choice(Mode),
        description="What happens in the maildrop after delivery: keep leaves messages there, "
        "delete removes them. Must be stated, in the account or in [defaults].",
        examples=["keep"],
    )
    delete_after_s: int = key(
        DURATION,
        default=0,
        alias="delete_after",
        description="Delete mode: how long a delivered message stays in the maildrop; "
        "without it, it is deleted in the same session.",
        examples=["14d"],
        written_default="0s",
    )
    deliver_to: tuple[str, ...] = key(
        TEXTS,
        default=(),
        description="Destinations that each message goes to. May be left out when there is only "
        "one, or when deliver_to stands at the top of the file.",
        examples=[["inbox"]],
    )
    recipients: tuple[str, ...] = key(
        ADDRESSES,
        default=(),
        description="Envelope recipients for SMTP and LMTP destinations; without them, those of "
        "the destination. They are never guessed from a message's header.",
        examples=[["jane@example.org"]],
    )
    poll_every_s: int = key(
        INTERVAL,
        default=300,
        alias="poll_every",
        description="Time from one poll to the next, unless there is a schedule.",
        examples=["5m"],
        written_default="5m",
    )
    schedule: CronTimes | None = key(
        SCHEDULE,
        default=None,
        description="When to poll, in place of poll_every: minute, hour, day of the month, month "
        "and weekday as in a crontab, in local time. 0 and 7 are Sunday; days and months have "
        "English names, too. What an account says beats what [defaults] says, whichever of the "
        "two it is.",
        examples=["*/5 8-18 * * mon-fri"],
    )
    max_octets: int = key(
        SIZE,
        default=50 * 1024**2,
        alias="max_size",
        description="Larger messages stay on the server and are reported.",
        examples=["50MB"],
        written_default="50MB",
    )
    fetch_limit: int = key(
        number(0, 1_000_000_000),
        default=0,
        description="Most messages to retrieve in one poll; 0 is no limit.",
        examples=[500],
    )
    first_run: FirstRun = key(
        choice(FirstRun),
        default="all",
        description="What the first poll does with messages that are already there: all delivers "
        "them, adopt marks them as seen.",
        examples=["adopt"],
    )
    pipelining: Pipelining = key(
        choice(Pipelining),
        default="auto",
        description="Whether to send several commands at once; auto does when the server says "
        "that it can.",
        examples=["off"],
    )
    reverse_path: str = key(
        REVERSE_PATH,
        default="auto",
        description="Envelope sender for SMTP and LMTP: auto takes it from the message's first "
        'Return-Path, "<>" is the null sender, else an address.',
        examples=["<>"],
    )
    trace: bool = key(
        FLAG,
        default=True,
        description="Put a Received header in front of each message, and one by which a message "
        "that comes back in a loop is known.",
        examples=[False],
    )
    enabled: bool = key(FLAG, default=True, description="Poll this account.", examples=[False])

    @property
    def account_id(self) -> AccountId:
        """What the ledger knows the account by."""
        return AccountId(f"{self.user}@{self.host.lower()}")
