"""What the tests of the relaying destinations deliver, and the journal that watches them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256

from popsync.destinations.lmtp import LmtpDestination, LmtpSettings
from popsync.destinations.relay.dialogue import Deadlines
from popsync.destinations.relay.links import Reuse
from popsync.destinations.smtp import SmtpDestination, SmtpSettings
from popsync.model import (
    AccountId,
    DeliveryKey,
    Digest,
    Envelope,
    Intent,
    MessageKey,
    Outcome,
    Parcel,
    Receipt,
    Refusal,
    UniqueId,
)
from popsync.net.tls import TlsOptions

QUICK = Deadlines(connect_s=5, greeting_s=5, command_s=5, data_s=5, block_s=5, dot_s=5, quit_s=5)
HASTY = replace(QUICK.scaled(0.02), connect_s=5)
"""For servers that fall silent once they have accepted; 0.1 s is long on a loopback."""


FALSE_ENDS = (
    b"\n.\n",
    b"\n.\r\n",
    b"\n.\r",
    b"\r.\r",
    b"\r.\n",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\r\n.\n",
    b"\r\n.\r\n",
    b"\r\n\0.\r\n",
)
"""What some server may take for the end of data."""


def smuggle(end: bytes, to: str = "victim@example.org") -> bytes:
    """Give a message that has commands for another one behind ``end``."""
    commands = f"MAIL FROM:<evil@example.com>\r\nRCPT TO:<{to}>\r\nDATA\r\nSubject: forged\r\n"
    return b"Subject: x\r\n\r\nbefore" + end + commands.encode() + b"\r\nafter" + end + b"QUIT\r\n"


class WholeContent:
    """A content that is one string of octets, given out in pieces of ``piece_octets``."""

    def __init__(self, octets: bytes, piece_octets: int = 1 << 18) -> None:
        self._octets = octets
        self._piece_octets = piece_octets
        self.octets = len(octets)
        self.digest = Digest(sha256(octets).digest())

    def chunks(self) -> Iterator[bytes]:
        """Give it piece by piece."""
        step = self._piece_octets
        return (self._octets[i : i + step] for i in range(0, self.octets, step))

    def close(self) -> None:
        """Hold nothing."""


def make_parcel(
    number: int = 1,
    body: bytes | None = None,
    *,
    to: Sequence[str] = ("jane@example.org",),
    reverse_path: str = "joe@example.net",
    header: bytes = b"X-Trace: 1\r\n",
    piece_octets: int = 1 << 18,
) -> Parcel:
    """Make message ``number``; its subject is the number."""
    octets = b"Subject: %d\r\n\r\nhello\r\n" % number if body is None else body
    content = WholeContent(octets, piece_octets)
    key = MessageKey(AccountId("jane@pop"), UniqueId(b"u%d" % number), content.digest)
    envelope = Envelope(reverse_path, tuple(to))
    return Parcel(key, content, envelope, header, f"{number:032x}", 0.0)


class RecordingJournal:
    """Keeps what it is told; calls ``on_record`` before each, which may raise or look around."""

    def __init__(self, on_record: Callable[[], None] = lambda: None) -> None:
        self._on_record = on_record
        self.records: list[tuple[tuple[Outcome, ...], tuple[Intent, ...]]] = []

    async def record(self, settled: Sequence[Outcome], intents: Sequence[Intent]) -> None:
        """Take it for durable."""
        self._on_record()
        self.records.append((tuple(settled), tuple(intents)))

    @property
    def outcomes(self) -> dict[DeliveryKey, Outcome]:
        """The last outcome of each delivery."""
        return {o.delivery: o for settled, _ in self.records for o in settled}

    @property
    def intended(self) -> set[DeliveryKey]:
        """The deliveries whose final dot was announced."""
        return {d for _, intents in self.records for i in intents for d in i.deliveries}

    def told(self) -> list[tuple[str, str, str]]:
        """Give unique-id, recipient and kind of each outcome, in the order of their recording."""
        return [
            (o.delivery.message.unique_id.decode(), o.delivery.recipient, kind_of(o))
            for settled, _ in self.records
            for o in settled
        ]

    def kinds(self) -> list[str]:
        """Give the kind of each outcome alone."""
        return [kind for _, _, kind in self.told()]

    def refusals(self) -> list[Refusal]:
        """Give the refusals."""
        return [o for settled, _ in self.records for o in settled if isinstance(o, Refusal)]


def kind_of(outcome: Outcome) -> str:
    """Say "receipt", or the name of the error."""
    return "receipt" if isinstance(outcome, Receipt) else type(outcome.error).__name__


def make_smtp(
    port: int,
    *,
    deadlines: Deadlines = QUICK,
    reuse: Reuse | None = None,
    connections: int = 1,
    tls: TlsOptions | None = None,
    password: str | None = None,
    user: str = "",
    stopping: Callable[[], bool] = lambda: False,
) -> SmtpDestination:
    """Make the destination ``local`` for a server on ``port``."""

    async def give_password() -> str:
        return password or ""

    settings = SmtpSettings(
        host="127.0.0.1",
        port=port,
        tls=tls or TlsOptions(mode="none"),
        user=user,
        password=None if password is None else give_password,
        connections=connections,
        hello="client.example",
        deadlines=deadlines,
        reuse=reuse or Reuse(),
    )
    return SmtpDestination("local", settings, stopping=stopping)


def make_lmtp(
    *,
    port: int = 0,
    socket: str = "",
    deadlines: Deadlines = QUICK,
) -> LmtpDestination:
    """Make the destination ``local`` for an LMTP server."""
    settings = LmtpSettings(
        socket=socket, host="127.0.0.1", port=port, hello="client.example", deadlines=deadlines
    )
    return LmtpDestination("local", settings)
