"""A first configuration from a few answers."""

import tomllib
from dataclasses import replace

import pytest

from popsync.cli.first_config import (
    Answers,
    assume_tls,
    choose_account_name,
    describe_tls,
    format_first_config,
    guess_host,
    split_host,
    table_of_secret,
)

ANSWERS = Answers(
    address="jane@gmx.net",
    host="pop.gmx.net",
    port=None,
    tls="implicit",
    user="jane@gmx.net",
    password_form="command",
    password="pass show 'mail/my gmx'",
    mode="keep",
    maildir="~/Mail",
)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("jane@gmx.net", "pop.gmx.net"),
        ("jane@GMX.de", "pop.gmx.net"),
        ("jane@web.de", "pop3.web.de"),
        ("jane@example.org", "pop.example.org"),
        ("jane", ""),
    ],
)
def test_the_server_is_guessed_from_the_address(address: str, host: str) -> None:
    """Known providers by name, others as pop.DOMAIN; nothing without a domain."""
    assert guess_host(address) == host


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("pop.gmx.net", "pop.gmx.net", None),
        ("pop.gmx.net:110", "pop.gmx.net", 110),
        ("[::1]:1110", "[::1]", 1110),
        ("[::1]", "[::1]", None),
        ("::1", "::1", None),
    ],
)
def test_a_port_may_follow_the_server(text: str, host: str, port: int | None) -> None:
    """The colons of an IPv6 address are not taken for it."""
    assert split_host(text) == (host, port)


@pytest.mark.parametrize("text", ["pop.gmx.net:", "pop.gmx.net:0", "a:pop3", "a:999999"])
def test_a_port_that_is_none_is_refused(text: str) -> None:
    """With a sentence for the user."""
    with pytest.raises(ValueError, match="port"):
        split_host(text)


@pytest.mark.parametrize(
    ("host", "port", "tls"),
    [
        ("pop.gmx.net", None, "implicit"),
        ("127.0.0.1", 995, "implicit"),
        ("pop.gmx.net", 110, "starttls"),
        ("localhost", 110, "none"),
        ("[::1]", 110, "none"),
        ("localhost", 2110, None),
        ("mail.example.org", 1995, None),
    ],
)
def test_only_a_port_of_its_own_decides_about_tls(
    host: str, port: int | None, tls: str | None
) -> None:
    """P7: any other port says nothing about encryption, so the user must."""
    assert assume_tls(host, port) == tls


def test_what_was_assumed_is_said_with_its_port() -> None:
    """So that a wrong guess is seen before the password is asked for."""
    assert describe_tls("implicit", None) == (
        'Port 995, so TLS is on from the start: tls = "implicit"'
    )


def test_comments_stand_in_one_column() -> None:
    """Whatever the answers, as long as they leave room."""
    text = format_first_config(replace(ANSWERS, tls="none", host="localhost", port=2110))
    columns = {line.rindex("#") for line in text.splitlines() if line.find(" #") > 0}

    assert columns == {34}


@pytest.mark.parametrize(
    ("address", "name"),
    [("jane@gmx.net", "gmx"), ("jane@Büro.example", "b-ro"), ("Jane", "jane"), ("j@.", "mail")],
)
def test_the_account_is_named_after_the_domain_or_the_user(address: str, name: str) -> None:
    """In letters that need no quotes in TOML."""
    assert choose_account_name(replace(ANSWERS, address=address)) == name


def test_the_file_says_what_was_answered() -> None:
    """A command is split into words as a shell would."""
    parsed = tomllib.loads(format_first_config(ANSWERS))

    assert parsed == {
        "destination": {"inbox": {"type": "maildir", "path": "~/Mail"}},
        "account": {
            "gmx": {
                "host": "pop.gmx.net",
                "tls": "implicit",
                "user": "jane@gmx.net",
                "password": {"command": ["pass", "show", "mail/my gmx"]},
                "mode": "keep",
            }
        },
    }


@pytest.mark.parametrize("text", ['q"\\uote', "ünï\u2028", "{brace}", "\x7f"])
def test_any_answer_survives_the_quoting(text: str) -> None:
    """What TOML reads back is what was typed, in every place."""
    answers = replace(
        ANSWERS, user=text, password_form="literal", password=text, maildir=text, port=1995
    )
    parsed = tomllib.loads(format_first_config(answers))

    account = parsed["account"]["gmx"]
    assert (account["user"], account["password"], account["port"]) == (text, text, 1995)
    assert parsed["destination"]["inbox"]["path"] == text


def test_a_file_is_named_not_read() -> None:
    """A password kept in a file stays there."""
    parsed = tomllib.loads(
        format_first_config(replace(ANSWERS, password_form="file", password="~/.secret"))
    )

    assert parsed["account"]["gmx"]["password"] == {"file": "~/.secret"}


def test_a_command_with_an_open_quote_is_refused() -> None:
    """With a sentence for the user."""
    with pytest.raises(ValueError, match="quote"):
        table_of_secret("command", "pass 'mail")
