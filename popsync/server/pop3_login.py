"""POP3's AUTHORIZATION state (RFC 1939 §4): who a client is, and whether it may log in."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from popsync.errors import RemoteProtocolError
from popsync.net.connection import Connection
from popsync.server.mailboxes import Mailboxes
from popsync.server.penalty import Penalty
from popsync.server.pop3_dialogue import Dialogue
from popsync.wire.pop3.capabilities import Capabilities, format_capabilities
from popsync.wire.pop3.commands import Command, parse_plain
from popsync.wire.pop3.replies import Challenge, Reply, format_challenge
from popsync.wire.pop3.server import encode_rows

TLS_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class LoginRules:
    """What all logins share; ``stls``: there is a certificate."""

    mailboxes: Mailboxes
    stls: bool = False
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Authorization:
    """One connection's way to a login. Each method for a command says whether to go on."""

    def __init__(self, rules: LoginRules, connection: Connection, dialogue: Dialogue) -> None:
        self._rules = rules
        self._connection = connection
        self._dialogue = dialogue
        self._penalty = Penalty(rules.sleep)
        self._user: bytes | None = None
        self._mailbox: str | None = None
        self._commands: dict[str, Callable[[bytes], Awaitable[bool]]] = {
            "CAPA": self._capa,
            "STLS": self._stls,
            "USER": self._user_name,
            "PASS": self._password,
            "AUTH": self._auth,
            "QUIT": self._quit,
        }

    async def next_login(self) -> str | None:
        """Give the mailbox of a login whose password is right; None when the connection ends.

        The client has not been answered yet: that is for the one who opens the mailbox.
        """
        self._mailbox = None
        go_on = True
        while go_on and self._mailbox is None:
            command = await self._dialogue.next_command()
            go_on = command is not None and await self._perform(command)
        return self._mailbox

    @property
    def capabilities(self) -> Capabilities:
        """What is true of this connection at this moment (RFC 2449 §5)."""
        may_login = self._may_login()
        return Capabilities(
            pipelining=True,
            stls=self._rules.stls and not self._connection.secured,
            user=may_login,
            uidl=True,
            top=True,
            resp_codes=True,
            auth_resp_code=True,
            sasl=("PLAIN",) if may_login else (),
            expire="NEVER",
            implementation="popsync",
        )

    async def _perform(self, command: Command) -> bool:
        perform = self._commands.get(command.keyword)
        if perform is None:
            return self._dialogue.complain("not a command before login")
        return await perform(command.argument)

    async def _capa(self, _argument: bytes) -> bool:
        self._dialogue.queue(encode_rows(Reply(ok=True), format_capabilities(self.capabilities)))
        return True

    async def _stls(self, _argument: bytes) -> bool:
        if not self.capabilities.stls:
            self._dialogue.refuse("TLS is on already, or there is no certificate")
            return True
        if self._dialogue.discard_lines():
            # What came in the clear may be somebody else's (RFC 2595 §4): never as if under TLS.
            self._dialogue.refuse("nothing may be sent between STLS and its reply")
            return True
        self._dialogue.agree(b"begin TLS")
        await self._dialogue.flush()
        await self._connection.start_tls(timeout_s=TLS_TIMEOUT_S)
        self._user = None
        return True

    async def _user_name(self, argument: bytes) -> bool:
        if not self._may_login():
            return self._refuse_plaintext()
        if not argument:
            return self._dialogue.complain("USER wants a name")
        self._user = argument
        self._dialogue.agree(b"password, please")
        return True

    async def _password(self, argument: bytes) -> bool:
        user, self._user = self._user, None
        if user is None:
            return self._dialogue.complain("USER comes first")
        return await self._check(user, argument)

    async def _auth(self, argument: bytes) -> bool:
        if not self._may_login():
            return self._refuse_plaintext()
        mechanism, _, response = argument.partition(b" ")
        if mechanism.upper() != b"PLAIN":
            return self._dialogue.complain("the only mechanism is PLAIN")
        try:
            if not response:
                self._dialogue.queue(format_challenge(Challenge(b"")))
                response = await self._dialogue.next_line()
            return await self._check_plain(response)
        except RemoteProtocolError as error:
            return self._dialogue.complain(error.rule)

    async def _check_plain(self, response: bytes) -> bool:
        if response == b"*":
            self._dialogue.refuse("login cancelled")
            return True
        login = parse_plain(response)
        if login.authorization not in ("", login.user):
            return await self._refuse_login()
        return await self._check(login.user.encode(), login.password.encode())

    async def _check(self, user: bytes, password: bytes) -> bool:
        self._mailbox = self._rules.mailboxes.authenticate(user, password)
        return self._mailbox is not None or await self._refuse_login()

    async def _refuse_login(self) -> bool:
        await self._penalty.pay()
        self._dialogue.refuse("login or password is wrong", code="AUTH")
        return not self._penalty.exhausted

    async def _quit(self, _argument: bytes) -> bool:
        self._dialogue.agree(b"bye")
        return False

    def _may_login(self) -> bool:
        return self._connection.secured or self._connection.loopback

    def _refuse_plaintext(self) -> bool:
        self._dialogue.refuse("no login without TLS")
        return True
