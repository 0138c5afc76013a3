"""Who a message is from and which mailboxes take it: the answers to EHLO, MAIL and RCPT."""

from typing import Any

from aiosmtpd.smtp import Envelope, Session

from popsync.server.mailboxes import Mailboxes

MAX_RECIPIENTS = 100

OK = "250 2.1.0 ok"
RECIPIENT_OK = "250 2.1.5 ok"
TOO_MANY_RECIPIENTS = "452 4.5.3 too many recipients"
NO_SUCH_MAILBOX = "550 5.1.1 no such mailbox here"
BAD_REVERSE_PATH = "553 5.1.7 malformed reverse-path"


class MailboxEnvelope(Envelope):
    """An envelope whose recipients were found to be mailboxes here."""

    def __init__(self) -> None:
        super().__init__()
        self.mailboxes: dict[str, None] = {}
        """Their names in order, each once, however many of its addresses were given."""

    @property
    def reverse_path(self) -> str:
        """What MAIL said; empty for ``<>``."""
        return "" if self.mail_from in (None, "<>") else str(self.mail_from)


class LoginSession(Session):
    """aiosmtpd's session, less a warning it logs about itself at each login."""

    login_data: Any = None


class EnvelopeHooks:
    """What aiosmtpd asks while an envelope is made."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self._mailboxes = mailboxes

    async def handle_EHLO(  # noqa: N802 — aiosmtpd's name
        self, _server: object, session: Session, _envelope: object, host: str, replies: list[str]
    ) -> list[str]:
        """Add what aiosmtpd can do but does not say: take commands in one go (RFC 2920)."""
        session.host_name = host
        return [replies[0], "250-PIPELINING", *replies[1:]]

    async def handle_MAIL(  # noqa: N802
        self, _server: object, _session: object, envelope: Envelope, address: str, _options: object
    ) -> str:
        """Take the reverse-path, if it can stand in a header line as it is."""
        if not _fits_header(address):
            return BAD_REVERSE_PATH
        envelope.mail_from = address
        return OK

    async def handle_RCPT(  # noqa: N802
        self,
        _server: object,
        _session: object,
        envelope: MailboxEnvelope,
        address: str,
        _options: object,
    ) -> str:
        """Take a recipient that has a mailbox here; there is no other kind."""
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return TOO_MANY_RECIPIENTS
        mailbox = self._mailboxes.find_owner(address)
        if mailbox is None:
            return NO_SUCH_MAILBOX
        envelope.rcpt_tos.append(address)
        envelope.mailboxes[mailbox] = None
        return RECIPIENT_OK


def _fits_header(address: str) -> bool:
    # A bare CR comes this far, and so do octets that are no UTF-8 (as surrogates).
    return address.isprintable()
