"""Writes the man page of the configuration from the same source as docs/configuration.md.

To renew it: ``python docs/man/make_popsync_toml.py >docs/man/popsync.toml.5``.
"""

import re
import sys
from collections.abc import Iterator

from popsync.config.reference import reference

_HEAD = r""".\" Written by docs/man/make_popsync_toml.py; edit the descriptions in popsync/config.
.TH POPSYNC.TOML 5 "" popsync "File Formats"
.SH NAME
popsync.toml \- what popsync fetches, and where it goes
.SH DESCRIPTION
"""

_TAIL = r""".SH EXAMPLE
One mailbox, left as it is on the server, into a Maildir:
.PP
.RS 4
.nf
[destination.inbox]
type = "maildir"
path = "~/Mail"

[account.gmx]
host = "pop.gmx.net"
user = "jane@gmx.net"
password = { command = ["pass", "show", "mail/gmx"] }
mode = "keep"
.fi
.RE
.SH SEE ALSO
.BR popsync (1)
"""

_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_CODE = re.compile(r"`([^`]*)`")
_CELL_BORDER = re.compile(r"(?<!\\)\|")


def man_page() -> str:
    """Give the page as roff."""
    blocks = reference().split("\n\n")
    return _HEAD + "".join(line for block in blocks for line in _format_block(block)) + _TAIL


def _format_block(block: str) -> Iterator[str]:
    lines = block.strip("\n").split("\n")
    if block.startswith(("# ", "<!--")):
        return
    if block.startswith("## "):
        yield f".SH {_format_heading(lines[0][3:])}\n"
    elif block.startswith("| "):
        for row in lines[2:]:
            yield from _format_row(row)
    elif block.startswith("- "):
        for item in re.split(r"\n(?=- )", block.strip("\n")):
            yield f".IP \\(bu 2\n{_format_text(' '.join(item[2:].split()))}\n"
    else:
        yield f".PP\n{_format_text(' '.join(block.split()))}\n"


def _format_heading(title: str) -> str:
    """Give a heading in capitals, as man pages have them, unless it names keys."""
    shown = title.replace("`", "") if "`" in title else title.upper()
    return '"' + _escape(shown).replace('"', '""') + '"'


def _format_row(row: str) -> Iterator[str]:
    """Give the entry of one key: its name, what it means, its default and an example."""
    key, default, meaning, example = (c.strip() for c in _CELL_BORDER.split(row)[1:-1])
    yield f".TP\n{_format_text(key)}\n{_format_text(meaning)}\n"
    if default == "must be stated":
        yield "It must be stated.\n"
    elif default.startswith("`"):
        yield f"Default: {_format_text(default)}.\n"
    yield f".br\nExample: {_format_text(example)}\n"


def _format_text(text: str) -> str:
    """Give Markdown's inline forms as roff's."""
    plain = _escape(_LINK.sub(r"\1", text.replace("\\|", "|")))
    shown = _CODE.sub(r"\\fB\1\\fR", plain)
    return "\\&" + shown if shown.startswith((".", "'")) else shown


def _escape(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")


if __name__ == "__main__":
    sys.stdout.write(man_page())
