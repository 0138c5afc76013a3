"""One thing that is wrong in the configuration, as the user is told it."""

import re
from pathlib import Path
from typing import NamedTuple

from popsync.config.excerpt import Excerpt
from popsync.config.locate import TomlPath
from popsync.errors import escape

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_MAX_SENTENCE_CHARACTERS = 600


class Problem(NamedTuple):
    """Where, which key, and a sentence that says what to do."""

    file: Path
    sentence: str
    key: str = ""
    line: int = 0
    """0 when the whole file is meant."""
    column: int = 0
    excerpt: Excerpt | None = None

    def format(self) -> str:
        """Give ``file:line:column: key: sentence``, then the excerpt."""
        where = f"{self.file}:{self.line}:{self.column}" if self.line else str(self.file)
        key = f"{self.key}: " if self.key else ""
        head = escape(f"{where}: {key}{self.sentence}", limit=_MAX_SENTENCE_CHARACTERS)
        return f"{head}\n{self.excerpt.format()}" if self.excerpt else head


def format_key(path: TomlPath) -> str:
    """Write a path as TOML does: ``account."jane doe".deliver_to[0]``."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            shown += "." * bool(shown) + (part if _BARE_KEY.fullmatch(part) else f'"{part}"')
    return shown
