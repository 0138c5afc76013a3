import os
from pathlib import Path

import pytest

from popsync.config.files import FileContent
from popsync.config.load import load_config
from popsync.errors import ConfigError
from tests.unit.config.files import GMX, INBOX, problems, problems_of, write

WORK = GMX.replace("gmx", "work")
INCLUDE = 'include = ["accounts.d/*.toml"]\n'


def refusal(path: Path) -> str:
    """Give the words of a refusal."""
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return str(caught.value)


def test_missing_file_is_told_with_the_systems_reason(tmp_path: Path) -> None:
    """No traceback, and the whole name."""
    assert (
        refusal(tmp_path / "x.toml")
        == f"{tmp_path}/x.toml: cannot be read: No such file or directory"
    )


def test_directory_pipe_and_device_are_refused(tmp_path: Path) -> None:
    """A pipe without a writer does not block."""
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        assert refusal(path) == f"{path}: is not a regular file"


def test_link_to_a_file_is_followed(tmp_path: Path) -> None:
    """Dotfiles are often links; relative paths start where the link is."""
    target = write(tmp_path / "real", INBOX)
    link = tmp_path / "popsync.toml"
    link.symlink_to(target)

    assert load_config(link).destinations["inbox"].path == tmp_path / "Mail"  # type: ignore[union-attr]


def test_file_of_more_than_a_mebibyte_is_refused(tmp_path: Path) -> None:
    """Nothing larger is a configuration."""
    assert "larger than 1024 KB" in refusal(write(tmp_path, "#" * (1024 * 1024 + 1)))


def test_name_with_nul_is_refused() -> None:
    """The system cannot have such a file."""
    assert "NUL" in refusal(Path("/etc/a\0b"))


def test_text_in_another_encoding_is_told_by_line(tmp_path: Path) -> None:
    """The first wrong octet is pointed at."""
    path = write(tmp_path, "")
    path.write_bytes("# ä\nx = 'ü'".encode() + b"\nuser = 'J\xe4ne'\n")

    assert refusal(path) == f"{path}:3:10: is not UTF-8 text; save the file as UTF-8"


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("[account.x]\nuser = jane\n", "2:8", "a text needs quotes"),
        ("a = 'x\nb = 1", "2:6", "a quote is missing"),
        ('a = "x\nb = 1', "1:7", "a quote is missing"),
        ("a = [1, 2", "1:10", "not closed"),
        ("a = {b = 1", "1:11", "not closed"),
        ("a = 1 b = 2", "1:7", "one key to a line"),
        ("a", "1:2", '"="'),
        ("a = 1\na = 2", "2:6", "already set"),
        ("= 1", "1:1", "[table] or key = value"),
        ("[a]\n[a]\n", "2:3", "already defined above"),
        ("[a\n", "1:3", 'by "]"'),
        ("a = 1\n\x01", "2:1", "TOML: "),
        ('a = "C:\\q"', "1:10", "doubled"),
    ],
)
def test_syntax_error_is_told_where_and_how(
    tmp_path: Path, text: str, where: str, words: str
) -> None:
    """Tomllib's place, in the user's words."""
    found = problems(tmp_path, text)

    assert found[0].startswith(f"{where}: ")
    assert words in found[0]


@pytest.mark.parametrize(
    "text",
    [
        "password = hunter2",
        'password = "hunter2',
        'pw = """\nhunter2 \\q\n"""',
        'pw = """\nhunter2 = \\q\n"""',
        "pw = '''\nx = hunter2\n''' '''",
        '"pass word" = hunter2',
        "a = { password = hunter2 }",
        'password = "hunter2" x',
        "[account.x]\nhunter2",
    ],
)
def test_syntax_error_shows_no_value(tmp_path: Path, text: str) -> None:
    """Whatever is wrong, a password may stand there (P7)."""
    assert "hunter2" not in refusal(write(tmp_path, text)).replace("[account.x]", "")


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 5000 + "]" * 5000,
        "a = " + "9" * 5000,
        "a = 2026-13-45",
        "a" + ".b" * 5000 + " = 1",
        "a = 1e999999",
    ],
)
def test_extreme_values_are_no_traceback(tmp_path: Path, text: str) -> None:
    """What Python cannot hold is refused like any mistake."""
    assert refusal(write(tmp_path, text)).startswith(str(tmp_path))


def test_number_that_is_too_long_is_told_by_line(tmp_path: Path) -> None:
    """In the user's words, not Python's."""
    assert problems(tmp_path, "[account.x]\nport = " + "9" * 5000) == [
        "2:8: TOML: a number is too long"
    ]


def test_included_accounts_and_destinations_count_as_written_here(tmp_path: Path) -> None:
    """Files come in the order of their names, after the main file; paths start from each."""
    write(tmp_path, WORK.replace('"s3cret"', '{ file = "pw" }'), name="accounts.d/b.toml")
    write(tmp_path, INBOX, name="accounts.d/a.toml")
    write(tmp_path, "broken", name="accounts.d/.a.toml.swp")
    main = write(tmp_path, INCLUDE + "[defaults]\nca_file = 'ca.pem'\n" + GMX)

    config = load_config(main)

    assert list(config.accounts) == ["gmx", "work"]
    assert config.destinations["inbox"].path == tmp_path / "accounts.d/Mail"  # type: ignore[union-attr]
    assert config.accounts["work"].password.file == tmp_path / "accounts.d/pw"  # type: ignore[union-attr]
    assert config.accounts["work"].ca_file == tmp_path / "ca.pem"
    assert [path.name for path in config.files] == ["popsync.toml", "a.toml", "b.toml"]
    assert config.include == (str(tmp_path / "accounts.d/*.toml"),)


def test_file_matched_twice_is_read_once(tmp_path: Path) -> None:
    """Neither two globs nor a glob over the main file define anything twice."""
    write(tmp_path, GMX, name="gmx.toml")
    main = write(tmp_path, 'include = ["*.toml", "g*.toml"]\n' + INBOX)

    assert [path.name for path in load_config(main).files] == ["popsync.toml", "gmx.toml"]


def test_directory_with_glob_characters_is_taken_literally(tmp_path: Path) -> None:
    """Only the user's pattern is one."""
    write(tmp_path / "[a]*", GMX, name="accounts.d/x.toml")
    main = write(tmp_path / "[a]*", INCLUDE + INBOX)

    assert list(load_config(main).accounts) == ["gmx"]


def test_included_file_by_name_must_exist(tmp_path: Path) -> None:
    """A glob may match nothing, a name may not."""
    assert problems(tmp_path, 'include = ["*.x", "work.toml"]') == [
        "1:19: include[1]: no such file"
    ]


def test_duplicate_across_files_names_both_places(tmp_path: Path) -> None:
    """The user must choose which one goes."""
    write(tmp_path, GMX, name="accounts.d/a.toml")
    main = write(tmp_path, INCLUDE + INBOX + GMX)

    assert problems_of(main) == [
        f"accounts.d/a.toml:2:1: account.gmx: is defined twice; the other one is at {main}:7"
    ]


def test_included_file_holds_nothing_else(tmp_path: Path) -> None:
    """One place for everything that is there once."""
    write(tmp_path, '[log]\nlevel = "debug"\n', name="accounts.d/a.toml")
    main = write(tmp_path, INCLUDE)

    (found,) = problems_of(main)

    assert found.startswith(f"accounts.d/a.toml:1:1: log: belongs in {main}; an included file")


def test_errors_of_all_files_are_told_together(tmp_path: Path) -> None:
    """The main file comes first, then each by name; a broken one does not hide the others."""
    write(tmp_path, "broken", name="accounts.d/a.toml")
    write(tmp_path, "[account.b]\nhots = 1\n", name="accounts.d/b.toml")
    main = write(tmp_path, INCLUDE + INBOX + "[log]\nlevell = 1\n")

    files = [problem.split(":")[0] for problem in problems_of(main)]

    assert files[0] == "7"
    assert files[1] == "accounts.d/a.toml"
    assert set(files[2:]) == {"accounts.d/b.toml"}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604, 0o606])
def test_literal_password_in_an_open_file_is_refused(tmp_path: Path, mode: int) -> None:
    """The cure is in the message; one line for the file is enough."""
    path = write(tmp_path, INBOX + GMX + WORK, mode=mode)

    found = problems_of(path)

    assert len(found) == 1
    assert "account.gmx.password: stands in a file that is open to others" in found[0]
    assert f"chmod 600 {path}" in found[0]


def test_open_file_without_a_password_is_taken(tmp_path: Path) -> None:
    """A configuration without secrets may be public."""
    path = write(tmp_path, INBOX + GMX.replace('"s3cret"', '{ env = "PW" }'), mode=0o644)

    assert load_config(path).accounts


def test_group_may_read_when_allowed(tmp_path: Path) -> None:
    """Reading is allowed to the group, writing is not."""
    text = "allow_group = true\n" + INBOX + GMX

    assert load_config(write(tmp_path, text, mode=0o640)).allow_group
    assert "0660" in refusal(write(tmp_path, text, mode=0o660))


def test_included_file_with_a_password_must_be_closed_itself(tmp_path: Path) -> None:
    """Each file is judged by what it holds."""
    path = write(tmp_path, GMX, name="accounts.d/a.toml", mode=0o644)

    assert f"chmod 600 {path}" in problems_of(write(tmp_path, INCLUDE + INBOX, mode=0o644))[0]


def test_secret_of_another_users_file_is_not_trusted() -> None:
    """Whoever owns a file can change it; the cure is another owner, not another mode."""
    strange = FileContent(b"", 0o644, os.geteuid() + 54_321)

    told = strange.distrust(Path("/a b"), allow_group=False)

    assert told.startswith(
        f"belongs to another user, {os.geteuid() + 54_321}; run as root: chown "
    )
    assert told.endswith(" '/a b'")
    assert not FileContent(b"", 0o600, 0).distrust(Path("/a"), allow_group=False)
