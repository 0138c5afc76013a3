import subprocess
import sys
from pathlib import Path

import pytest
from pydantic_core import ValidationError

from popsync.config.model import LimitsConfig, MailboxConfig, MaildirDestination, SmtpDestination
from popsync.config.secrets import LiteralSecret


def test_a_table_made_in_code_is_checked() -> None:
    """What a file may not say, code may not either."""
    with pytest.raises(ValidationError, match="less than or equal to 100000"):
        LimitsConfig(connections=100_001)
    with pytest.raises(ValidationError, match="Extra inputs"):
        LimitsConfig(connektions=1)  # type: ignore[call-arg]


def test_a_table_is_frozen() -> None:
    """A poll under way keeps the configuration that it began with."""
    limits = LimitsConfig()

    with pytest.raises(AttributeError, match="LimitsConfig is frozen"):
        limits.connections = 7  # type: ignore[misc]


def test_tables_with_the_same_values_are_the_same() -> None:
    """A reload compares them; the type counts, too."""
    limits = LimitsConfig(connections=7)

    assert limits == LimitsConfig(connections=7)
    assert limits != LimitsConfig()
    assert limits != object()
    assert len({limits, LimitsConfig(connections=7), LimitsConfig()}) == 2


def test_a_default_may_depend_on_another_key() -> None:
    """The port of a server follows from its TLS, unless it is stated."""
    host = "mx.example.org"
    assert SmtpDestination(type="smtp", host=host).port == 25
    assert SmtpDestination(type="smtp", host=host, tls="implicit").port == 465
    assert SmtpDestination(type="smtp", host=host, tls="implicit", port=2465).port == 2465


def test_replace_changes_nothing_else() -> None:
    """The table before stays as it was."""
    before = MaildirDestination(type="maildir", path=Path("/a"))

    assert before.replace(path=Path("/b")).path == Path("/b")
    assert before.path == Path("/a")


def test_no_password_shows_in_a_repr() -> None:
    """Not even in a traceback with all local variables (P7)."""
    shown = repr(MailboxConfig(password=LiteralSecret("hunter2")))

    assert shown == "MailboxConfig(password=LiteralSecret(), addresses=())"


def test_reading_a_configuration_takes_no_more_of_pydantic_than_its_core() -> None:
    """The rest takes longer to import than all else that a poll from cron does first."""
    code = "import sys, popsync.config.load; sys.exit('pydantic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
