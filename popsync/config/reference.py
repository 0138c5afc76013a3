"""Writes the reference of all keys.

To renew it: ``python -m popsync.config.reference >docs/configuration.md``.
"""

import sys
from collections.abc import Iterator

from popsync.config.model import (
    AccountConfig,
    ConfigFile,
    LimitsConfig,
    LmtpDestination,
    LogConfig,
    MailboxConfig,
    MaildirDestination,
    MetricsConfig,
    ServerConfig,
    SmtpDestination,
)
from popsync.config.table import Key, Table
from popsync.config.vocabulary import to_toml

_INTRODUCTION = """\
# Configuration

<!-- Written by python -m popsync.config.reference; edit the descriptions in popsync/config. -->

popsync reads one TOML file: the one that `-c` names, else `$POPSYNC_CONFIG`, else
`$XDG_CONFIG_HOME/popsync/popsync.toml`, else `/etc/popsync/popsync.toml`. `popsync check` shows
every mistake in it at once; `popsync schema` prints a JSON Schema for editors.
[two-accounts.toml](../examples/two-accounts.toml) is a small one,
[full.toml](../examples/full.toml) has every key.

- Durations are a number and `s`, `m`, `h` or `d`: `30s`, `5m`, `2h`, `14d`.
- Sizes are a number and `B`, `KB`, `MB` or `GB`: `512KB`, `50MB`; a KB is 1024 octets.
- Relative paths start from the directory of the file that they stand in. `~` is a home
  directory; nothing else is expanded.
- A password is a text, or a table with one key: `{ command = ["pass", "show", "mail"] }` (a
  program and its arguments, without a shell, which has 30 seconds to print it),
  `{ file = "mail.password" }`, `{ env = "MAIL_PASSWORD" }` or `{ credential = "mail" }` (a file in
  `$CREDENTIALS_DIRECTORY`, see systemd's `LoadCredential`). One line end at its end is cut off.
- A file with a password in it must be yours or root's and closed to others: `chmod 600`.
- Names of accounts, destinations and mailboxes are yours. What was delivered is remembered for
  `user@host`, so an account may be renamed.
"""

_SECTIONS: tuple[tuple[str, type[Table]], ...] = (
    ("At the top of the file", ConfigFile),
    ("`[account.NAME]`, and `[defaults]` for all accounts", AccountConfig),
    ('`[destination.NAME]` with `type = "maildir"`', MaildirDestination),
    ('`[destination.NAME]` with `type = "smtp"`', SmtpDestination),
    ('`[destination.NAME]` with `type = "lmtp"`', LmtpDestination),
    ("`[server]`", ServerConfig),
    ("`[server.mailbox.NAME]`", MailboxConfig),
    ("`[limits]`", LimitsConfig),
    ("`[log]`", LogConfig),
    ("`[metrics]`", MetricsConfig),
)


def reference() -> str:
    """Give the reference as Markdown."""
    sections = ("".join(_section(title, table)) for title, table in _SECTIONS)
    return "\n".join([_INTRODUCTION, *sections])


def _section(title: str, table: type[Table]) -> Iterator[str]:
    yield f"## {title}\n\n"
    if table is not ConfigFile:
        yield f"{(table.__doc__ or '').strip()}\n\n"
    yield "| key | default | meaning | example |\n|---|---|---|---|\n"
    for name, key in table.keys.items():
        if key.examples:
            yield (
                f"| `{name}` | {_default(key)} | {_cell(key.description)} "
                f"| `{_cell(f'{name} = {to_toml(key.examples[0])}')}` |\n"
            )


def _default(key: Key) -> str:
    """Give the default as the user would write it."""
    if key.is_required:
        return "must be stated"
    if key.default_factory is not None:  # depends on another key, as the description says
        return "see there"
    default = key.written_default
    return "" if default in (None, "", ()) else f"`{to_toml(default)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference())
