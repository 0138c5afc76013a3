"""A first configuration: guesses from an address, and the file from the answers. Pure."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from popsync.config.checks import is_loopback
from popsync.config.table import TlsMode

PasswordForm = Literal["command", "file", "literal"]

_USUAL_PORTS = {"implicit": 995, "starttls": 110, "none": 110}
_COMMENT_COLUMN = 34

# Providers whose POP3 server is not pop.DOMAIN.
_SERVERS = {
    "gmail.com": "pop.gmail.com",
    "googlemail.com": "pop.gmail.com",
    "gmx.de": "pop.gmx.net",
    "gmx.at": "pop.gmx.net",
    "gmx.ch": "pop.gmx.net",
    "web.de": "pop3.web.de",
    "t-online.de": "securepop.t-online.de",
    "yahoo.com": "pop.mail.yahoo.com",
    "aol.com": "pop.aol.com",
    "zoho.com": "pop.zoho.com",
    "fastmail.com": "pop.fastmail.com",
}
_NOT_FOR_NAMES = re.compile(r"[^a-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Answers:
    """What the user said."""

    address: str
    host: str
    port: int | None
    """None for the usual one."""
    tls: TlsMode
    user: str
    password_form: PasswordForm
    password: str
    mode: Literal["keep", "delete"]
    maildir: str


def guess_host(address: str) -> str:
    """Give the POP3 server that mail for ``address`` is most likely at; empty without a domain."""
    domain = address.rpartition("@")[2].lower() if "@" in address else ""
    return _SERVERS.get(domain, f"pop.{domain}" if domain else "")


def choose_account_name(answers: Answers) -> str:
    """Give ``gmx`` for jane@gmx.net, ``jane`` for jane alone, in letters that need no quotes."""
    domain = answers.address.rpartition("@")[2]
    return _NOT_FOR_NAMES.sub("-", domain.partition(".")[0].lower()).strip("-") or "mail"


def assume_tls(host: str, port: int | None) -> TlsMode | None:
    """Give the kind of TLS that a port is known for; None when the user must be asked.

    Port 110 of this machine is taken without TLS, since no network is between.
    """
    if port in {None, 995}:
        return "implicit"
    if port != 110:
        return None
    return "none" if is_local(host) else "starttls"


def is_local(host: str) -> bool:
    """Whether the host, an IPv6 address in brackets or not, can only be this machine."""
    return is_loopback(host.removeprefix("[").removesuffix("]"))


def describe_tls(tls: TlsMode, port: int | None) -> str:
    """Say in a line what was assumed."""
    return f"Port {port or _USUAL_PORTS[tls]}, so TLS is {_TLS_IN_WORDS[tls]}: tls = {_quote(tls)}"


def split_host(text: str) -> tuple[str, int | None]:
    """Take ``pop.example.org`` or ``pop.example.org:995`` apart.

    Raises ValueError with the second half of a sentence.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or (":" in host and not bracketed):
        return text, None
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536):
        raise ValueError("has no port from 1 to 65535 behind its colon")
    return host, int(port)


def format_first_config(answers: Answers) -> str:
    """Give the text of a configuration with one account, each line of it explained."""
    return _TEMPLATE.format(
        path=_quote(answers.maildir),
        account="\n".join(_format_account(answers)),
        password=_format_password(answers),
        mode=_quote(answers.mode),
    )


def _format_account(answers: Answers) -> Iterator[str]:
    """Give the lines that say where the mailbox is."""
    name = choose_account_name(answers)
    yield _explained(f"[account.{name}]", "one such table for each mailbox")
    yield f"host = {_quote(answers.host)}"
    if answers.port not in {None, _USUAL_PORTS[answers.tls]}:
        yield f"port = {answers.port}"
    tls = _quote(answers.tls)
    yield _explained(f"tls = {tls}", '"implicit" (port 995), "starttls" (port 110), "none"')
    yield f"user = {_quote(answers.user)}"


def _explained(line: str, comment: str) -> str:
    return f"{line:<{_COMMENT_COLUMN}}# {comment}"


def table_of_secret(form: PasswordForm, text: str) -> str | dict[str, str | list[str]]:
    """Give the value of the key ``password``; a command is split as a shell would.

    Raises ValueError with the second half of a sentence.
    """
    if form == "literal":
        return text
    if form == "file":
        return {"file": text}
    try:
        return {"command": shlex.split(text)}
    except ValueError as error:
        raise ValueError("is not a command: a quote is not closed") from error


def _format_password(answers: Answers) -> str:
    value = table_of_secret(answers.password_form, answers.password)
    if isinstance(value, str):
        return _quote(value)
    ((key, content),) = value.items()
    if isinstance(content, str):
        return f"{{ {key} = {_quote(content)} }}"
    return f"{{ {key} = [{', '.join(map(_quote, content))}] }}"


def _quote(text: str) -> str:
    """Give a TOML basic string; JSON's escapes are all TOML's too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


_TLS_IN_WORDS = {"implicit": "on from the start", "starttls": "begun by STLS", "none": "off"}

_TEMPLATE = """\
# popsync: what is fetched, and where it goes.
# Every key is in docs/configuration.md of the source, and in "man 5 popsync.toml".
# Look it over with "popsync check", then fetch with "popsync once".

[destination.inbox]               # the name is yours
type = "maildir"                  # or "smtp", "lmtp": hand it to a mail server
path = {path}

{account}

# A string, or {{ command = ["pass", "show", "mail"] }}, {{ file = "path" }}, {{ env = "NAME" }}
password = {password}

# "keep" leaves messages on the server, "delete" removes them there after delivery;
# delete_after = "14d" beside "delete" waits that long.
mode = {mode}

# poll_every = "5m"               # for "popsync run"
# max_size = "50MB"               # larger messages stay on the server and are reported
"""
