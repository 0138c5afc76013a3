"""Tells whether a server's replies are still in step with our commands."""

from collections.abc import Sequence
from secrets import choice

from popsync.errors import RemoteProtocolError
from popsync.maildrop.conversation import Conversation
from popsync.model import ListedMessage
from popsync.wire.pop3.replies import Reply, parse_list_row, parse_uidl_row


class StepFence:
    """Asks what only the server can know, after a message that is not as long as LIST said.

    The rest of a message that was ended too early may still be on its way and begin with
    ``+OK``. Whoever wrote it could not know which unique-id the server would give it. Where
    UIDL does not take a number, the size of a message drawn from those still to come serves as
    well; the size of his own the author could guess. What has once been answered is all that
    is asked from then on: a server does not unlearn it.
    """

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._keywords: Sequence[str] = ("UIDL", "LIST")

    async def confirm(self, listed: ListedMessage, waiting: Sequence[ListedMessage]) -> None:
        """Return once the next reply is sure to be the one to the next command.

        listed: the message that came last. waiting: those not asked for yet. Raises
        RemoteProtocolError when that cannot be told, StreamError.
        """
        asked: list[str] = []
        for keyword in self._keywords:
            subject = listed if keyword == "UIDL" else choice(waiting or (listed,))
            question = f"{keyword} {subject.number}"
            asked.append(question)
            reply = await self._conversation.ask(question.encode() + b"\r\n")
            if _told(keyword, reply) == _expected(keyword, subject):
                self._keywords = (keyword,)
                return
            if self._conversation.unasked:
                break
        self._conversation.fail(
            f"message {listed.number} is not as long as LIST said, and the server does not answer "
            f"{' or '.join(asked)} as it should, "
            "so it cannot be told whether its replies are still in step"
        )


def _expected(keyword: str, subject: ListedMessage) -> tuple[int, bytes | int]:
    return subject.number, subject.unique_id if keyword == "UIDL" else subject.octets


def _told(keyword: str, reply: Reply) -> tuple[int, bytes | int] | None:
    """Give number and unique-id, or number and size; None when the reply proves nothing."""
    try:
        row = parse_uidl_row(reply.text) if keyword == "UIDL" else parse_list_row(reply.text)
    except RemoteProtocolError:
        return None
    # A size of 0 stands for one that LIST did not tell.
    return row if reply.ok and row[1] else None
