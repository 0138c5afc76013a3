"""Logs in to an SMTP server: AUTH PLAIN or LOGIN (RFC 4954)."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from popsync.destinations.relay.dialogue import Dialogue
from popsync.errors import (
    DestinationMisconfigured,
    DestinationUnavailable,
    RemoteProtocolError,
)
from popsync.wire.smtp.commands import (
    AUTH_LOGIN,
    AUTH_PLAIN,
    MAX_COMMAND_OCTETS,
    format_auth_answer,
    format_auth_plain,
)
from popsync.wire.smtp.replies import Reply

_CONTINUE = 334
_LOGGED_IN = 235


class Login(NamedTuple):
    """Who logs in; the password is asked for each time, when TLS is already on."""

    user: str
    password: Callable[[], Awaitable[str]]


async def log_in(dialogue: Dialogue, login: Login, *, timeout_s: float) -> None:
    """Log in, where nobody can listen (P7).

    Raises DestinationMisconfigured when the login is refused, cannot be made, or would go out in
    clear; DestinationUnavailable when the server cannot tell now; StreamError,
    RemoteProtocolError, SecretUnavailable.
    """
    if not dialogue.private:
        raise DestinationMisconfigured(f"{dialogue.peer}: without TLS the password would be seen")
    offered = dialogue.extensions.auth
    if not offered & {"PLAIN", "LOGIN"}:
        raise DestinationMisconfigured(f"{dialogue.peer}: offers neither AUTH PLAIN nor LOGIN")
    password = await login.password()
    if "\0" in login.user + password:
        raise DestinationMisconfigured(f"{dialogue.peer}: NUL in the user name or password")
    answers = _answer_plain if "PLAIN" in offered else _answer_login
    reply = await _converse(dialogue, answers(login.user, password), timeout_s)
    _judge(dialogue.peer, reply, password)


def _answer_plain(user: str, password: str) -> list[bytes]:
    payload = format_auth_plain(user, password) + b"\r\n"
    at_once = AUTH_PLAIN[:-2] + b" " + payload
    return [at_once] if len(at_once) <= MAX_COMMAND_OCTETS else [AUTH_PLAIN, payload]


def _answer_login(user: str, password: str) -> list[bytes]:
    return [AUTH_LOGIN, format_auth_answer(user), format_auth_answer(password)]


async def _converse(dialogue: Dialogue, answers: list[bytes], timeout_s: float) -> Reply:
    """Send each answer when the one before was met with 334; what is in a 334 does not matter."""
    *first, last = answers
    for answer in first:
        reply = await dialogue.ask(answer, timeout_s=timeout_s)
        if reply.code != _CONTINUE:
            return _check(reply)
        if len(reply.lines) > 1:
            raise RemoteProtocolError("AUTH: a 334 of several lines")
    reply = await dialogue.ask(last, timeout_s=timeout_s)
    return reply if reply.code == _LOGGED_IN else _check(reply)


def _check(reply: Reply) -> Reply:
    if not (reply.deferred or reply.rejected):
        raise RemoteProtocolError(f"AUTH was answered {reply.code}")
    return reply


def _judge(peer: str, reply: Reply, password: str) -> None:
    if reply.code == _LOGGED_IN:
        return
    words = _without(password, reply)
    if reply.deferred:
        raise DestinationUnavailable(f"{peer}: AUTH was put off: {words}")
    raise DestinationMisconfigured(f"{peer}: the login was refused: {words}")


def _without(password: str, reply: Reply) -> str:
    """Give the reply's words, unless they repeat the secret in some form."""
    answer = format_auth_answer(password)[:-2].decode("ascii")
    if password and (password in reply.words or answer in reply.words):
        return f"{reply.code} (words withheld: they repeat the password)"
    return reply.words
