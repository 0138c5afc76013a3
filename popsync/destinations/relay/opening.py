"""Begins a dialogue: greeting, EHLO, STARTTLS, AUTH. Nothing here says anything of a message."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from popsync.destinations.relay.dialogue import Deadlines, Dialogue
from popsync.destinations.relay.login import Login, log_in
from popsync.errors import DestinationUnavailable, RemoteProtocolError
from popsync.net.stream import Stream
from popsync.wire.smtp.commands import STARTTLS, format_hello
from popsync.wire.smtp.extensions import NO_EXTENSIONS, parse_extensions


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a dialogue with one destination begins with."""

    connect: Callable[[], Awaitable[Stream]]
    greetings: tuple[str, ...]
    hello: str
    """Our own name."""
    starttls: bool = False
    """TLS is demanded by STARTTLS; without it nothing goes on (P7)."""
    login: Login | None = None
    deadlines: Deadlines


async def open_dialogue(opening: Opening) -> Dialogue:
    """Give a dialogue that is ready for MAIL.

    Raises DestinationUnavailable, DestinationMisconfigured, StreamError, RemoteProtocolError,
    SecretUnavailable; the connection is closed then.
    """
    dialogue = Dialogue(await opening.connect())
    try:
        await _open(dialogue, opening)
    except BaseException:
        await dialogue.close()
        raise
    return dialogue


async def _open(dialogue: Dialogue, opening: Opening) -> None:
    deadlines = opening.deadlines
    greeting = await dialogue.receive(timeout_s=deadlines.greeting_s)
    if greeting.code != 220:
        raise DestinationUnavailable(f"{dialogue.peer}: greets with {greeting.words}")
    await _say_hello(dialogue, opening)
    if opening.starttls:
        await _secure(dialogue, deadlines)
        await _say_hello(dialogue, opening)
    if opening.login is not None:
        await log_in(dialogue, opening.login, timeout_s=deadlines.command_s)


async def _say_hello(dialogue: Dialogue, opening: Opening) -> None:
    for verb in opening.greetings:
        command = format_hello(verb, opening.hello)
        reply = await dialogue.ask(command, timeout_s=opening.deadlines.command_s)
        if reply.code == 250:
            extended = verb != "HELO"
            dialogue.extensions = parse_extensions(reply) if extended else NO_EXTENSIONS
            return
        if not reply.rejected or verb == opening.greetings[-1]:
            raise DestinationUnavailable(f"{dialogue.peer}: {verb} was answered {reply.words}")


async def _secure(dialogue: Dialogue, deadlines: Deadlines) -> None:
    if not dialogue.extensions.starttls:
        raise DestinationUnavailable(
            f"{dialogue.peer}: does not offer STARTTLS, which is demanded"
        )
    reply = await dialogue.ask(STARTTLS, timeout_s=deadlines.command_s)
    if reply.rejected or reply.deferred:
        raise DestinationUnavailable(f"{dialogue.peer}: STARTTLS was answered {reply.words}")
    if reply.code != 220:
        raise RemoteProtocolError(f"STARTTLS was answered {reply.code}")
    await dialogue.start_tls(timeout_s=deadlines.connect_s)
