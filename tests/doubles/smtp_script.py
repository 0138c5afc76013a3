"""An SMTP or LMTP server on a real socket that does what it is told, right or wrong.

It reads line ends strictly, keeps every octet it got, and stores a message the moment it has
decided to accept it, whether or not its reply still comes through.
"""

import asyncio
import re
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

STRICT_END = re.compile(rb"\r\n\.\r\n")
LOOSE_END = re.compile(rb"(?:\r\n|\r|\n)\.(?:\r\n|\r|\n)")
"""What a careless server takes for the end of data."""


@dataclass(frozen=True)
class Raw:
    """Octets to send as they are, in place of a reply."""

    octets: bytes
    close: bool = False
    pieces: bool = False
    """Octet by octet."""


CLOSE = Raw(b"", close=True)
STALL = "stall"
"""Never answer, and read nothing more."""
DRIP = "drip"
"""Never answer, and read octet by octet from now on, with a short pause each time."""
DRIP_PAUSE_S = 0.005

Answer = str | Raw


@dataclass(frozen=True)
class StoredMessage:
    """A message that the server took responsibility for."""

    reverse_path: str
    recipients: tuple[str, ...]
    data: bytes
    """Without doubled dots and final dot."""
    mail: str
    """The whole MAIL command."""


@dataclass
class ScriptedSession:
    """What one client did."""

    received: bytearray = field(default_factory=bytearray)
    commands: list[str] = field(default_factory=list)
    secured: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class _Cut(Exception):
    """The script ends the connection here."""


@dataclass
class SmtpScript:
    """The server's script: its extensions, and answers that differ from the usual.

    answers: by step (GREETING, EHLO, STARTTLS, AUTH, RESPONSE, MAIL, RCPT, DATA, DOT, RSET, NOOP,
    QUIT, and MID-DATA: in the middle of a body), each list used up answer by answer over all
    connections; ``""`` stands for the usual one. refuse: gives an answer by recipient, or "".
    cut_after_sent, cut_after_received: octets after which the first connection is cut.
    """

    extensions: tuple[str, ...] = ("PIPELINING", "8BITMIME", "SIZE 0")
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    refuse: Callable[[str], str] = lambda _recipient: ""
    answer_mail: Callable[[str], Answer] = lambda _line: ""
    """Gives an answer by the MAIL command, or ""."""
    lmtp: bool = False
    end: re.Pattern[bytes] = STRICT_END
    certificate: tuple[Path, Path] | None = None
    """Files of chain and key, for STARTTLS."""
    cut_after_sent: int | None = None
    cut_after_received: int | None = None
    on_message: Callable[[StoredMessage], None] = lambda _message: None
    """Called when a message is stored, before it is answered."""
    keep_data: bool = True

    sessions: list[ScriptedSession] = field(default_factory=list)
    messages: list[StoredMessage] = field(default_factory=list)
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    """Those that serve a connection now."""
    _arrival: asyncio.Event = field(default_factory=asyncio.Event)
    dots: int = 0
    """Transactions that came to a final dot, accepted or not."""

    @property
    def commands(self) -> list[str]:
        """All commands of all sessions, in order."""
        return [command for session in self.sessions for command in session.commands]

    async def arrived(self) -> None:
        """Return once some more octets of some client are here."""
        self._arrival.clear()
        await self._arrival.wait()

    def note_arrival(self) -> None:
        """Wake who waits for octets."""
        self._arrival.set()

    @asynccontextmanager
    async def on_tcp(self) -> AsyncIterator[int]:
        """Serve on a loopback port and give its number."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with self._running(server):
            yield server.sockets[0].getsockname()[1]

    @asynccontextmanager
    async def on_unix(self, path: Path) -> AsyncIterator[str]:
        """Serve on a Unix socket and give its path."""
        server = await asyncio.start_unix_server(self._serve, path)
        async with self._running(server):
            yield str(path)

    @asynccontextmanager
    async def _running(self, server: asyncio.Server) -> AsyncIterator[None]:
        try:
            yield
        finally:
            server.close()
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        session = ScriptedSession()
        self.sessions.append(session)
        peer = _Peer(self, session, reader, writer, first=len(self.sessions) == 1)
        try:
            with suppress(_Cut, ConnectionError, ssl.SSLError, asyncio.CancelledError):
                await peer.serve()
        finally:
            await _part(writer)
            self.tasks.discard(task)
            session.ended.set()

    def next_answer(self, step: str, usual: str) -> Answer:
        """Give the scripted answer to ``step``, or the usual one."""
        waiting = self.answers.get(step)
        return (waiting.pop(0) if waiting else "") or usual

    def store(self, message: StoredMessage) -> None:
        """Take responsibility for a message."""
        self.messages.append(message)
        self.on_message(message)


async def _part(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except asyncio.CancelledError:
        writer.transport.abort()
        await asyncio.sleep(0)
    except (ConnectionError, ssl.SSLError):
        return


class _Peer:
    def __init__(
        self,
        script: SmtpScript,
        session: ScriptedSession,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        first: bool,
    ) -> None:
        self._script = script
        self._session = session
        self._reader = reader
        self._writer = writer
        self._buffer = b""
        self._may_send = script.cut_after_sent if first else None
        self._may_receive = script.cut_after_received if first else None
        self._mail: str | None = None
        self._recipients: list[str] = []

    async def serve(self) -> None:
        await self._answer("GREETING", "220 script ready")
        while True:
            line = (await self._read_to(re.compile(rb"\r\n"))).decode("utf-8", "replace")
            self._session.commands.append(line)
            verb = line.split(" ", 1)[0].upper()
            handle = getattr(self, f"_do_{verb.lower()}", None)
            if handle is None:
                await self._say("500 what?")
            else:
                await handle(line)

    async def _do_ehlo(self, _line: str) -> None:
        lines = ["script", *self._script.extensions]
        *first, last = lines
        await self._answer("EHLO", "\r\n".join([*(f"250-{w}" for w in first), f"250 {last}"]))

    _do_lhlo = _do_ehlo

    async def _do_helo(self, _line: str) -> None:
        await self._answer("HELO", "250 script")

    async def _do_starttls(self, _line: str) -> None:
        answer = await self._answer("STARTTLS", "220 go ahead")
        if answer.startswith("220") and self._script.certificate is not None:
            chain, key = self._script.certificate
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(chain, key)
            await self._writer.start_tls(context)
            self._session.secured = True

    async def _do_auth(self, _line: str) -> None:
        answer = await self._answer("AUTH", "235 welcome")
        while answer.startswith("334"):
            line = await self._read_to(re.compile(rb"\r\n"))
            self._session.commands.append(b64decode(line).decode())
            answer = await self._answer("RESPONSE", "235 welcome")

    async def _do_mail(self, line: str) -> None:
        odd = self._script.answer_mail(line)
        if odd:
            await self._give(odd)
        answer = str(odd) if odd else await self._answer("MAIL", "250 sender ok")
        if answer.startswith("2"):
            self._mail, self._recipients = line, []

    async def _do_rcpt(self, line: str) -> None:
        recipient = line[line.index("<") + 1 : line.rindex(">")]
        usual = "250 recipient ok" if self._mail is not None else "503 MAIL first"
        answer = await self._answer("RCPT", self._script.refuse(recipient) or usual)
        if answer.startswith("2"):
            self._recipients.append(recipient)

    async def _do_data(self, _line: str) -> None:
        usual = "354 go on" if self._recipients else "503 no valid recipient"
        answer = await self._answer("DATA", usual)
        if not answer.startswith("354"):
            return
        if self._script.answers.get("MID-DATA"):
            await self._receive()
            await self._answer("MID-DATA", "")
        self._buffer = b"\r\n" + self._buffer
        raw = await self._read_to(self._script.end)
        self._script.dots += 1
        await self._answer_dots(raw[2:] + b"\r\n" if raw else b"")
        self._mail, self._recipients = None, []

    async def _answer_dots(self, raw: bytes) -> None:
        if not self._recipients:
            await self._answer("DOT", "554 no valid recipient")
        elif self._script.lmtp:
            for recipient in self._recipients:
                await self._take([recipient], raw)
        else:
            await self._take(self._recipients, raw)

    async def _take(self, recipients: Iterable[str], raw: bytes) -> None:
        answer = self._script.next_answer("DOT", "250 stored")
        text = answer.octets if isinstance(answer, Raw) else answer.encode()
        if text.startswith(b"2") or answer in (STALL, CLOSE):
            mail = self._mail or ""
            path = mail[mail.index("<") + 1 : mail.rindex(">")]
            data = (
                (b"\r\n" + raw).replace(b"\r\n.", b"\r\n")[2:] if self._script.keep_data else b""
            )
            self._script.store(StoredMessage(path, tuple(recipients), data, mail))
        await self._give(answer)

    async def _do_rset(self, _line: str) -> None:
        await self._answer("RSET", "250 forgotten")
        self._mail, self._recipients = None, []

    async def _do_noop(self, _line: str) -> None:
        await self._answer("NOOP", "250 still here")

    async def _do_quit(self, _line: str) -> None:
        await self._answer("QUIT", "221 bye")
        raise _Cut

    async def _answer(self, step: str, usual: str) -> str:
        answer = self._script.next_answer(step, usual)
        await self._give(answer)
        return answer.octets.decode() if isinstance(answer, Raw) else answer

    async def _give(self, answer: Answer) -> None:
        if answer == STALL:
            await asyncio.Event().wait()
        if answer == DRIP:
            while await self._reader.read(1):  # noqa: ASYNC110 - it is slow, and waits for nothing
                await asyncio.sleep(DRIP_PAUSE_S)
            raise _Cut
        if isinstance(answer, Raw):
            step = 1 if answer.pieces else max(len(answer.octets), 1)
            for start in range(0, len(answer.octets), step):
                await self._send(answer.octets[start : start + step])
                await asyncio.sleep(0)
            if answer.close:
                raise _Cut
        else:
            await self._say(str(answer))

    async def _say(self, text: str) -> None:
        await self._send(text.encode() + b"\r\n")
        if text.startswith("421"):
            raise _Cut

    async def _send(self, octets: bytes) -> None:
        if self._may_send is not None:
            octets, whole = octets[: self._may_send], octets
            self._may_send -= len(octets)
            if len(octets) < len(whole):
                self._writer.write(octets)
                raise _Cut
        self._writer.write(octets)
        await self._writer.drain()

    async def _read_to(self, end: re.Pattern[bytes]) -> bytes:
        searched = 0
        while (found := end.search(self._buffer, searched)) is None:
            searched = max(len(self._buffer) - 4, 0)
            self._buffer += await self._receive()
        taken, self._buffer = self._buffer[: found.start()], self._buffer[found.end() :]
        return taken

    async def _receive(self) -> bytes:
        if self._may_receive == 0:
            raise _Cut
        octets = await self._reader.read(1 << 18)
        if self._may_receive is not None:
            octets = octets[: self._may_receive]
            self._may_receive -= len(octets)
        if not octets:
            raise _Cut
        self._session.received += octets
        self._script.note_arrival()
        return octets
