"""One POP3 client's lines in, our replies out: nothing here knows a command's meaning."""

from collections import deque
from collections.abc import Callable

from popsync.errors import PeerClosed, RemoteProtocolError
from popsync.net.connection import Connection
from popsync.wire.pop3.commands import Command, parse_command
from popsync.wire.pop3.replies import Reply, format_status
from popsync.wire.pop3.server import CommandReader

MAX_BAD_COMMANDS = 20
FLUSH_OCTETS = 64 * 1024


class Dialogue:
    """Commands in the order they came, however many came at once; replies in the same order.

    Replies are sent together, at the latest before waiting for the client. ``next_command`` and
    ``flush`` raise StreamError when the client has gone, is silent or takes nothing for
    ``idle_timeout_s``.
    """

    def __init__(self, connection: Connection, *, idle_timeout_s: float) -> None:
        self._connection = connection
        self._idle_timeout_s = idle_timeout_s
        self._reader = CommandReader()
        self._lines: deque[bytes | RemoteProtocolError] = deque()
        self._unsent: list[bytes] = []
        self._unsent_octets = 0
        self._bad_commands = 0

    async def next_command(self) -> Command | None:
        """Give the next command; None when the client has sent too much that was none."""
        while True:
            try:
                return parse_command(await self.next_line())
            except RemoteProtocolError as error:
                if not self.complain(error.rule):
                    return None

    async def next_line(self) -> bytes:
        """Give the next line, a command or not. Raises RemoteProtocolError when it is too long."""
        while not self._lines:
            await self.flush()
            octets = await self._connection.read(timeout_s=self._idle_timeout_s)
            if not octets:
                raise PeerClosed(f"{self._connection.peer}: left without QUIT")
            self._reader.receive_data(octets)
            self._split()
        line = self._lines.popleft()
        if isinstance(line, RemoteProtocolError):
            raise line
        return line

    def next_if(self, keyword: str, accept: Callable[[bytes], bool]) -> Command | None:
        """Give the next command if it is here already, is ``keyword`` and has a good argument."""
        line = self._lines[0] if self._lines else b""
        try:
            command = parse_command(line) if isinstance(line, bytes) else None
        except RemoteProtocolError:
            return None
        if command is None or command.keyword != keyword or not accept(command.argument):
            return None
        self._lines.popleft()
        return command

    def complain(self, text: str) -> bool:
        """Refuse what was no proper command; whether the client may go on."""
        self._bad_commands += 1
        self.refuse(text)
        return self._bad_commands < MAX_BAD_COMMANDS

    def agree(self, text: bytes = b"") -> None:
        """Reply ``+OK``."""
        self.queue(format_status(Reply(ok=True, text=text)))

    def refuse(self, text: str, *, code: str = "") -> None:
        """Reply ``-ERR``."""
        self.queue(format_status(Reply(ok=False, code=code, text=text.encode("ascii"))))

    def queue(self, octets: bytes) -> None:
        """Send ``octets`` when the time comes."""
        self._unsent.append(octets)
        self._unsent_octets += len(octets)

    async def send(self, octets: bytes) -> None:
        """Send ``octets``, at once when there is enough to send."""
        self.queue(octets)
        if self._unsent_octets >= FLUSH_OCTETS:
            await self.flush()

    async def flush(self) -> None:
        """Send all replies; returns once few enough octets are still waiting in our buffer."""
        if self._unsent:
            octets = b"".join(self._unsent)
            self._unsent.clear()
            self._unsent_octets = 0
            await self._connection.write(octets, timeout_s=self._idle_timeout_s)

    def discard_lines(self) -> bool:
        """Forget what came and was not read yet; whether there was anything."""
        anything = bool(self._lines or self._reader.buffered)
        self._lines.clear()
        self._reader = CommandReader()
        return anything

    def _split(self) -> None:
        while True:
            try:
                line = self._reader.next_line()
            except RemoteProtocolError as error:
                self._lines.append(error)
                continue
            if line is None:
                return
            self._lines.append(line)
