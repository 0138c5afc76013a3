"""Tells whether a server's replies are still in step with our commands."""

from collections.abc import Callable, Mapping, Sequence
from secrets import choice
from types import MappingProxyType

from popsync.errors import RemoteProtocolError
from popsync.maildrop.conversation import Conversation
from popsync.model import ListedMessage
from popsync.wire.pop3.replies import (
    Reply,
    Totals,
    parse_list_row,
    parse_stat,
    parse_uidl_row,
)

_ALL = ("UIDL", "LIST", "STAT")
_PARSERS: Mapping[str, Callable[[bytes], tuple[int, bytes | int]]] = MappingProxyType(
    {"UIDL": parse_uidl_row, "LIST": parse_list_row, "STAT": parse_stat}
)


class StepFence:
    """Asks what only the server can know, after a message that is not as long as LIST said.

    The rest of a message that was ended too early may still be on its way and begin with
    ``+OK``. Whoever wrote it could not know which unique-id the server would give it. Where
    UIDL does not take a number, or the message has no unique-id, the size of a message drawn from
    those still to come serves as well; the size of his own the author could guess. Where LIST is
    refused there is STAT. What has once been answered is all that is asked from then on: a server
    does not unlearn it.

    totals: what STAT said when the session began; None when that is not known.
    """

    def __init__(self, conversation: Conversation, totals: Totals | None = None) -> None:
        self._conversation = conversation
        self._totals = totals
        self._keywords: Sequence[str] = ("UIDL", "LIST") if totals is None else _ALL

    async def confirm(self, listed: ListedMessage, waiting: Sequence[ListedMessage]) -> None:
        """Return once the next reply is sure to be the one to the next command.

        listed: the message that came last. waiting: those not asked for yet. Raises
        RemoteProtocolError when that cannot be told, StreamError.
        """
        asked: list[str] = []
        for keyword in self._keywords_for(listed):
            subject = choice(waiting or (listed,)) if keyword == "LIST" else listed
            question = keyword if keyword == "STAT" else f"{keyword} {subject.number}"
            asked.append(question)
            reply = await self._conversation.ask(question.encode() + b"\r\n")
            if _told(keyword, reply) == self._expected(keyword, subject):
                if listed.unique_id:
                    self._keywords = (keyword,)
                return
            if self._conversation.unasked or (keyword == "LIST" and reply.ok):
                break
        self._conversation.fail(
            f"message {listed.number} is not as long as LIST said, and the server does not answer "
            f"{' or '.join(asked)} as it should, "
            "so it cannot be told whether its replies are still in step"
        )

    def _keywords_for(self, listed: ListedMessage) -> Sequence[str]:
        if listed.unique_id:
            return self._keywords
        return ("LIST",) if self._totals is None else ("LIST", "STAT")

    def _expected(self, keyword: str, subject: ListedMessage) -> tuple[int, bytes | int] | None:
        if keyword == "STAT":
            return self._totals
        return subject.number, subject.unique_id if keyword == "UIDL" else subject.octets


def _told(keyword: str, reply: Reply) -> tuple[int, bytes | int] | None:
    """Give the two values of a reply to UIDL, LIST or STAT; None when it proves nothing."""
    try:
        row = _PARSERS[keyword](reply.text)
    except RemoteProtocolError:
        return None
    # A size of 0 stands for one that LIST did not tell.
    return row if reply.ok and row[1] else None
