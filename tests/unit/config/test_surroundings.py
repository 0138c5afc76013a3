"""What ``popsync check`` finds around a configuration."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from popsync.config.load import load_config
from popsync.config.surroundings import find_missing
from popsync.errors import ConfigError
from tests.doubles.disks import mounted_read_only
from tests.servers.certificates import issue_certificate
from tests.unit.config.files import GMX, INBOX, write

ENVIRON = {"PATH": os.environ["PATH"], "STATE_DIRECTORY": "/tmp", "EMPTY": ""}  # noqa: S108 - as systemd may set it


def missing(
    directory: Path, text: str, environ: Mapping[str, str] = ENVIRON, *, mode: int = 0o600
) -> list[str]:
    """Give the first line of each problem in and around a configuration."""
    path = write(directory, text, mode=mode)
    try:
        load_config(path, environ, searches=[find_missing])
    except ConfigError as error:
        return [
            problem.splitlines()[0].removeprefix(f"{path}:").replace(f"{directory}/", "")
            for problem in error.problems
        ]
    return []


def test_nothing_is_missing_from_a_sound_configuration(tmp_path: Path) -> None:
    """Directories that can be made need not be there."""
    assert missing(tmp_path, 'state_dir = "a/b/c"\n' + INBOX + GMX) == []


def test_what_is_there_and_in_order_is_not_mentioned(tmp_path: Path) -> None:
    """A password file, authorities, the server's certificate and key, a variable, a program."""
    certificate = issue_certificate(tmp_path)
    certificate.key_file.chmod(0o600)
    write(tmp_path, "s3cret", name="pw")
    server = (
        f'[server]\ntls_cert = "{certificate.chain_file}"\ntls_key = "{certificate.key_file}"\n'
    )
    sources = ('{ file = "pw" }', '{ env = "PATH" }', '{ command = ["sh"] }')
    accounts = [
        GMX.replace("gmx", f"a{n}").replace('"s3cret"', source) for n, source in enumerate(sources)
    ]
    authorities = f'ca_file = "{certificate.ca_file}"\n'

    assert missing(tmp_path, server + INBOX + "".join(accounts) + authorities) == []


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ('{ file = "pw" }', "password file pw cannot be read: No such file or directory"),
        ('{ file = "open" }', "password file open is open to others (mode 0644); run: chmod 600 "),
        (
            '{ command = ["no-such-program"] }',
            "needs the program no-such-program, which cannot be",
        ),
        ('{ command = ["/etc"] }', "needs the program /etc, which cannot be found"),
        ('{ env = "NOT_SET" }', "environment variable NOT_SET is not set"),
        ('{ env = "EMPTY" }', "environment variable EMPTY gave a password that is empty"),
    ],
)
def test_password_that_cannot_be_had_is_pointed_at(
    tmp_path: Path, password: str, said: str
) -> None:
    """With the line of the key, in the words of the poll that would fail."""
    write(tmp_path, "s3cret", name="open", mode=0o644)

    (found,) = missing(tmp_path, INBOX + GMX.replace('"s3cret"', password))

    assert found.startswith(f"9:1: account.gmx.password: {said}")


def test_credential_is_looked_for_inside_a_service_only(tmp_path: Path) -> None:
    """Outside of it nobody can tell."""
    text = INBOX + GMX.replace('"s3cret"', '{ credential = "pop" }')
    inside = {**ENVIRON, "CREDENTIALS_DIRECTORY": str(tmp_path)}

    assert missing(tmp_path, text) == []
    assert missing(tmp_path, text, inside) == [
        "9:1: account.gmx.password: credential pop cannot be read: No such file or directory"
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.pem", "none.pem cannot be read: No such file or directory"),
        (".", "is not a regular file"),
        ("empty.pem", "empty.pem holds no certificate in PEM form"),
    ],
)
def test_authorities_that_cannot_be_used_are_pointed_at(
    tmp_path: Path, name: str, said: str
) -> None:
    """Before the first handshake fails."""
    write(tmp_path, "certificate", name="empty.pem")

    (found,) = missing(tmp_path, INBOX + GMX + f'ca_file = "{name}"\n')

    assert found.startswith("11:1: account.gmx.ca_file: ")
    assert found.endswith(said)


def test_what_all_accounts_inherit_is_told_once(tmp_path: Path) -> None:
    """Where it is written."""
    text = '[defaults]\nca_file = "no.pem"\n' + INBOX + GMX + GMX.replace("gmx", "work")

    assert [problem.partition(": ")[0] for problem in missing(tmp_path, text)] == ["2:1"]


def test_a_disabled_account_needs_nothing(tmp_path: Path) -> None:
    """It may be waiting for what is missing."""
    text = INBOX + GMX.replace('"s3cret"', '{ env = "NOT_SET" }') + "enabled = false\n"

    assert missing(tmp_path, text) == []


def test_files_of_the_server_are_looked_at(tmp_path: Path) -> None:
    """Certificate, and a key that is nobody else's to read."""
    write(tmp_path, "key", name="key.pem", mode=0o644)
    text = '[server]\ntls_cert = "cert.pem"\ntls_key = "key.pem"\n'

    assert missing(tmp_path, text) == [
        "2:1: server.tls_cert: cert.pem cannot be read: No such file or directory",
        "3:1: server.tls_key: key.pem is open to every user; run: chmod o= key.pem",
    ]


def test_directory_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    """Of the state, of a Maildir, and where the system would have the state."""
    write(tmp_path, "", name="file")
    stated = missing(
        tmp_path, 'state_dir = "file/state"\n' + INBOX.replace("Mail", "file/m") + GMX
    )
    implied = missing(tmp_path, INBOX + GMX, {**ENVIRON, "STATE_DIRECTORY": f"{tmp_path}/file"})

    assert stated == [
        "1:1: state_dir: cannot be made: file is not a directory",
        "5:1: destination.inbox.path: cannot be made: file is not a directory",
    ]
    assert "there is no state_dir, and file cannot be made" in implied[0]


def test_directory_that_may_not_be_written_to_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever checks is whoever will poll."""
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)

    (found, *_) = missing(tmp_path, 'state_dir = "state"\n' + INBOX + GMX)

    assert found.startswith("1:1: state_dir: cannot be used: no permission to write to ")


def test_a_read_only_file_system_is_told_as_that(tmp_path: Path) -> None:
    """More permissions would not help there."""
    (tmp_path / "disk").mkdir()

    with mounted_read_only(tmp_path / "disk"):
        (found, *_) = missing(tmp_path, 'state_dir = "disk/state"\n' + INBOX + GMX)

    assert found == "1:1: state_dir: cannot be used: the file system of disk is mounted read-only"


def test_what_is_wrong_by_itself_is_told_once(tmp_path: Path) -> None:
    """A value that cannot be one is not looked for."""
    text = "state_dir = 1\n" + INBOX + GMX.replace('"s3cret"', "1")

    assert [problem.partition(": ")[0] for problem in missing(tmp_path, text)] == ["1:1", "10:1"]
