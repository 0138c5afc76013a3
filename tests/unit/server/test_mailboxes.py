"""Looking up logins and recipients."""

import pytest

from popsync.server.mailboxes import Mailboxes
from popsync.server.settings import MailboxSettings

MAILBOXES = Mailboxes({"jane": MailboxSettings("sécret", ("Jane@Example.org",))})


@pytest.mark.parametrize(
    ("login", "password", "mailbox"),
    [
        (b"jane", "sécret".encode(), "jane"),
        (b"jane", b"s\xe9cret", None),
        (b"jane", b"", None),
        (b"joe", "sécret".encode(), None),
        (b"joe", b"", None),
        (b"Jane", "sécret".encode(), None),
    ],
)
def test_a_login_is_matched_octet_for_octet(
    login: bytes, password: bytes, mailbox: str | None
) -> None:
    """The password as UTF-8; nothing else opens anything."""
    assert MAILBOXES.authenticate(login, password) == mailbox


@pytest.mark.parametrize("address", ["jane@example.org", "JANE@EXAMPLE.ORG", "Jane@Example.org"])
def test_a_recipient_is_found_in_any_case(address: str) -> None:
    """Neither how it is configured nor how it is sent matters."""
    assert MAILBOXES.find_owner(address) == "jane"
