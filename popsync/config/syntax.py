"""Where and why a text is not TOML, without showing what may be a password."""

import re
from pathlib import Path

from popsync.config.excerpt import Excerpt, excerpt_of
from popsync.config.problem import Problem

_TOMLLIB_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_HINTS = {
    "Invalid value": 'not a value; a text needs quotes, such as "text"',
    "Expected newline or end of document after a statement": (
        "something follows that does not belong here; one key to a line, texts in quotes"
    ),
    "Invalid statement": "a line must be a [table] or key = value",
    "Invalid initial character for a key part": (
        "a key must begin with a letter, a digit, a hyphen or _; others need quotes"
    ),
    "Cannot overwrite a value": "this key is already set above",
    "Cannot declare": "this table is already defined above",
    "Expected '=' after a key": 'a key must be followed by "="',
    "Expected ']' at the end of a table": 'a table\'s name must be followed by "]"',
    'Expected "\'"': "a text is not closed; a quote is missing",
    "Unterminated string": "a text is not closed; a quote is missing",
    "Illegal character '\\n'": "a text ends with its line; a quote is missing",
    "Unclosed array": 'a list is not closed; "]" or a comma is missing',
    "Unclosed inline table": 'a table in braces is not closed; "}" or a comma is missing',
    "Unescaped": "a backslash in a text must be doubled, or the text put in single quotes",
}
"""How tomllib's messages begin, and what we say instead; others are told as they are."""


def syntax_problem(path: Path, text: str, message: str) -> Problem:
    """Put tomllib's message in the user's words, at the same place."""
    match = _TOMLLIB_PLACE.search(message)
    told = message[: match.start()] if match else message
    lines = text.split("\n")
    if match and match[1]:
        line, column = int(match[1]), int(match[2])
    else:
        line, column = len(lines), len(lines[-1]) + 1
    start = sum(len(earlier) + 1 for earlier in lines[: line - 1]) + column - 1
    hints = (hint for beginning, hint in _HINTS.items() if told.startswith(beginning))
    sentence = next(hints, told[:1].lower() + told[1:])
    excerpt = _syntax_excerpt(text, lines[line - 1], start)
    return Problem(path, f"TOML: {sentence}", line=line, column=column, excerpt=excerpt)


_KEY_OF_LINE = re.compile(r"\s*(?:\[[^\"']*|[A-Za-z0-9_. -]+=\s*)")


def _syntax_excerpt(text: str, line: str, start: int) -> Excerpt | None:
    """Show the line's key or header, never what follows: it may be a password.

    A line that goes on from one above is not shown at all.
    """
    line_start = text.rfind("\n", 0, start) + 1
    goes_on = any(text.count(quotes, 0, line_start) % 2 for quotes in ('"""', "'''"))
    key = None if goes_on else _KEY_OF_LINE.match(line)
    if key is None:
        return None
    hidden = [(line_start + key.end(), line_start + len(line))] if key.end() < len(line) else []
    return excerpt_of(text, (start, start + 1), hidden)
