"""A session that is logged in and holds the maildrop's lock."""

from collections.abc import AsyncGenerator, Callable, Sequence

from popsync.errors import (
    PipeliningWithdrawn,
    RemoteProtocolError,
    StreamError,
    UidlUnsupported,
)
from popsync.maildrop.capability import (
    kept_days,
    login_delay,
    may_pipeline,
    next_capabilities,
)
from popsync.maildrop.conversation import Conversation
from popsync.maildrop.listing import ListingAnswers, combine
from popsync.maildrop.refusals import Stage
from popsync.maildrop.retrieval import Retriever
from popsync.maildrop.settings import Pop3Settings
from popsync.model import ListedMessage, Listing, Retrieval
from popsync.wire.pop3.client import ReplyKind, Rows
from popsync.wire.pop3.commands import format_numbered
from popsync.wire.pop3.replies import Reply, Totals, parse_stat

_DELETIONS_IN_FLIGHT = 1000
_ROW_OCTETS = 80
_THREE = b"STAT\r\nLIST\r\nUIDL\r\n"
_THREE_KINDS = (ReplyKind.LINE, ReplyKind.LISTING, ReplyKind.LISTING)
_ROWS_UNTOLD = 10_000
"""How long a listing to allow for where STAT does not tell."""


class Pop3Maildrop:
    """What a poll sees of a POP3 session (``popsync.poll.ports.Maildrop``).

    pipelined: many commands may be on their way. confirms: that was said before the login; CAPA
    rides with the first listing, and counts from then on.
    """

    def __init__(
        self,
        conversation: Conversation,
        settings: Pop3Settings,
        *,
        pipelined: bool,
        confirms: bool = False,
        login_delay_s: int = 0,
        kept_days: int | None = None,
    ) -> None:
        self._conversation = conversation
        self._settings = settings
        self._pipelined = pipelined
        self._confirms = confirms
        self.login_delay_s = login_delay_s
        """What the server wants to pass between logins (RFC 2449 §6.4); 0 when it does not say."""
        self.kept_days = kept_days
        """How long it keeps what was retrieved (RFC 2449 §6.7); None when it does not say."""
        self._deletion_refusal = ""
        self._totals: Totals | None = None

    @property
    def pipelines(self) -> bool:
        """Whether several commands may be on their way at once."""
        return self._pipelined

    @property
    def deletion_refusal(self) -> str:
        """What the server said of the last DELE that it refused, fit to be shown; or empty."""
        return self._deletion_refusal

    async def list(self) -> Listing:
        """Give STAT, LIST and UIDL as one listing; in one flight when pipelining.

        Raises PipeliningWithdrawn, MaildropError, StreamError, RemoteProtocolError.
        """
        totals, sizes, names = await self._ask_three()
        self._totals = totals
        list_rows = sizes.rows if isinstance(sizes, Rows) else None
        if isinstance(names, Rows):
            return combine(ListingAnswers(totals, list_rows, names.rows))
        if totals is not None and totals.messages == 0:
            return Listing((), complete=False)
        refusal = self._conversation.refusal("UIDL", names, Stage.UIDL)
        if isinstance(refusal, UidlUnsupported):
            return combine(ListingAnswers(totals, list_rows, refusal))
        raise refusal

    def retrieve(
        self, wanted: Sequence[ListedMessage], *, stopping: Callable[[], bool]
    ) -> AsyncGenerator[Sequence[Retrieval], None]:
        """Give the wanted messages in order, as many at a time as have arrived.

        Raises SizesDisagree, StreamError, RemoteProtocolError; ServerUnavailable when the first
        five are refused.
        """
        return Retriever(
            self._conversation,
            self._settings,
            wanted,
            pipelined=self._pipelined,
            stopping=stopping,
            totals=self._totals,
        ).bursts()

    async def delete(self, doomed: Sequence[ListedMessage]) -> Sequence[ListedMessage]:
        """Issue DELE for each; give those that the server agreed to."""
        agreed: list[ListedMessage] = []
        in_flight = _DELETIONS_IN_FLIGHT if self._pipelined else 1
        for first in range(0, len(doomed), in_flight):
            flight = doomed[first : first + in_flight]
            commands = format_numbered("DELE", [listed.number for listed in flight])
            await self._conversation.send(commands, *[ReplyKind.LINE] * len(flight))
            agreed += [m for m in flight if await self._agrees()]
        return agreed

    async def quit(self) -> None:
        """Ask the server to carry out the deletions, and part.

        While replies are due it parts without asking. Raises MaildropError when the server
        refuses, StreamError; RemoteProtocolError, also when its replies prove to be out of step.
        """
        try:
            if self._conversation.awaited:
                return
            reply = await self._conversation.ask(b"QUIT\r\n")
            if not reply.ok:
                raise self._conversation.refusal("QUIT", reply)
            if self._conversation.unasked:
                self._conversation.fail("a good-bye with more behind it: it was another's reply")
        finally:
            await self._conversation.close()

    async def drop(self) -> None:
        """Part without QUIT. Idempotent, also after ``quit``."""
        await self._conversation.close()

    async def _agrees(self) -> bool:
        reply = await self._conversation.next_line()
        if not reply.ok:
            self._deletion_refusal = self._conversation.words(reply)
        return reply.ok

    async def _ask_three(self) -> tuple[Totals | None, Rows | Reply, Rows | Reply]:
        say = self._conversation
        if self._confirms:
            return await self._confirm_and_ask_three()
        if self._pipelined:
            await say.send(_THREE, *_THREE_KINDS)
            return await self._next_three()
        totals = _totals(await say.ask(b"STAT\r\n"))
        within_s = self._listing_s(totals)
        await say.send(b"LIST\r\n", ReplyKind.LISTING)
        sizes = await say.next_rows(timeout_s=within_s)
        await say.send(b"UIDL\r\n", ReplyKind.LISTING)
        return totals, sizes, await say.next_rows(timeout_s=within_s)

    async def _next_three(self) -> tuple[Totals | None, Rows | Reply, Rows | Reply]:
        say = self._conversation
        totals = _totals(await say.next_line())
        within_s = self._listing_s(totals)
        sizes = await say.next_rows(timeout_s=within_s)
        return totals, sizes, await say.next_rows(timeout_s=within_s)

    async def _confirm_and_ask_three(self) -> tuple[Totals | None, Rows | Reply, Rows | Reply]:
        """Ask for CAPA in the same flight; a server that goes back on it may not bear the rest.

        RFC 2449 §6.6 rules that out, but before the login a proxy may answer in another
        server's place.
        """
        say, self._confirms = self._conversation, False
        await say.send(b"CAPA\r\n" + _THREE, ReplyKind.CAPABILITIES, *_THREE_KINDS)
        told = await next_capabilities(say, self._settings)
        self._pipelined = may_pipeline(self._settings, told)
        self.login_delay_s = login_delay(told, self.login_delay_s)
        self.kept_days = kept_days(told, self.kept_days)
        try:
            return await self._next_three()
        except (RemoteProtocolError, StreamError) as error:
            if self._pipelined:
                raise
            raise PipeliningWithdrawn(
                f"{error}; it offered pipelining before the login and not after it"
            ) from error

    def _listing_s(self, totals: Totals | None) -> float:
        """Give what LIST, or UIDL, may take: the rows that STAT announced have to come."""
        rows = _ROWS_UNTOLD if totals is None else totals.messages
        return self._settings.deadlines.for_message(rows * _ROW_OCTETS)


def _totals(stat: Reply) -> Totals | None:
    try:
        return parse_stat(stat.text) if stat.ok else None
    except RemoteProtocolError:
        return None
