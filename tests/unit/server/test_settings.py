"""What the bundled server may be told."""

from pathlib import Path
from typing import Any

import pytest

from popsync.errors import ConfigError
from popsync.server.settings import HostPort, MailboxSettings, ServerSettings, check_settings

JANE = MailboxSettings("secret", ("jane@example.org",))


def settings(**changes: Any) -> ServerSettings:
    """Give good settings, with changes."""
    good = {"hostname": "h", "mailstore": Path("/m"), "mailboxes": {"jane": JANE}}
    return ServerSettings(**{**good, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"smtp_listen": HostPort("::1", 0), "pop3_listen": HostPort("localhost", 0)},
        {
            "smtp_listen": HostPort("0.0.0.0", 25),  # noqa: S104
            "pop3_listen": HostPort("mail.example", 110),
            "tls_cert": Path("c"),
            "tls_key": Path("k"),
        },
        {"mailboxes": {"jane@example.org": JANE, "joe_2": MailboxSettings("x")}},
    ],
)
def test_good_settings_pass(changes: dict[str, Any]) -> None:
    """Loopback needs nothing, the rest of the world a certificate."""
    check_settings(settings(**changes))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"tls_cert": Path("c")}, "go together"),
        ({"smtp_listen": HostPort("0.0.0.0", 25)}, "server.smtp_listen: 0.0.0.0"),  # noqa: S104
        ({"pop3_listen": HostPort("", 110)}, "server.pop3_listen"),
        ({"mailboxes": {"../x": JANE}}, "server.mailbox.../x"),
        ({"mailboxes": {".": JANE}}, "is named with"),
        ({"mailboxes": {"a/b": JANE}}, "is named with"),
        ({"mailboxes": {"a\0": JANE}}, "is named with"),
        ({"mailboxes": {"jane": MailboxSettings("")}}, "the password is empty"),
        ({"mailboxes": {"jane": JANE, "joe": JANE}}, "jane@example.org belongs to jane too"),
    ],
)
def test_bad_settings_are_refused_with_the_key(changes: dict[str, Any], problem: str) -> None:
    """Before anything listens or a directory is made."""
    with pytest.raises(ConfigError, match=problem.replace(".", r"\.")):
        check_settings(settings(**changes))


def test_a_password_is_not_shown() -> None:
    """P7."""
    assert "secret" not in repr(settings())
