"""What tests of POP3 sessions begin with: settings, played-back sessions, a maildrop to serve."""

import tempfile
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from popsync.maildrop.opening import open_maildrop
from popsync.maildrop.session import Pop3Maildrop
from popsync.maildrop.settings import Deadlines, Pop3Settings
from popsync.model import ListedMessage, MessageNumber, RetrievedMessage, UniqueId
from popsync.net.replay import ReplayStream
from popsync.net.tls import TlsOptions
from popsync.storage.content import Scratch
from tests.doubles.pop3_script import ScriptedServer, Talk

PASSWORD = "Sesam, öffne dich"
CALM = Deadlines(
    connect_s=10, tls_s=10, greeting_s=10, login_s=10, reply_s=10, gap_s=10, message_s=10
)
HASTY_S = 0.05
"""Long on a loopback, for servers that fall silent."""
PLAIN = TlsOptions(mode="none")


async def _give_password() -> str:
    return PASSWORD


_SETTINGS = Pop3Settings(
    host="127.0.0.1",
    port=110,
    tls=PLAIN,
    user="jane",
    password=_give_password,
    scratch=Scratch(Path(tempfile.gettempdir())),
    deadlines=CALM,
)


def make_settings(server: ScriptedServer | None = None, **changes: object) -> Pop3Settings:
    """Give settings for a scripted server, or for no server at all."""
    settings = replace(_SETTINGS, port=server.port) if server is not None else _SETTINGS
    return replace(settings, **changes)  # type: ignore[arg-type]


def hasty(**steps: float) -> Deadlines:
    """Give deadlines that are long but for those named here."""
    return replace(CALM, **steps)


# -- played back -----------------------------------------------------------------------------

CAPA = b"+OK\r\nUSER\r\nUIDL\r\n.\r\n"
PIPELINING = b"+OK\r\nUSER\r\nPIPELINING\r\n.\r\n"


def logged_in(*, pipelining: bool = False) -> tuple[bytes, ...]:
    """Give what a server says up to the end of the login; of pipelining after it alone."""
    return (b"+OK\r\n", CAPA, b"+OK\r\n", b"+OK\r\n", PIPELINING if pipelining else CAPA)


async def begin(
    *steps: bytes | Exception, pipelining: bool = False, **changes: object
) -> tuple[Pop3Maildrop, ReplayStream]:
    """Log in to a server that says ``steps`` from there on; ``writes`` begins after the login."""
    stream = ReplayStream([*logged_in(pipelining=pipelining), *steps])
    maildrop = await open_maildrop(stream, make_settings(None, **changes), lock_step=False)
    stream.writes.clear()
    return maildrop, stream


# -- messages --------------------------------------------------------------------------------


def listed(number: int, octets: int, unique_id: bytes = b"") -> ListedMessage:
    """Give one row of a listing; its unique-id is ``u`` and the number when none is given."""
    return ListedMessage(MessageNumber(number), UniqueId(unique_id or b"u%d" % number), octets)


def listed_all(messages: Sequence[bytes]) -> list[ListedMessage]:
    """Give a row for each message."""
    return [listed(number, len(message)) for number, message in enumerate(messages, 1)]


def body(message: bytes) -> bytes:
    """Give the whole reply to RETR for a message that ends with CRLF."""
    return b"+OK\r\n" + (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


def never() -> bool:
    """Nobody asks us to stop."""
    return False


async def retrieve(
    maildrop: Pop3Maildrop, wanted: Iterable[ListedMessage]
) -> list[tuple[int, bytes, str]]:
    """Retrieve; give number, octets and suspicion of each. Refusals have no octets."""
    given: list[tuple[int, bytes, str]] = []
    await collect(maildrop, wanted, given)
    return given


async def collect(
    maildrop: Pop3Maildrop, wanted: Iterable[ListedMessage], given: list[tuple[int, bytes, str]]
) -> None:
    """Do the same into ``given``, which keeps what came before an error."""
    async with aclosing(maildrop.retrieve(list(wanted), stopping=never)) as bursts:
        async for burst in bursts:
            for retrieval in burst:
                number = retrieval.listed.number
                if isinstance(retrieval, RetrievedMessage):
                    octets = b"".join(retrieval.content.chunks())
                    assert len(octets) == retrieval.content.octets
                    given.append((number, octets, retrieval.suspect))
                    retrieval.content.close()
                else:
                    given.append((number, b"", str(retrieval.error)))


# -- served ----------------------------------------------------------------------------------


async def serve_login(
    talk: Talk, *, pipelining: bool = False, greeting: bytes = b"+OK ready\r\n"
) -> None:
    """Take jane in; tell of pipelining after the login alone."""
    capabilities = PIPELINING if pipelining else CAPA
    await talk.send(greeting)
    await talk.exchange(
        (b"CAPA", CAPA),
        (b"USER jane", b"+OK\r\n"),
        (b"PASS " + PASSWORD.encode(), b"+OK\r\n"),
        (b"CAPA", capabilities),
    )
