"""Delivers to an SMTP server."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

from popsync.destinations.relay.destination import RelayDestination
from popsync.destinations.relay.dialect import SMTP
from popsync.destinations.relay.dialogue import Deadlines
from popsync.destinations.relay.links import Reuse
from popsync.destinations.relay.login import Login
from popsync.destinations.relay.opening import Opening
from popsync.net.connect import connect_tcp
from popsync.net.tls import TlsOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSettings:
    """One SMTP server and how to deal with it."""

    host: str
    port: int = 25
    tls: TlsOptions = field(default_factory=lambda: TlsOptions(mode="none"))
    user: str = ""
    password: Callable[[], Awaitable[str]] | None = field(default=None, repr=False)
    """Gives the password each time a connection is made; without it nobody logs in."""
    require_8bitmime: bool = False
    """Hold a message beyond ASCII when the server does not say that it takes such ones."""
    connections: int = 1
    """How many at once; also the number of messages that one crash can leave in doubt."""
    hello: str = "localhost"
    """Our name in EHLO."""
    deadlines: Deadlines = field(default_factory=Deadlines)
    reuse: Reuse = field(default_factory=Reuse)


class SmtpDestination(RelayDestination):
    """Hands messages to an SMTP server, most often the local MTA."""

    def __init__(
        self,
        name: str,
        settings: SmtpSettings,
        *,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        connect = partial(
            connect_tcp,
            settings.host,
            settings.port,
            tls=settings.tls,
            timeout_s=settings.deadlines.connect_s,
        )
        opening = Opening(
            connect=connect,
            greetings=SMTP.greetings,
            hello=settings.hello,
            starttls=settings.tls.mode == "starttls",
            login=Login(settings.user, settings.password) if settings.password else None,
            deadlines=settings.deadlines,
        )
        super().__init__(
            name,
            opening,
            replace(SMTP, require_8bitmime=settings.require_8bitmime),
            connections=settings.connections,
            reuse=settings.reuse,
            stopping=stopping,
        )
