"""Decides, before a word of it is said, whether and how a message is offered to a server. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from popsync.errors import DeliveryError, DeliveryRejected, RecipientRejected, escape
from popsync.model import DeliveryKey, Parcel, Refusal
from popsync.wire.smtp.addresses import is_mailbox, is_recipient
from popsync.wire.smtp.body import Survey
from popsync.wire.smtp.commands import DATA, RSET, format_mail, format_rcpt
from popsync.wire.smtp.extensions import Extensions


@dataclass(frozen=True, slots=True)
class Attempt:
    """One mail transaction, ready to be sent."""

    parcel: Parcel
    destination: str
    recipients: tuple[str, ...]
    mail: bytes
    rcpts: tuple[bytes, ...]
    blocks: Iterable[bytes]
    """The body as it travels, to be read once."""

    def flight(self, *, reset: bool) -> bytes:
        """Give all its commands in one (RFC 2920 §3.1); ``reset``: with RSET before."""
        return b"".join((RSET if reset else b"", self.mail, *self.rcpts, DATA))

    def delivery(self, recipient: str) -> DeliveryKey:
        """Give the ledger's key for one recipient."""
        return DeliveryKey(self.parcel.message, self.destination, recipient)

    def refuse(self, recipients: Sequence[str], error: DeliveryError) -> list[Refusal]:
        """Give one refusal for each of ``recipients``."""
        return [Refusal(self.delivery(recipient), error) for recipient in recipients]


def plan_attempt(
    parcel: Parcel,
    found: Survey,
    blocks: Iterable[bytes],
    offered: Extensions,
    *,
    destination: str,
    require_8bitmime: bool = False,
) -> tuple[Attempt | None, list[Refusal]]:
    """Give the transaction for a message, and a refusal for each recipient it leaves out.

    found: what the message was found to be, its added header included. blocks: its data. None
    when there is
    nobody left to send it to.
    """
    reverse_path = parcel.envelope.reverse_path
    obstacle = _find_obstacle(reverse_path, found, offered)
    if require_8bitmime and found.eightbit and not offered.eightbitmime:
        obstacle = obstacle or "the message is not ASCII only, the server offers no 8BITMIME"
    fates = {r: obstacle or _find_address_fault(r, offered) for r in parcel.envelope.recipients}
    recipients = tuple(r for r, fault in fates.items() if not fault)
    mail = b""
    if recipients:
        mail = format_mail(
            reverse_path,
            octets=found.octets if offered.size is not None else None,
            eightbit=found.eightbit and offered.eightbitmime,
            smtputf8=not "".join((reverse_path, *recipients)).isascii(),
        )
    rcpts = tuple(map(format_rcpt, recipients))
    attempt = Attempt(parcel, destination, recipients, mail, rcpts, blocks)
    kind = DeliveryRejected if obstacle else RecipientRejected
    refusals = [
        Refusal(attempt.delivery(r), kind(f"destination {destination!r}: {fault}"))
        for r, fault in fates.items()
        if fault
    ]
    return attempt if recipients else None, refusals


def _find_obstacle(reverse_path: str, found: Survey, offered: Extensions) -> str:
    """Say why this server cannot have the message at all; empty when it can."""
    if offered.size and found.octets > offered.size:
        return f"the message has {found.octets} octets, the server takes {offered.size} (SIZE)"
    if reverse_path and not is_mailbox(reverse_path):
        return f"the reverse-path is not an address: {escape(reverse_path)}"
    return _find_utf8_fault(reverse_path, offered)


def _find_address_fault(recipient: str, offered: Extensions) -> str:
    if not is_recipient(recipient):
        return f"the recipient is not an address: {escape(recipient)}"
    return _find_utf8_fault(recipient, offered)


def _find_utf8_fault(address: str, offered: Extensions) -> str:
    if address.isascii() or offered.smtputf8:
        return ""
    return f"the server takes no address beyond ASCII (SMTPUTF8): {escape(address)}"
