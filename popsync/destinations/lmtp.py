"""Delivers to an LMTP server (RFC 2033): Dovecot, Cyrus, over a Unix socket or TCP."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from popsync.destinations.relay.destination import RelayDestination
from popsync.destinations.relay.dialect import LMTP
from popsync.destinations.relay.dialogue import Deadlines
from popsync.destinations.relay.links import Reuse
from popsync.destinations.relay.opening import Opening
from popsync.net.connect import connect_tcp, connect_unix
from popsync.net.stream import Stream
from popsync.net.tls import TlsOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class LmtpSettings:
    """One LMTP server and how to deal with it."""

    socket: str = ""
    """Path of a Unix socket; when empty, ``host`` and ``port`` count."""
    host: str = "localhost"
    port: int = 24
    connections: int = 1
    """How many at once; also the number of messages that one crash can leave in doubt."""
    hello: str = "localhost"
    """Our name in LHLO."""
    deadlines: Deadlines = field(default_factory=Deadlines)
    reuse: Reuse = field(default_factory=Reuse)


class LmtpDestination(RelayDestination):
    """Hands messages to an LMTP server, which answers for each recipient."""

    def __init__(
        self,
        name: str,
        settings: LmtpSettings,
        *,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        opening = Opening(
            connect=_connector(settings),
            greetings=LMTP.greetings,
            hello=settings.hello,
            deadlines=settings.deadlines,
        )
        super().__init__(
            name,
            opening,
            LMTP,
            connections=settings.connections,
            reuse=settings.reuse,
            stopping=stopping,
        )


def _connector(settings: LmtpSettings) -> Callable[[], Awaitable[Stream]]:
    timeout_s = settings.deadlines.connect_s
    if settings.socket:
        return partial(connect_unix, settings.socket, timeout_s=timeout_s)
    plain = TlsOptions(mode="none")
    return partial(connect_tcp, settings.host, settings.port, tls=plain, timeout_s=timeout_s)
