"""Carries a batch over one link, a mail transaction each (RFC 5321 §3.3, RFC 2920, RFC 2033).

The body of a message travels without its last block. Then one commit makes the outcome of the
message before durable, and the intent for this one; only after it the rest and the final dot are
sent, in one write. So there is one commit a message, it overlaps the travel of a large body, and
never are two messages in doubt (P2, P4).

With PIPELINING the next message's MAIL, RCPT and DATA ride with the dot: one round trip a message.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from popsync.destinations.relay.attempts import Attempt, plan_attempt
from popsync.destinations.relay.batch import Batch
from popsync.destinations.relay.bodies import prepare_body
from popsync.destinations.relay.dialect import Dialect
from popsync.destinations.relay.dialogue import Deadlines
from popsync.destinations.relay.links import Link
from popsync.destinations.relay.verdicts import (
    CLOSING,
    EnvelopeReplies,
    check_not_closing,
    doubt,
    judge_envelope,
    judge_final_dot,
    judge_recipient_dot,
)
from popsync.errors import (
    DeadlineExceeded,
    DeliveryDeferred,
    DestinationUnavailable,
    PopsyncError,
    RemoteProtocolError,
    StreamError,
)
from popsync.model import DeliveryState, Intent, Outcome, Refusal
from popsync.wire.smtp.commands import DATA, FINAL_DOT, RSET
from popsync.wire.smtp.replies import Reply


class LinkSpent(Exception):
    """A link that has worked before ended before MAIL was answered; a new one may do."""


class Courier:
    """Delivers over one link until nothing waits or the link has done its share."""

    def __init__(
        self,
        link: Link,
        batch: Batch,
        *,
        destination: str,
        dialect: Dialect,
        deadlines: Deadlines,
        is_worn: Callable[[Link], bool],
    ) -> None:
        self._link = link
        self._dialogue = link.dialogue
        self._batch = batch
        self._destination = destination
        self._dialect = dialect
        self._deadlines = deadlines
        self._is_worn = is_worn
        self._pipelining = link.dialogue.extensions.pipelining

    async def run(self) -> None:
        """Deliver; every outcome is durable on return.

        Raises LinkSpent when the same batch can go on over another link; StreamError,
        RemoteProtocolError, DestinationUnavailable, LedgerError: the link is of no use then.
        """
        attempt, sent = await self._next_attempt(), False
        while attempt is not None:
            recipients, refusals = await self._offer(attempt, sent=sent)
            if recipients:
                attempt = await self._carry(attempt, recipients, refusals)
                sent = self._pipelining
            else:
                self._batch.conclude(refusals)
                attempt, sent = await self._next_attempt(), False
        await self._batch.commit_rest()

    # -- before MAIL -------------------------------------------------------------------------

    async def _next_attempt(self) -> Attempt | None:
        """Give the next message that can be offered at all; settle those that cannot."""
        while self._batch.waiting and not self._is_worn(self._link):
            parcel = self._batch.take()
            normalise = self._dialect.normalise
            attempt, refusals = plan_attempt(
                parcel,
                *await prepare_body(parcel, normalise=normalise),
                self._dialogue.extensions,
                destination=self._destination,
                require_8bitmime=self._dialect.require_8bitmime,
            )
            self._batch.settle(refusals)
            if attempt is not None:
                self._link.offered += 1
                return attempt
        return None

    # -- MAIL, RCPT, DATA --------------------------------------------------------------------

    async def _offer(
        self, attempt: Attempt, *, sent: bool
    ) -> tuple[tuple[str, ...], list[Refusal]]:
        """Give the recipients that the server now waits to have data for, and the refusals."""
        exchange = self._exchange_flight if self._pipelining else self._exchange_in_lock_step
        if not sent:
            self._dialogue.check_in_step()
        with self._deferring(attempt, attempt.recipients):
            replies = await exchange(attempt, sent=sent)
            recipients, refusals = judge_envelope(attempt, replies)
        self._batch.settle(refusals)
        self._link.proven = True
        if recipients:
            with self._deferring(attempt, recipients):
                self._dialogue.check_in_step()
        elif replies.wants_data:
            await self._end_empty_data()
        else:
            self._link.needs_reset = True
        return recipients, refusals

    async def _exchange_flight(self, attempt: Attempt, *, sent: bool) -> EnvelopeReplies:
        reset = self._link.needs_reset
        flight = b"" if sent else attempt.flight(reset=reset)
        mail = await self._begin(attempt, flight, *(("RSET", "MAIL") if reset else ("MAIL",)))
        rcpts = [await self._receive("RCPT") for _ in attempt.rcpts]
        return EnvelopeReplies(mail, tuple(rcpts), await self._receive_data_reply())

    async def _exchange_in_lock_step(self, attempt: Attempt, *, sent: bool) -> EnvelopeReplies:
        del sent  # nothing rides ahead
        if self._link.needs_reset:
            await self._begin(attempt, RSET, "RSET")
        mail = await self._begin(attempt, attempt.mail, "MAIL")
        if not mail.accepted:
            return EnvelopeReplies(mail)
        rcpts = []
        for command in attempt.rcpts:
            await self._send(command)
            rcpts.append(await self._receive("RCPT"))
        if not any(reply.accepted for reply in rcpts):
            return EnvelopeReplies(mail, tuple(rcpts))
        await self._send(DATA)
        return EnvelopeReplies(mail, tuple(rcpts), await self._receive_data_reply())

    async def _begin(self, attempt: Attempt, commands: bytes, *steps: str) -> Reply:
        """Send ``commands`` and give the last reply that ``steps`` name: MAIL's, or RSET's.

        Raises LinkSpent when a link that has worked before ends here.
        """
        try:
            if commands:
                self._dialogue.check_in_step()
                await self._send(commands)
            replies = [await self._receive(step) for step in steps]
        except (StreamError, DestinationUnavailable) as error:
            if not self._link.proven:
                raise
            self._batch.put_back(attempt.parcel)
            raise LinkSpent from error
        if steps[0] == "RSET" and not replies[0].accepted:
            raise RemoteProtocolError(f"RSET was answered {replies[0].words}")
        self._link.needs_reset = False
        return replies[-1]

    async def _send(self, commands: bytes) -> None:
        await self._dialogue.send(commands, timeout_s=self._deadlines.command_s)

    async def _receive(self, step: str) -> Reply:
        reply = await self._dialogue.receive(timeout_s=self._deadlines.command_s)
        return check_not_closing(reply, step)

    async def _receive_data_reply(self) -> Reply:
        reply = await self._dialogue.receive(timeout_s=self._deadlines.data_s)
        return check_not_closing(reply, "DATA")

    async def _end_empty_data(self) -> None:
        """Answer a 354 that came though every recipient was refused (RFC 2920 §3.1)."""
        await self._send(FINAL_DOT)
        reply = await self._dialogue.receive(timeout_s=self._deadlines.dot_s)
        check_not_closing(reply, "an empty transaction")

    @contextmanager
    def _deferring(self, attempt: Attempt, recipients: Sequence[str]) -> Iterator[None]:
        """Defer the message if the link fails inside, where no dot has been sent.

        It may be the message that the server cannot bear; offered first each time, it would keep
        all behind it from being delivered (P5).
        """
        try:
            yield
        except (StreamError, RemoteProtocolError, DestinationUnavailable) as error:
            text = f"destination {self._destination!r} ended before it took the message: {error}"
            self._batch.settle(attempt.refuse(recipients, DeliveryDeferred(text)))
            raise

    # -- the data ----------------------------------------------------------------------------

    async def _carry(
        self, attempt: Attempt, recipients: tuple[str, ...], refusals: Sequence[Outcome]
    ) -> Attempt | None:
        """Send the body, commit, send the dot, hear what became of it; give the next attempt."""
        end = await self._send_body(attempt, recipients) + FINAL_DOT
        following = await self._next_attempt()
        await self._batch.commit(
            Intent(attempt.parcel.message, self._destination, recipients, DeliveryState.DOT_SENT)
        )
        rider = following.flight(reset=False) if following and self._pipelining else b""
        outcomes, failure = await self._finish(attempt, recipients, end + rider)
        self._batch.settle(outcomes)
        if failure is not None:
            raise failure
        self._batch.conclude([*refusals, *outcomes])
        return following

    async def _send_body(self, attempt: Attempt, recipients: Sequence[str]) -> bytes:
        """Send all of the body but its last block, which is given back to go with the dot."""
        try:
            return await self._send_blocks(attempt)
        except StreamError as error:
            with self._deferring(attempt, recipients):
                # A server may refuse and leave in the middle, and is taken at its word.
                reply = check_not_closing(await self._hear(error), "the message")
                outcomes = judge_final_dot(attempt, recipients, reply)
            self._batch.settle(outcomes)
            raise

    async def _send_blocks(self, attempt: Attempt) -> bytes:
        clock = asyncio.get_running_loop().time
        octets = attempt.parcel.content.octets
        ends_at = clock() + self._deadlines.for_body(octets)
        last = b""
        for block in attempt.blocks:
            left_s = ends_at - clock()
            if left_s <= 0:  # a server that takes it drop by drop has an end to it as well
                raise DeadlineExceeded(f"{self._dialogue.peer}: takes {octets} octets too slowly")
            if last:
                await self._dialogue.send(last, timeout_s=min(self._deadlines.block_s, left_s))
            last = block
        return last

    async def _finish(
        self, attempt: Attempt, recipients: Sequence[str], end: bytes
    ) -> tuple[list[Outcome], PopsyncError | None]:
        """Send the dot; give the outcome of each recipient, and why the link is of no use now."""
        unsent = await self._send_end(end)
        groups = [recipients]
        if self._dialect.reply_per_recipient:
            groups = [[recipient] for recipient in recipients]
        outcomes: list[Outcome] = []
        closing: PopsyncError | None = None
        for position, group in enumerate(groups):
            try:
                reply = await self._hear(unsent)
                outcomes += self._judge(attempt, group, reply)
            except (StreamError, RemoteProtocolError) as error:
                rest = [recipient for group in groups[position:] for recipient in group]
                return outcomes + doubt(attempt, rest, str(error)), error
            if reply.code == CLOSING:
                closing = DestinationUnavailable(f"the message: {reply.words}")
        return outcomes, closing

    async def _send_end(self, end: bytes) -> StreamError | None:
        try:
            await self._send(end)
        except StreamError as error:
            return error
        return None

    async def _hear(self, unsent: StreamError | None) -> Reply:
        """Give the reply to the dot.

        When the dot could not be sent, a refusal may have come before it and is as good as any;
        a promise may not.
        """
        if unsent is None:
            return await self._dialogue.receive(timeout_s=self._deadlines.dot_s)
        with suppress(StreamError):
            reply = await self._dialogue.receive(timeout_s=self._deadlines.quit_s)
            if not reply.accepted:
                return reply
        raise unsent

    def _judge(self, attempt: Attempt, group: Sequence[str], reply: Reply) -> Sequence[Outcome]:
        if self._dialect.reply_per_recipient:
            return [judge_recipient_dot(attempt, group[0], reply)]
        return judge_final_dot(attempt, group, reply)
