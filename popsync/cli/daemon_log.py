"""What the daemon tells, as log lines: trouble is said when it begins, changes and ends."""

from collections import defaultdict
from contextlib import suppress
from typing import Any

from popsync import __version__
from popsync.agent.events import AgentEvent, Failed, Recovered, Reloaded, Started
from popsync.agent.gates import DestinationBack, DestinationDown
from popsync.cli.event_log import EventLog
from popsync.cli.logs import Log
from popsync.cli.words import count, describe_suspension, format_span
from popsync.config.diff import ConfigChanges, NameChanges
from popsync.errors import ConfigError, PopsyncError, escape
from popsync.poll.events import Event, PollEnded, Retrieved, Warned

NEEDS_RESTART = frozenset({"state_dir", "log", "metrics"})
"""Settings that only a start reads."""


def lines_about(error: Exception) -> tuple[str, ...]:
    """Give a line for each thing that is wrong."""
    if isinstance(error, ConfigError):
        return tuple(problem.partition("\n")[0] for problem in error.problems)
    return (str(error) or type(error).__name__,)


class DaemonLog:
    """Writes the line that an event deserves, the same for hours of trouble only once.

    An observer of polls and of the supervisor. A log that cannot be written stops nothing.
    """

    def __init__(self) -> None:
        self._log = Log()
        self._polls = EventLog()
        self._warned: dict[str, set[str]] = defaultdict(set)
        """By account, what the poll before this one warned of."""
        self._warns: dict[str, set[str]] = defaultdict(set)
        self._had_mail: set[str] = set()
        """The accounts whose poll under way has retrieved something."""

    def __call__(self, event: Event | AgentEvent) -> None:
        """Write what is to be said."""
        with suppress(OSError):
            self._tell(event)

    def refuse_config(self, error: Exception) -> None:
        """Say why a changed configuration does not take effect, a line for each problem."""
        with suppress(OSError):
            if isinstance(error, PopsyncError | OSError):
                for line in lines_about(error):
                    self._log.error(line)
            else:
                self._log.error("unexpected, a bug", exc_info=error)
            self._log.error("the configuration is refused, the one before stays in effect")

    def miss_edits(self, error: Exception) -> None:
        """Say that edits of the configuration are not noticed any more."""
        with suppress(OSError):
            said = "the configuration is not watched any more, use SIGHUP"
            self._log.error(said, exc_info=error)

    def miss_commands(self, error: OSError) -> None:
        """Say that commands such as ``popsync poll`` cannot reach this daemon."""
        with suppress(OSError):
            reason = escape(error.strerror or str(error))
            self._log.error("takes no commands, signals still work", reason=reason)

    def _tell(self, event: Event | AgentEvent) -> None:
        match event:
            case Started():
                said = f"popsync {__version__} polls {count(event.accounts, 'account')}"
                self._log.info(said)
            case Failed():
                self._tell_failure(event)
            case Recovered():
                failures = count(event.failures, "failure")
                said = f"works again after {failures} in {format_span(event.lasted_s)}"
                self._log.info(said, account=event.account)
            case DestinationDown():
                pause = format_span(event.retry_in_s)
                said = f"destination {event.name} takes no mail"
                self._log.warning(said, error=event.trouble, next_try=f"in {pause}")
            case DestinationBack():
                span = format_span(event.lasted_s)
                self._log.info(f"destination {event.name} takes mail again after {span}")
            case Reloaded():
                self._tell_changes(event.changes)
            case Warned():
                self._tell_warning(event)
            case Retrieved():
                self._had_mail.add(event.account)
            case PollEnded():
                self._tell_end(event)
            case _:
                self._polls(event)

    def _tell_failure(self, event: Failed) -> None:
        account, pause = event.report.account, format_span(event.next_poll_in_s)
        if not event.is_news:
            self._log.debug("failed again", account=account, failures=event.after.failures)
            return
        if event.before.trouble != event.after.trouble:
            self._polls(PollEnded(event.report))
        if event.after.suspended:
            said = f"{describe_suspension(account)}, or the next probe in {pause}"
            self._log.warning(said, account=account)
        else:
            self._log.debug("backs off", account=account, next_poll=f"in {pause}")

    def _tell_warning(self, event: Warned) -> None:
        """Say a warning unless the poll before gave it, too."""
        self._warns[event.account].add(event.text)
        if event.text not in self._warned[event.account]:
            self._polls(event)

    def _tell_end(self, event: PollEnded) -> None:
        """Sum up a poll that went well and had mail; one that failed comes back as ``Failed``."""
        account, summary = event.report.account, event.report.summary
        self._warned[account] = self._warns.pop(account, set())
        had_mail = account in self._had_mail
        self._had_mail.discard(account)
        if event.report.error is not None:
            return
        if had_mail or not summary.deferred or not summary._replace(deferred=0).is_quiet:
            self._polls(event)
        else:
            self._log.debug("polled, nothing new", account=account, deferred=summary.deferred)

    def _tell_changes(self, changes: ConfigChanges) -> None:
        fields = {
            **_names("accounts", changes.accounts),
            **_names("destinations", changes.destinations),
            **({"settings": _join(changes.settings)} if changes.settings else {}),
        }
        self._log.info(
            "configuration reloaded" + ("" if fields else ", nothing changed"), **fields
        )
        if waiting := changes.settings & NEEDS_RESTART:
            self._log.warning("takes effect when popsync is started again", keys=_join(waiting))


def _names(what: str, changes: NameChanges) -> dict[str, Any]:
    """Give the changed names by kind of change, without what is empty."""
    kinds = {"added": changes.added, "removed": changes.removed, "changed": changes.changed}
    return {f"{what}_{kind}": _join(names) for kind, names in kinds.items() if names}


def _join(names: frozenset[str]) -> str:
    return ",".join(sorted(names))
