"""A POP3 server with mail in it that behaves well except where one oddity says otherwise."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.doubles.pop3_script import Talk


class Mail(NamedTuple):
    """One message of the maildrop."""

    unique_id: bytes
    octets: bytes


class Answer(NamedTuple):
    """What the server sends for a command, and whether it parts afterwards."""

    octets: bytes
    closes: bool = False
    then: "Callable[[Talk], Awaitable[None]] | None" = None
    """What happens once the octets are sent."""
    forgets: bool = False
    """At QUIT: agrees and deletes nothing."""


class Turn(NamedTuple):
    """A command as an oddity sees it."""

    line: bytes
    """Without line end; ``b""`` for the greeting."""
    usual: bytes
    """What a good server would answer now."""
    session: int
    """Counted from 1."""
    server: "OddServer"
    answer_to: "Callable[[bytes], bytes]" = bytes
    """Gives what a good server would answer to another command."""

    @property
    def verb(self) -> bytes:
        """The command's first word in upper case."""
        return self.line.split(b" ", 1)[0].upper()


Oddity = Callable[[Turn], bytes | Answer | None]
"""Gives what is said instead of the usual answer; None for the usual one."""

SILENCE = Answer(b"")
CLOSE = Answer(b"", closes=True)
CAPABILITIES = b"+OK\r\nUSER\r\nUIDL\r\nTOP\r\n.\r\n"


@dataclass
class OddServer:
    """A maildrop over any number of sessions; ``serve`` is a script for ``ScriptedServer``."""

    mail: list[Mail]
    oddity: Oddity = lambda _turn: None
    sessions: int = 0
    commands: list[bytes] = field(default_factory=list)
    said: list[list[bytes]] = field(default_factory=list)
    """The commands of each session."""
    deletes_without_quit: bool = False
    """What was told to be deleted goes however the session ends."""

    async def serve(self, talk: Talk) -> None:
        """Talk to one client until it parts; what it deleted goes at its QUIT."""
        self.sessions += 1
        self.said.append([])
        session = _Session(self, list(self.mail), self.sessions)
        await self._converse(talk, session, self.said[-1])
        if self.deletes_without_quit:
            session.expunge()

    async def _converse(self, talk: Talk, session: "_Session", said: list[bytes]) -> None:
        line = b""
        while await session.answer(talk, line):
            try:
                line = (await talk.line()).removesuffix(b"\r\n")
            except OSError:
                return
            if not line:
                return
            self.commands.append(line)
            said.append(line)


class _Session:
    def __init__(self, server: OddServer, mail: list[Mail], number: int) -> None:
        self._server = server
        self._mail = mail
        self._number = number
        self._doomed: set[int] = set()

    async def answer(self, talk: Talk, line: bytes) -> bool:
        """Answer one command; give whether there may be another."""
        usual = self._usual(line)
        odd = self._server.oddity(Turn(line, usual, self._number, self._server, self._usual))
        given = usual if odd is None else odd
        answer = given if isinstance(given, Answer) else Answer(given)
        if line.upper() == b"DELE" or line.upper().startswith(b"DELE "):
            self._note_deletion(line, answer.octets)
        quits = line.upper() == b"QUIT"
        if quits and answer.octets.startswith(b"+OK") and not answer.forgets:
            self.expunge()
        try:
            await talk.send(answer.octets)
            if answer.then is not None:
                await answer.then(talk)
        except OSError:
            return False
        return not (quits or answer.closes)

    def expunge(self) -> None:
        """Delete what was told to be deleted."""
        gone = [self._mail[n - 1] for n in self._doomed]
        self._server.mail = [mail for mail in self._server.mail if mail not in gone]

    def _note_deletion(self, line: bytes, answer: bytes) -> None:
        if answer.startswith(b"+OK"):
            self._doomed.add(int(line.split()[1]))

    def _usual(self, line: bytes) -> bytes:
        verb, _, argument = line.upper().partition(b" ")
        if verb in (b"RETR", b"TOP", b"DELE", b"LIST", b"UIDL") and argument:
            return self._of_one(verb, int(argument.split()[0]))
        left = [(n, mail) for n, mail in enumerate(self._mail, 1) if n not in self._doomed]
        total = sum(len(mail.octets) for _, mail in left)
        answers = {
            b"": b"+OK ready\r\n",
            b"CAPA": CAPABILITIES,
            b"STAT": b"+OK %d %d\r\n" % (len(left), total),
            b"LIST": _rows(b"%d %d" % (n, len(mail.octets)) for n, mail in left),
            b"UIDL": _rows(b"%d %s" % (n, mail.unique_id) for n, mail in left),
        }
        known = (b"USER", b"PASS", b"NOOP", b"RSET", b"QUIT")
        return answers.get(verb) or (b"+OK\r\n" if verb in known else b"-ERR unknown\r\n")

    def _of_one(self, verb: bytes, number: int) -> bytes:
        if not 0 < number <= len(self._mail) or number in self._doomed:
            return b"-ERR no such message\r\n"
        mail = self._mail[number - 1]
        return {
            b"DELE": b"+OK\r\n",
            b"LIST": b"+OK %d %d\r\n" % (number, len(mail.octets)),
            b"UIDL": b"+OK %d %s\r\n" % (number, mail.unique_id),
        }.get(verb) or b"+OK\r\n" + stuff(mail.octets) + b".\r\n"


def _rows(rows: Iterable[bytes]) -> bytes:
    return b"+OK\r\n" + b"".join(row + b"\r\n" for row in rows) + b".\r\n"


def stuff(octets: bytes) -> bytes:
    """Give a message as RETR sends it, without its final dot."""
    return (b"\r\n" + octets).replace(b"\r\n.", b"\r\n..")[2:]
