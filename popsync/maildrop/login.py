"""Gets into the maildrop with a user's name and password."""

from popsync.errors import AuthUnsupported, LocalProtocolError
from popsync.maildrop.conversation import Conversation
from popsync.maildrop.refusals import Stage
from popsync.maildrop.secrecy import base64_form, shown_forms
from popsync.maildrop.settings import Pop3Settings
from popsync.wire.pop3.capabilities import Capabilities
from popsync.wire.pop3.commands import (
    MAX_COMMAND_OCTETS,
    Command,
    PlainCredentials,
    format_command,
    format_plain,
)
from popsync.wire.pop3.replies import Challenge, Reply


async def log_in(
    conversation: Conversation, settings: Pop3Settings, capabilities: Capabilities
) -> None:
    """Send the credentials, once the connection may carry them (P7).

    Raises AuthUnsupported, AuthRejected and what else an ``-ERR`` may mean, SecretUnavailable,
    StreamError, RemoteProtocolError.
    """
    if not (conversation.shielded or settings.allow_plaintext):
        raise AuthUnsupported(
            f"{conversation.peer}: no login without TLS to another machine; "
            "set tls, or allow_plaintext = true"
        )
    with_plain = _uses_plain(conversation.peer, settings, capabilities)
    credentials = PlainCredentials(settings.user, await settings.password())
    try:
        conversation.secrecy.keep(*_secrets(credentials))
        if with_plain:
            await _Login(conversation, settings).by_plain(credentials)
        else:
            await _Login(conversation, settings).by_user(credentials)
    except LocalProtocolError as error:
        # The value is the configuration's, so the account is at fault and not popsync.
        raise AuthUnsupported(f"{conversation.peer}: {error}") from None
    except UnicodeEncodeError:
        raise AuthUnsupported(f"{conversation.peer}: user or password is no text") from None


def _uses_plain(peer: str, settings: Pop3Settings, capabilities: Capabilities) -> bool:
    offered = capabilities.sasl
    if settings.auth == "plain":
        if offered and "PLAIN" not in offered:
            raise AuthUnsupported(f"{peer}: AUTH PLAIN is not offered, only {' '.join(offered)}")
        return True
    if settings.auth == "user":
        return False
    if offered and "PLAIN" not in offered and not capabilities.user:
        raise AuthUnsupported(f"{peer}: no usable way to log in, only {' '.join(offered)}")
    return "PLAIN" in offered


def _secrets(credentials: PlainCredentials) -> tuple[bytes, ...]:
    try:
        response = format_plain(credentials)
    except LocalProtocolError:
        response = b""
    user = base64_form(credentials.user)
    return (*shown_forms(credentials.password), user, response.rstrip(b"="))


class _Login:
    def __init__(self, conversation: Conversation, settings: Pop3Settings) -> None:
        self._conversation = conversation
        self._timeout_s = settings.deadlines.login_s

    async def by_user(self, credentials: PlainCredentials) -> None:
        """USER and PASS (RFC 1939 §7); both lines are made before either is sent."""
        commands = [
            format_command(Command("USER", credentials.user.encode())),
            format_command(Command("PASS", credentials.password.encode())),
        ]
        for command in commands:
            reply = await self._conversation.ask(command, timeout_s=self._timeout_s)
            self._check(reply)

    async def by_plain(self, credentials: PlainCredentials) -> None:
        """AUTH PLAIN (RFC 5034), with an initial response when the line is not too long."""
        response = format_plain(credentials)
        line = b"AUTH PLAIN " + response + b"\r\n"
        answered = len(line) <= MAX_COMMAND_OCTETS
        turn = await self._turn(line if answered else b"AUTH PLAIN\r\n")
        if turn == Challenge(b""):
            # Some servers do not take the initial response that they were given.
            turn = await self._turn(response + b"\r\n")
        if isinstance(turn, Challenge):
            await self._turn(b"*\r\n")
            self._conversation.fail("AUTH PLAIN was answered with a challenge")
        self._check(turn)

    async def _turn(self, line: bytes) -> Reply | Challenge:
        return await self._conversation.ask_in_turn(line, timeout_s=self._timeout_s)

    def _check(self, reply: Reply) -> None:
        if not reply.ok:
            raise self._conversation.refusal("the login", reply, Stage.LOGIN)
