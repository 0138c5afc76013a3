"""Any octets, cut anywhere, into everything that reads what strangers wrote.

A parser may refuse with its own error and with nothing else; where the input is cut makes no
difference; what is well-formed means what Python's own readers say it means. Whole sessions, and
polls into a real ledger, meet servers that say anything.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from tests.battery.fuzz_checks import (
    agrees_with_email,
    agrees_with_poplib,
    locates_what_tomllib_reads,
    reads_any_command,
    reads_any_header,
    reads_any_pop3_line,
    reads_any_pop3_reply,
    reads_any_smtp_reply,
    stuffs_any_dots,
    writes_any_mail_data,
)
from tests.battery.fuzz_sessions import polls_any_server, survives_any_session

CHECKS: Sequence[Callable[[Random], None]] = (
    reads_any_pop3_reply,
    reads_any_pop3_line,
    reads_any_command,
    reads_any_smtp_reply,
    stuffs_any_dots,
    writes_any_mail_data,
    reads_any_header,
    locates_what_tomllib_reads,
    agrees_with_poplib,
    agrees_with_email,
    survives_any_session,
)


class FuzzResult(NamedTuple):
    """How many inputs there were, and which of them broke something."""

    inputs: int
    broken: list[str]
    what: str = "inputs"

    def __str__(self) -> str:
        """One line, and the first findings."""
        line = f"{self.what} tried {self.inputs}, broken {len(self.broken)}"
        return "\n  ".join([line, *self.broken[:10]])


def fuzz(inputs: int, *, seed: int, first: int = 0) -> FuzzResult:
    """Try so many inputs, the checks in turn; each input can be had again by seed and number."""
    findings = (_try(f"{seed}:{n}", CHECKS[n % len(CHECKS)]) for n in range(first, first + inputs))
    return FuzzResult(inputs, [finding for finding in findings if finding])


def fuzz_polls(polls: int, *, seed: int) -> FuzzResult:
    """Poll so many servers that say anything, a few times each."""
    findings = (_try(f"{seed}:{n}", polls_any_server) for n in range(polls))
    return FuzzResult(polls, [finding for finding in findings if finding], "servers")


def _try(number: str, check: Callable[[Random], None]) -> str:
    try:
        check(Random(number))
    except Exception as error:  # noqa: BLE001 - any exception is what we look for
        return f"input {number}, {check.__name__}: {type(error).__name__}: {error}"
    return ""
