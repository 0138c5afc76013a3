"""RETR: a window of commands, and messages as they become whole."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING

from popsync.errors import (
    DeadlineExceeded,
    MaildropError,
    RemoteProtocolError,
    RetrievalRefused,
    ServerUnavailable,
    SizesDisagree,
    StreamError,
)
from popsync.maildrop.conversation import Conversation
from popsync.maildrop.fence import StepFence
from popsync.maildrop.settings import Pop3Settings
from popsync.maildrop.window import Window
from popsync.model import ListedMessage, RefusedMessage, Retrieval, RetrievedMessage
from popsync.wire.pop3.client import Body, Event, ReplyKind
from popsync.wire.pop3.commands import format_numbered
from popsync.wire.pop3.replies import Reply, Totals

if TYPE_CHECKING:
    from popsync.storage.content import ContentWriter

_LEEWAY_OCTETS = 1 << 20

# A server must end a last line that has no end, and does not count that in LIST (Dovecot). This
# hides nothing: a message that was cut short, or another one's, is never longer by just that.
_LINE_END_OCTETS = 2

MAX_REFUSED_AT_FIRST = 5
"""More is not about messages: the server gives none at the moment."""


class Retriever:
    """Retrieves ``wanted`` once, in order.

    pipelined: many commands are on their way, and every message must be as long as LIST says.
    Else, and for a message whose size LIST does not tell, one at a time: whatever follows a
    message unasked spoils it, and nothing is asked after one of another size until the server
    has shown that it answers what it is asked.
    """

    def __init__(
        self,
        conversation: Conversation,
        settings: Pop3Settings,
        wanted: Sequence[ListedMessage],
        *,
        pipelined: bool,
        stopping: Callable[[], bool],
        totals: Totals | None = None,
    ) -> None:
        self._conversation = conversation
        self._fence = StepFence(conversation, totals)
        self._settings = settings
        self._pipelined = pipelined
        self._stopping = stopping
        self._window = Window(settings.window_octets, settings.max_window_octets)
        self._waiting = deque(wanted)
        self._asked: deque[ListedMessage] = deque()
        self._asked_octets = 0
        self._writer: ContentWriter | None = None
        self._received_octets = 0
        self._waited_s = 0.0
        self._doubtful: ListedMessage | None = None
        self._given = False
        self._refused = 0
        self._error: MaildropError | RemoteProtocolError | StreamError | None = None

    async def bursts(self) -> AsyncGenerator[Sequence[Retrieval], None]:
        """Give all messages that are whole after each read; raise what ends the session."""
        try:
            while True:
                await self._fill_window()
                if not self._asked:
                    return
                burst = await self._confirm_step(self._gather())
                if burst:
                    yield burst
                if self._error is not None:
                    raise self._error
                if not burst:
                    await self._read()
        finally:
            self._discard_piece()

    # -- commands ----------------------------------------------------------------------------

    async def _fill_window(self) -> None:
        """Ask for more once half the window is free, with one write."""
        if len(self._asked) > self._settings.window_messages // 2 and self._pipelined:
            return
        if self._asked_octets > self._window.octets // 2 and self._pipelined:
            return
        self._window.adjust()
        chosen = self._choose()
        if not chosen:
            return
        self._asked.extend(chosen)
        self._asked_octets += sum(listed.octets for listed in chosen)
        commands = format_numbered("RETR", [listed.number for listed in chosen])
        await self._conversation.send(commands, *[ReplyKind.BODY] * len(chosen))

    def _choose(self) -> list[ListedMessage]:
        chosen: list[ListedMessage] = []
        octets = self._asked_octets
        while self._waiting and not self._stopping():
            octets += self._waiting[0].octets
            if (self._asked or chosen) and not self._has_room(chosen, octets):
                break
            chosen.append(self._waiting.popleft())
        return chosen

    def _has_room(self, chosen: Sequence[ListedMessage], octets: int) -> bool:
        last = chosen[-1] if chosen else self._asked[-1]
        return (
            self._pipelined
            and last.octets > 0
            and self._waiting[0].octets > 0
            and len(self._asked) + len(chosen) < self._settings.window_messages
            and octets <= self._window.octets
        )

    async def _confirm_step(self, burst: Sequence[Retrieval]) -> Sequence[Retrieval]:
        """Give the burst, its last message suspect when the server proves to be out of step."""
        doubtful, self._doubtful = self._doubtful, None
        if doubtful is None or self._error is not None:
            return burst
        try:
            await self._fence.confirm(doubtful, self._waiting)
        except (RemoteProtocolError, StreamError) as error:
            self._error = error
            *others, last = burst
            assert isinstance(last, RetrievedMessage)  # noqa: S101 — it made the doubt
            reason = last.suspect or "it may have come in another's place"
            return [*others, last._replace(suspect=reason)]
        return burst

    # -- replies -----------------------------------------------------------------------------

    async def _read(self) -> None:
        """Wait for octets; only that wait counts against the message's time, not our caller's."""
        deadlines = self._settings.deadlines
        allowed_s = deadlines.for_message(max(self._asked[0].octets, self._received_octets))
        left_s = allowed_s - self._waited_s
        if left_s <= 0:
            raise self._too_slow(allowed_s)
        clock = asyncio.get_running_loop().time
        began_at = clock()
        try:
            octets = await self._conversation.read_more(timeout_s=min(left_s, deadlines.gap_s))
        except DeadlineExceeded:
            if deadlines.gap_s < left_s:
                raise
            raise self._too_slow(allowed_s) from None
        waited_s = clock() - began_at
        self._waited_s += waited_s
        self._window.note(octets, waited_s)

    def _too_slow(self, allowed_s: float) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"{self._conversation.peer}: message {self._asked[0].number} "
            f"did not arrive within {allowed_s:g} s"
        )

    def _gather(self) -> list[Retrieval]:
        """Give what is whole; an error that comes after it waits in ``_error``."""
        burst: list[Retrieval] = []
        try:
            while (
                self._asked
                and self._error is None
                and (event := self._conversation.ready_event()) is not None
            ):
                retrieval = self._take(event)
                if retrieval is not None:
                    burst.append(retrieval)
        except (MaildropError, RemoteProtocolError) as error:
            self._error = error
        except BaseException:
            _close(burst)
            raise
        return burst

    def _take(self, event: Event) -> Retrieval | None:
        if isinstance(event, Reply):
            return self._refuse(event)
        assert isinstance(event, Body)  # noqa: S101 — the codec gives the announced kind
        self._received_octets += len(event.octets)
        if not event.ended:
            self._keep_piece(event.octets)
            return None
        self._check_size()
        return self._finish(event.octets)

    def _keep_piece(self, octets: bytes) -> None:
        listed = self._asked[0]
        limit = 2 * listed.octets + _LEEWAY_OCTETS if listed.octets else self._settings.max_octets
        if self._received_octets > limit:
            self._conversation.fail(
                f"message {listed.number} was listed with {listed.octets} octets "
                f"and goes on after {self._received_octets}"
            )
        if self._writer is None:
            self._writer = self._settings.scratch.new_content()
        self._writer.write(octets)

    def _check_size(self) -> None:
        listed = self._asked[0]
        if self._received_octets - listed.octets in {0, _LINE_END_OCTETS}:
            return
        if self._pipelined and listed.octets:
            raise SizesDisagree(
                f"{self._conversation.peer}: message {listed.number} has "
                f"{self._received_octets} octets, LIST said {listed.octets}"
            )
        self._doubtful = listed

    def _finish(self, last: bytes) -> RetrievedMessage:
        scratch, writer = self._settings.scratch, self._writer
        if writer is None:
            content = scratch.from_bytes(last)
        else:
            writer.write(last)
            content = writer.finish()
            self._writer = None
        suspect = self._suspicion()
        self._given = True
        return RetrievedMessage(self._next_asked(), content, suspect)

    def _suspicion(self) -> str:
        """Say why the message may be cut short; the error for what follows it waits."""
        listed, octets = self._asked[0], self._received_octets
        if self._conversation.unasked:
            self._error = RemoteProtocolError(
                f"{self._conversation.peer}: octets follow message {listed.number} unasked"
            )
            return "octets followed its end that no command asked for"
        if octets < listed.octets:
            return f"LIST said {listed.octets} octets, {octets} came"
        return ""

    def _next_asked(self) -> ListedMessage:
        listed = self._asked.popleft()
        self._asked_octets -= listed.octets
        self._received_octets = 0
        self._waited_s = 0.0
        return listed

    def _refuse(self, reply: Reply) -> RefusedMessage:
        conversation, listed = self._conversation, self._next_asked()
        words = conversation.words(reply)
        error = f"{conversation.peer}: message {listed.number} was refused: {words}"
        self._refused += 1
        if self._refused == MAX_REFUSED_AT_FIRST and not self._given:
            self._error = ServerUnavailable(
                f"{conversation.peer}: gives no message at the moment: {words}"
            )
        return RefusedMessage(listed, RetrievalRefused(error))

    def _discard_piece(self) -> None:
        if self._writer is not None:
            self._writer.discard()


def _close(burst: Sequence[Retrieval]) -> None:
    for retrieval in burst:
        if isinstance(retrieval, RetrievedMessage):
            retrieval.content.close()
