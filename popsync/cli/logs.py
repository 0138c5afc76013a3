"""Log lines on stderr: for a terminal, for journald, as plain text or as JSON.

Everything goes through structlog; what libraries say through ``logging`` joins it. structlog takes
longer to import than a poll with nothing new has to tell, so it comes with the first line that is
shown.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO, cast

from popsync.errors import escape

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from structlog.typing import FilteringBoundLogger, Processor

_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.CRITICAL + 10)
# sd-daemon(3): a line that begins with <N> gets syslog priority N.
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}

_NEEDS_QUOTES = re.compile(r'[ "=\\]')
MAX_SHOWN_CHARACTERS = 2000


def set_up_logs(*, level: str, form: str, verbosity: int) -> None:
    """Send log lines to stderr from now on.

    ``level``: "debug", "info", "warning" or "error", moved by ``verbosity`` steps (``-v``
    positive, ``-q`` negative). ``form``: "auto", "json" or "plain".
    """
    threshold = choose_level(level, verbosity)
    Log.arrangement = _Arrangement(threshold, form, sys.stderr)
    _adopt_stdlib_logs(threshold, foreign=logging.DEBUG if verbosity > 1 else logging.WARNING)


class Log:
    """Writes lines as ``set_up_logs`` has arranged it by then; drops what is not to be shown."""

    arrangement: _Arrangement | None = None
    """One for the whole process, like the stream it leads to; None before any was made."""

    def debug(self, event: str, **fields: Any) -> None:
        """Tell what only somebody who looks for a cause wants to know."""
        self.log(logging.DEBUG, event, **fields)

    def info(self, event: str, **fields: Any) -> None:
        """Tell what went as it should."""
        self.log(logging.INFO, event, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Tell what somebody may have to look at."""
        self.log(logging.WARNING, event, **fields)

    def error(self, event: str, **fields: Any) -> None:
        """Tell what went wrong."""
        self.log(logging.ERROR, event, **fields)

    def log(self, level: int, event: str, **fields: Any) -> None:
        """Write one line; ``level`` as ``logging`` numbers them."""
        arrangement = self.arrangement
        if arrangement is not None and level >= arrangement.threshold:
            arrangement.logger.log(level, event, **fields)


class _Arrangement:
    """What is shown, and how; structlog is set up when the first line is."""

    def __init__(self, threshold: int, form: str, stream: TextIO) -> None:
        self.threshold = threshold
        self.form = form
        self._stream = stream

    @cached_property
    def logger(self) -> FilteringBoundLogger:
        """Set structlog up and give its logger."""
        import structlog  # noqa: PLC0415 - half as long as all of our own imports

        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                escape_values,
                *_choose_rendering(self.form, self._stream, os.environ),
            ],
            # structlog knows no level above critical, which we never use.
            wrapper_class=structlog.make_filtering_bound_logger(
                min(self.threshold, logging.CRITICAL)
            ),
            logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _CurrentStderr())),
            cache_logger_on_first_use=True,
        )
        logger: FilteringBoundLogger = structlog.get_logger()
        return logger


def choose_level(level: str, verbosity: int) -> int:
    """Give the least level, as ``logging`` numbers them, that is still shown."""
    named = getattr(logging, level.upper())
    if verbosity == 0:
        return int(named)
    begin = next(i for i, known in enumerate(_LEVELS) if known >= named)
    return _LEVELS[max(0, min(begin - verbosity, len(_LEVELS) - 1))]


def _choose_rendering(
    form: str, stream: TextIO, environ: Mapping[str, str]
) -> Sequence[Processor]:
    """Give the last processors of the chain; the very last one makes a line."""
    import structlog  # noqa: PLC0415 - it is there by now

    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    tracebacks = structlog.processors.format_exc_info
    if form == "json":
        return [stamp, tracebacks, structlog.processors.JSONRenderer()]
    if form == "auto" and stream.isatty():
        clock = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
        colors = not environ.get("NO_COLOR")
        return [clock, structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0)]
    if form == "auto" and _is_journal(stream, environ):
        return [tracebacks, render_for_journal]
    return [stamp, tracebacks, render_plain]


class _CurrentStderr:
    """Stands for whatever ``sys.stderr`` is at the moment: a progress bar may stand in for it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def escape_values(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Let no text from elsewhere forge a line or steer a terminal, whatever it holds."""
    for key, value in event.items():
        if isinstance(value, bytes) or (isinstance(value, str) and not value.isprintable()):
            event[key] = escape(value, limit=MAX_SHOWN_CHARACTERS)
    return event


def _format_fields(event: Mapping[str, Any]) -> str:
    return " ".join([f"{key}={_format_value(str(value))}" for key, value in event.items()])


def _format_value(text: str) -> str:
    plain = text and not _NEEDS_QUOTES.search(text)
    return text if plain else json.dumps(text, ensure_ascii=False)


def render_plain(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """Make ``TIME LEVEL what happened key=value …`` of an event, a traceback below it."""
    stamp, level, said, trace = _take_apart(event)
    return f"{stamp} {level:<7} {said} {_format_fields(event)}".rstrip() + trace


def render_for_journal(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """Make the same without a time, which journald has, and with a priority on every line."""
    _, level, said, trace = _take_apart(event)
    line = f"{said} {_format_fields(event)}".rstrip() + trace
    priority = f"<{_PRIORITIES.get(level, 6)}>"
    return priority + line.replace("\n", f"\n{priority}")


def _take_apart(event: MutableMapping[str, Any]) -> tuple[str, str, str, str]:
    """Take time, level, text and traceback out of an event; only its fields stay behind."""
    trace = event.pop("exception", "")
    return (
        event.pop("timestamp", ""),
        event.pop("level"),
        event.pop("event"),
        f"\n{trace}" if trace else "",
    )


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Say whether ``stream`` is what systemd connected to its journal (``$JOURNAL_STREAM``)."""
    try:
        about = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{about.st_dev}:{about.st_ino}"


def _adopt_stdlib_logs(threshold: int, *, foreign: int) -> None:
    """Have ``logging`` end in structlog; libraries are heard from ``foreign`` upwards."""
    logging.basicConfig(handlers=[_IntoLog()], level=max(threshold, foreign), force=True)
    logging.getLogger("popsync").setLevel(threshold)
    logging.captureWarnings(capture=True)


class _IntoLog(logging.Handler):
    """Hands a library's record on as a line of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record under its own level, with the name of who wrote it."""
        Log().log(
            record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info
        )
