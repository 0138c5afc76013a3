"""POP3's TRANSACTION and UPDATE states (RFC 1939 §5 to §7): one login and its maildrop."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Generator
from contextlib import closing

from popsync.model import MessageNumber, UniqueId
from popsync.server.mailstore import Mailstore, StoredMessage
from popsync.server.pop3_dialogue import Dialogue
from popsync.server.pop3_maildrop import LockedMaildrop
from popsync.server.pop3_text import encode_stored
from popsync.wire.pop3.capabilities import Capabilities, format_capabilities
from popsync.wire.pop3.commands import Command
from popsync.wire.pop3.replies import (
    ListRow,
    Reply,
    UidlRow,
    format_list_row,
    format_stat,
    format_status,
    format_uidl_row,
)
from popsync.wire.pop3.server import cut_top, encode_rows

# What may be read at one go, in one worker thread, for RETRs that came together.
BATCH_OCTETS = 1024 * 1024

_NUMBER = re.compile(rb"[0-9]{1,10}")
_TOP = re.compile(rb"([0-9]{1,10})[ ]+([0-9]{1,10})")


class Transaction:
    """One session with a maildrop. Each method for a command says whether to go on."""

    def __init__(
        self,
        mailstore: Mailstore,
        maildrop: LockedMaildrop,
        dialogue: Dialogue,
        capabilities: Capabilities,
    ) -> None:
        self._mailstore = mailstore
        self._maildrop = maildrop
        self._dialogue = dialogue
        self._capabilities = capabilities
        self._commands: dict[str, Callable[[bytes], Awaitable[bool]]] = {
            "CAPA": self._capa,
            "STAT": self._stat,
            "LIST": self._list,
            "UIDL": self._uidl,
            "RETR": self._retr,
            "TOP": self._top,
            "DELE": self._dele,
            "RSET": self._rset,
            "NOOP": self._noop,
            "QUIT": self._quit,
        }

    async def run(self) -> None:
        """Serve until QUIT, or too many bad commands. Without QUIT nothing is deleted (P3)."""
        go_on = True
        while go_on:
            command = await self._dialogue.next_command()
            go_on = command is not None and await self._perform(command)

    async def _perform(self, command: Command) -> bool:
        perform = self._commands.get(command.keyword)
        if perform is None:
            return self._dialogue.complain("not a command after login")
        return await perform(command.argument)

    # -- what is there -----------------------------------------------------------------------

    async def _capa(self, _argument: bytes) -> bool:
        self._dialogue.queue(encode_rows(Reply(ok=True), format_capabilities(self._capabilities)))
        return True

    async def _stat(self, _argument: bytes) -> bool:
        self._dialogue.agree(format_stat(self._maildrop.totals()))
        return True

    async def _list(self, argument: bytes) -> bool:
        return await self._tell(argument, _list_row)

    async def _uidl(self, argument: bytes) -> bool:
        return await self._tell(argument, _uidl_row)

    async def _tell(self, argument: bytes, row: Callable[[int, StoredMessage], bytes]) -> bool:
        if not argument:
            rows = [row(number, message) for number, message in self._maildrop.listed()]
            await self._dialogue.send(encode_rows(Reply(ok=True), rows))
        elif (found := self._find(argument)) is not None:
            self._dialogue.agree(row(*found))
        return True

    # -- retrieval ---------------------------------------------------------------------------

    async def _retr(self, argument: bytes) -> bool:
        found = self._find(argument)
        if found is None:
            return True
        _, message = found
        if message.octets > BATCH_OCTETS:
            await self._send_large(encode_stored(message, self._mailstore.read(message)))
        else:
            await self._send_batch(self._collect_batch(message))
        return True

    def _collect_batch(self, message: StoredMessage) -> list[StoredMessage]:
        # RETRs that came in one go are read in one go: a change of threads for each would cost
        # more than the reading.
        batch, octets = [message], message.octets
        while octets < BATCH_OCTETS:
            command = self._dialogue.next_if("RETR", self._is_small)
            following = command and self._maildrop.get(_parse_number(command.argument))
            if following is None:
                break
            batch.append(following)
            octets += following.octets
        return batch

    def _is_small(self, argument: bytes) -> bool:
        message = self._maildrop.get(_parse_number(argument))
        return message is not None and message.octets <= BATCH_OCTETS

    async def _send_batch(self, batch: list[StoredMessage]) -> None:
        replies = await asyncio.to_thread(lambda: [self._encode_whole(one) for one in batch])
        await self._dialogue.send(b"".join(replies))

    def _encode_whole(self, message: StoredMessage) -> bytes:
        try:
            return b"".join(encode_stored(message, self._mailstore.read(message)))
        except OSError as error:
            return _format_failure(error)

    async def _send_large(self, pieces: Generator[bytes]) -> None:
        # When reading fails after a part was sent, the error ends the connection: there must be
        # no final dot after half a message.
        with closing(pieces):
            try:
                piece = await asyncio.to_thread(next, pieces)
            except OSError as error:
                self._dialogue.queue(_format_failure(error))
                return
            while piece:
                await self._dialogue.send(piece)
                piece = await asyncio.to_thread(next, pieces, b"")

    async def _top(self, argument: bytes) -> bool:
        numbers = _TOP.fullmatch(argument)
        if numbers is None:
            return self._dialogue.complain("TOP wants a message number and a number of lines")
        found = self._find(numbers[1])
        if found is not None:
            _, message = found
            top = cut_top(self._mailstore.read(message), int(numbers[2]))
            await self._send_large(encode_stored(message, top))
        return True

    # -- deletion ----------------------------------------------------------------------------

    async def _dele(self, argument: bytes) -> bool:
        found = self._find(argument)
        if found is not None:
            self._maildrop.mark_deleted(found[0])
            self._dialogue.agree()
        return True

    async def _rset(self, _argument: bytes) -> bool:
        self._maildrop.reset()
        self._dialogue.agree()
        return True

    async def _noop(self, _argument: bytes) -> bool:
        self._dialogue.agree()
        return True

    async def _quit(self, _argument: bytes) -> bool:
        doomed = self._maildrop.doomed()
        left = await asyncio.to_thread(self._mailstore.remove, doomed) if doomed else []
        if left:
            self._dialogue.refuse("some deleted messages not removed", code="SYS/TEMP")
        else:
            self._dialogue.agree(b"bye")
        return False

    def _find(self, argument: bytes) -> tuple[int, StoredMessage] | None:
        """Give the message that ``argument`` numbers; None when the client was told otherwise."""
        number = _parse_number(argument)
        message = self._maildrop.get(number)
        if message is None:
            self._dialogue.refuse("no such message")
            return None
        return number, message


def _parse_number(argument: bytes) -> int:
    """Read a message number; 0, which no message has, for what is none."""
    return int(argument) if _NUMBER.fullmatch(argument) else 0


def _list_row(number: int, message: StoredMessage) -> bytes:
    return format_list_row(ListRow(MessageNumber(number), message.octets))


def _uidl_row(number: int, message: StoredMessage) -> bytes:
    return format_uidl_row(UidlRow(MessageNumber(number), UniqueId(message.unique_id)))


def _format_failure(error: OSError) -> bytes:
    if isinstance(error, FileNotFoundError):
        return format_status(Reply(ok=False, text=b"that message is no longer there"))
    text = b"that message cannot be read now"
    return format_status(Reply(ok=False, code="SYS/TEMP", text=text))
