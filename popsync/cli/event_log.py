"""What a poll tells, as log lines: one for each delivery, one for each poll that had mail."""

from typing import Any

from popsync.cli.logs import Log
from popsync.errors import UnexpectedError
from popsync.poll.events import (
    Deleted,
    Delivered,
    Event,
    Listed,
    NotDelivered,
    PollEnded,
    PollReport,
    Retrieved,
    Warned,
)


class EventLog:
    """Writes the line that an event deserves, if it deserves one. An observer."""

    def __init__(self, *, sums_up: bool = True) -> None:
        """Log as ``set_up_logs`` has arranged it by now.

        ``sums_up`` False leaves the line for a whole poll to somebody else.
        """
        self._log = Log()
        self._sums_up = sums_up

    def __call__(self, event: Event) -> None:
        """Write at most one line."""
        match event:
            case Delivered():
                message_id = {"message_id": event.message_id} if event.message_id else {}
                fields = {**_which(event), "octets": event.octets, **message_id}
                self._log.info("delivered", **fields, reply=event.reply)
            case NotDelivered():
                self._log.warning(event.state.value, **_which(event), error=str(event.error))
            case Deleted():
                self._log.debug("deletions agreed to", account=event.account, count=event.messages)
            case Warned():
                self._log.warning(event.text, account=event.account)
            case PollEnded():
                self._log_report(event.report)
            case Listed() | Retrieved():
                pass  # steps on the way, which a progress bar shows

    def _log_report(self, report: PollReport) -> None:
        if isinstance(report.error, UnexpectedError):
            trace = report.error.__cause__
            self._log.error("unexpected, a bug", account=report.account, exc_info=trace)
        if self._sums_up:
            self._sum_up(report)

    def _sum_up(self, report: PollReport) -> None:
        counts = _counts(report)
        if report.error is not None:
            error = str(report.error)
            self._log.error("poll ended early", account=report.account, error=error, **counts)
        elif counts:
            seconds = round(report.summary.ended_at - report.summary.began_at, 3)
            self._log.info("polled", account=report.account, **counts, seconds=seconds)
        else:
            listed = report.summary.listed
            self._log.debug("polled, nothing new", account=report.account, listed=listed)


def _which(event: Delivered | NotDelivered) -> dict[str, Any]:
    """Say which delivery an event is about, without what is empty."""
    fields: dict[str, Any] = {"account": event.account, "unique_id": event.unique_id}
    if event.destination:
        fields["destination"] = event.destination
    if event.recipient:
        fields["recipient"] = event.recipient
    return fields


def _counts(report: PollReport) -> dict[str, int]:
    """Give what a poll did, without what it did none of."""
    summary = report.summary
    counts = {
        "delivered": summary.delivered,
        "octets": summary.octets,
        "deleted": summary.deleted,
        "deferred": summary.deferred,
        "held": summary.held,
    }
    return {key: count for key, count in counts.items() if count}
