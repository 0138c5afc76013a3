"""What a server's replies mean for each delivery of one attempt. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from popsync.destinations.relay.attempts import Attempt
from popsync.errors import (
    DeliveryDeferred,
    DeliveryInDoubt,
    DeliveryRejected,
    DestinationUnavailable,
    RecipientDeferred,
    RecipientRejected,
    RemoteProtocolError,
)
from popsync.model import Outcome, Receipt, Refusal
from popsync.wire.smtp.replies import Reply

CLOSING = 421
START_INPUT = 354


class EnvelopeReplies(NamedTuple):
    """The replies to one attempt's commands; DATA has none when it was not sent."""

    mail: Reply
    rcpts: tuple[Reply, ...] = ()
    data: Reply | None = None

    @property
    def wants_data(self) -> bool:
        """Whether the server waits for mail data now."""
        return self.data is not None and self.data.code == START_INPUT


def check_not_closing(reply: Reply, step: str) -> Reply:
    """Give the reply back. Raises DestinationUnavailable for 421: the server is leaving."""
    if reply.code == CLOSING:
        raise DestinationUnavailable(f"{step}: {reply.words}")
    return reply


def judge_envelope(
    attempt: Attempt, replies: EnvelopeReplies
) -> tuple[tuple[str, ...], list[Refusal]]:
    """Give the recipients that may get the data, and a refusal for each of the others.

    Raises RemoteProtocolError when a reply is none that its command can have; then nothing of
    the replies may be relied on, for they may belong to other commands.
    """
    mail, rcpts, data = replies
    _check_possible("MAIL", mail, ok=mail.accepted)
    for reply in rcpts:
        _check_possible("RCPT", reply, ok=reply.accepted)
    if data is not None:
        _check_possible("DATA", data, ok=replies.wants_data)
    if not mail.accepted:
        return (), _refuse_all(attempt, attempt.recipients, "MAIL", mail)
    accepted, refusals = _sort_recipients(attempt, rcpts)
    if accepted and data is not None and not replies.wants_data:
        return (), refusals + _refuse_all(attempt, accepted, "DATA", data)
    return accepted, refusals


def judge_final_dot(attempt: Attempt, recipients: Sequence[str], reply: Reply) -> list[Outcome]:
    """Give the outcome of ``recipients``, all of them by one reply (RFC 5321 §4.2.5)."""
    _check_possible("the message", reply, ok=reply.accepted)
    if reply.accepted:
        return [Receipt(attempt.delivery(recipient), reply.words) for recipient in recipients]
    return [*_refuse_all(attempt, recipients, "the message", reply)]


def judge_recipient_dot(attempt: Attempt, recipient: str, reply: Reply) -> Outcome:
    """Give the outcome of one recipient by a reply of its own (RFC 2033 §4.2)."""
    _check_possible("the message", reply, ok=reply.accepted)
    if reply.accepted:
        return Receipt(attempt.delivery(recipient), reply.words)
    return _refuse_recipient(attempt, recipient, f"the message for <{recipient}>", reply)


def doubt(attempt: Attempt, recipients: Sequence[str], evidence: str) -> list[Refusal]:
    """Say of each recipient that nobody knows."""
    text = f"destination {attempt.destination!r}: the reply to the final dot was lost: {evidence}"
    return attempt.refuse(recipients, DeliveryInDoubt(text))


def _check_possible(step: str, reply: Reply, *, ok: bool) -> None:
    if not (ok or reply.deferred or reply.rejected):
        raise RemoteProtocolError(f"{step} was answered {reply.words}")


def _sort_recipients(
    attempt: Attempt, rcpts: Sequence[Reply]
) -> tuple[tuple[str, ...], list[Refusal]]:
    answered = list(zip(attempt.recipients, rcpts, strict=True))
    refusals = [
        _refuse_recipient(attempt, recipient, f"RCPT TO:<{recipient}>", reply)
        for recipient, reply in answered
        if not reply.accepted
    ]
    return tuple(recipient for recipient, reply in answered if reply.accepted), refusals


def _refuse_all(
    attempt: Attempt, recipients: Sequence[str], step: str, reply: Reply
) -> list[Refusal]:
    kind = DeliveryRejected if reply.rejected else DeliveryDeferred
    return attempt.refuse(recipients, kind(_tell(attempt, step, reply)))


def _refuse_recipient(attempt: Attempt, recipient: str, step: str, reply: Reply) -> Refusal:
    kind = RecipientRejected if reply.rejected else RecipientDeferred
    return Refusal(attempt.delivery(recipient), kind(_tell(attempt, step, reply)))


def _tell(attempt: Attempt, step: str, reply: Reply) -> str:
    return f"destination {attempt.destination!r} refused {step}: {reply.words}"
