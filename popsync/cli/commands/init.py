"""``popsync init``: from a few questions to a configuration that works."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from popsync.cli.commands.check import check_config, check_logins
from popsync.cli.configuration import load_checked_config
from popsync.cli.exit_codes import ExitCode
from popsync.cli.first_config import (
    Answers,
    PasswordForm,
    assume_tls,
    describe_tls,
    format_first_config,
    guess_host,
    is_local,
    split_host,
    table_of_secret,
)
from popsync.cli.options import Command, invocation
from popsync.config.checks import check_host, check_text, check_user
from popsync.config.load import load_config
from popsync.config.secret_table import parse_secret
from popsync.config.table import TlsMode

_MODES = """
What happens to messages on the server after they are delivered here?
  keep    they stay there, for other programs to read
  delete  they are removed there, once they are safely here"""

_TLS = """
How is the connection encrypted?
  implicit  from the start, as on port 995
  starttls  after the command STLS, as on port 110"""

_NO_TLS = """\
  none      not at all; the server is on this machine"""

_SOURCES = """
Where does the password come from?
  command  a program prints it, such as a password manager (best)
  file     a file holds it
  literal  it is written into the configuration, which only you can read"""

_SOURCE_QUESTIONS: dict[PasswordForm, str] = {
    "command": "Command, such as pass show mail/gmx",
    "file": "File",
    "literal": "Password",
}


@click.command("init", cls=Command)
def command() -> int:
    """Ask a few questions and write a configuration.

    The file is new, readable by you alone, and goes where -c or $POPSYNC_CONFIG say, else to
    ~/.config/popsync/popsync.toml. An existing one is never touched. Nothing is written before
    the last question is answered.
    """
    path = choose_path()
    if os.path.lexists(path):
        click.echo(f"popsync: {path} exists already and is left as it is", err=True)
        return ExitCode.IO
    text = format_first_config(ask())
    try:
        write_new_file(path, text)
    except OSError as error:
        click.echo(f"popsync: {path} cannot be written: {error.strerror}", err=True)
        return ExitCode.IO
    click.echo(f"Wrote {path}")
    return offer_check(path)


def choose_path() -> Path:
    """Give the place where every other command will look first."""
    named = invocation().config or os.environ.get("POPSYNC_CONFIG")
    if named:
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "popsync" / "popsync.toml"


def ask() -> Answers:
    """Ask everything, each question until its answer can be used.

    Raises click.Abort at the end of input or Control-C.
    """
    address = _ask("E-mail address", check=check_user)
    server = _ask("POP3 server", check=_check_server, default=guess_host(address) or None)
    host, port = split_host(server)
    tls = _settle_tls(host, port)
    user = _ask("User name there", check=check_user, default=address)
    click.echo(_SOURCES, err=True)
    form = _choose("Password from", get_args(PasswordForm), default="command")
    password = _ask_password(form)
    click.echo(_MODES, err=True)
    mode = _choose("Mode", ("keep", "delete"), default="keep")
    maildir = _ask("\nMaildir to deliver to", check=check_text, default="~/Mail")
    return Answers(address, host, port, tls, user, form, password, mode, maildir)


def write_new_file(path: Path, text: str) -> None:
    """Create ``path`` with mode 0600, whole and sound or not at all.

    Raises OSError, also when it exists; ConfigError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        load_config(path)
    except BaseException:  # Control-C too
        path.unlink()
        raise


def offer_check(path: Path) -> int:
    """Ask whether to try the login now, and do; no answer is a no."""
    config = load_checked_config(path)
    try:
        wanted = click.confirm("Try the login now? It fetches nothing", default=True, err=True)
    except click.Abort:
        wanted = False
    if wanted:
        return check_logins(config, list(config.accounts))
    return check_config(config)


def _ask(question: str, *, check: Callable[[str], str], default: str | None = None) -> str:
    def convert(text: str) -> str:
        try:
            return check(text.strip())
        except ValueError as error:
            raise click.UsageError(f"{text.strip()!r} {error}") from error

    return str(click.prompt(question, default=default, value_proc=convert, err=True))


def _settle_tls(host: str, port: int | None) -> TlsMode:
    """Take what the port is known for, and say so; ask when it is known for nothing.

    Going without TLS is offered where the configuration may: to this machine (P7).
    """
    assumed = assume_tls(host, port)
    if assumed is not None:
        click.echo(describe_tls(assumed, port), err=True)
        return assumed
    local = is_local(host)
    click.echo(f"{_TLS}\n{_NO_TLS}" if local else _TLS, err=True)
    choices = get_args(TlsMode) if local else ("implicit", "starttls")
    tls: TlsMode = _choose("TLS", choices, default="implicit")
    return tls


def _ask_password(form: PasswordForm) -> str:
    """Ask for a password or where it is; what is typed is never shown or quoted.

    A password that cannot be seen is asked for twice.
    """

    def convert(text: str) -> str:
        try:
            parse_secret(table_of_secret(form, text), Path)
        except ValueError as error:
            raise click.UsageError(f"this {error}") from error
        return text

    hidden = form == "literal" and sys.stdin.isatty()
    question = _SOURCE_QUESTIONS[form]
    answer = click.prompt(
        question, value_proc=convert, hide_input=hidden, confirmation_prompt=hidden, err=True
    )
    return str(answer)


def _choose(question: str, choices: tuple[Any, ...], *, default: str) -> Any:
    return click.prompt(question, type=click.Choice(choices), default=default, err=True)


def _check_server(text: str) -> str:
    check_host(text if "://" in text else split_host(text)[0])
    return text
