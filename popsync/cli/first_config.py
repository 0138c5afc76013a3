"""A first configuration: guesses from an address, and the file from the answers. Pure."""

import json
import re
import shlex
from dataclasses import dataclass
from typing import Literal

from popsync.config.checks import is_loopback

PasswordForm = Literal["command", "file", "literal"]

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


def choose_tls(host: str, port: int | None) -> str:
    """Give the kind of TLS that a port stands for; a server on this machine needs none."""
    if port in {None, 995}:
        return "implicit"
    return "none" if is_loopback(host.strip("[]")) else "starttls"


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
        name=choose_account_name(answers),
        host=_quote(answers.host),
        port="" if answers.port in {None, 995} else f"port = {answers.port}\n",
        tls=_quote(choose_tls(answers.host, answers.port)),
        user=_quote(answers.user),
        password=_format_password(answers),
        mode=_quote(answers.mode),
        maildir=_quote(answers.maildir),
    )


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


_TEMPLATE = """\
# popsync: what is fetched, and where it goes. Every key: man 5 popsync.toml
# Look it over with "popsync check", then fetch with "popsync once".

[destination.inbox]               # the name is yours
type = "maildir"                  # or "smtp", "lmtp": hand it to a mail server
path = {maildir}

[account.{name}]                  # one such table for each mailbox
host = {host}
{port}tls = {tls}                  # "implicit" (port 995), "starttls" (port 110), "none"
user = {user}

# A string, or {{ command = ["pass", "show", "mail"] }}, {{ file = "path" }}, {{ env = "NAME" }}
password = {password}

# "keep" leaves messages on the server, "delete" removes them there after delivery;
# delete_after = "14d" beside "delete" waits that long.
mode = {mode}

# poll_every = "5m"               # for "popsync run"
# max_size = "50MB"               # larger messages stay on the server and are reported
"""
