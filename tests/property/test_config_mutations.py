from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from popsync.config.load import load_config
from popsync.errors import ConfigError

FULL = (Path(__file__).parents[2] / "examples" / "full.toml").read_text()
LINES = FULL.splitlines()
CANARY = "hunter2"

lines = st.integers(0, len(LINES) - 1)
odd_values = st.sampled_from(
    [
        r"1",
        r"-1",
        r"true",
        r"1.5",
        r"nan",
        r'""',
        r"[]",
        r"{}",
        r"[[]]",
        r"[1]",
        r'[""]',
        r"{x=1}",
        r"1e400",
        r'"\u0000"',
        r'"\u202e"',
        r'"\u001b[2J"',
        r"2026-01-01",
        r"07:32:00",
        r"999999999999999999999999999999",
        r'"/"',
        r'"~"',
        r'"*"',
        r'{file="~x"}',
        r'["~nobody-of-that-name/*"]',
        r'"none"',
        r'"lmtp"',
        r'"delete"',
        r'"inbox"',
    ]
)
odd_lines = st.sampled_from(
    [
        "[account]",
        "[[account]]",
        "[account.gmx]",
        "[defaults.x]",
        "a.b.c = 1",
        "[server.mailbox]",
        "[log]",
    ]
)
edits = st.lists(
    st.one_of(
        st.tuples(st.just("value"), lines, odd_values),
        st.tuples(st.just("drop"), lines, st.just("")),
        st.tuples(st.just("insert"), lines, odd_lines),
        st.tuples(st.just("swap"), lines, lines.map(str)),
        st.tuples(
            st.just("key"), lines, st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
        ),
    ),
    min_size=1,
    max_size=4,
)


def edit(kind: str, changed: list[str], index: int, what: str) -> None:
    """Make one mistake in a line that still exists."""
    line = changed[index % len(changed)]
    key, equals, value = line.partition(" = ")
    if kind == "value" and equals:
        line = f"{key} = {what}"
    elif kind == "drop":
        line = ""
    elif kind == "insert":
        line = f"{what}\n{line}"
    elif kind == "swap":
        line = changed[int(what) % len(changed)]
    elif kind == "key":
        line = f"{key}{what} = {value}"
    changed[index % len(changed)] = line


def load(directory: Path, octets: bytes) -> str:
    """Load a file with these octets; give what is said, or nothing when it loads."""
    path = directory / "popsync.toml"
    path.write_bytes(octets)
    path.chmod(0o600)
    try:
        load_config(path)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give one directory for all examples."""
    return tmp_path_factory.mktemp("mutations")


@given(edits)
def test_mistakes_in_the_file_raise_nothing_but_config_errors(
    directory: Path, edits: list[tuple[str, int, str]]
) -> None:
    """Whatever is written, the user is told; each problem begins with the file."""
    changed = list(LINES)
    for kind, index, what in edits:
        edit(kind, changed, index, what)

    told = load(directory, "\n".join(changed).encode())

    assert not told or told.startswith(str(directory))
    assert "\x1b" not in told
    assert "\u202e" not in told


@given(st.integers(0, len(FULL) - 1), st.binary(max_size=4), st.integers(0, 4))
def test_any_octets_in_the_file_raise_nothing_but_config_errors(
    directory: Path, at: int, octets: bytes, dropped: int
) -> None:
    """Not even what is no text."""
    whole = FULL.encode()

    load(directory, whole[:at] + octets + whole[at + dropped :])


secret_places = st.sampled_from(
    r"""
    password = "hunter2"
    password = 'hunter2'
    password = hunter2
    password = "hunter2
    passwort = "hunter2"
    pw = "hunter2"
    password = \"""hunter2\"""
    password = \"""¶hunter2\"""
    password = "hunter2" pol = 1
    password = ["hunter2"]
    password = { cmd = "hunter2" }
    password = { command = "hunter2" }
    password = { command = ["x", "hunter2"], zz = 1 }
    x = { password = \"""¶hunter2\""", hots = 1 }
    password = "hunter2\n"
    password.x = 'hunter2'
    [account.gmx.password]¶foo = "hunter2"
    [account.gmx.passwort]¶foo = "hunter2"
    """.replace('\\"', '"')
    .strip()
    .splitlines()
).map(lambda line: line.strip().replace("¶", "\n"))


@given(secret_places, lines, edits)
@example("[account.gmx.passwort]\nfoo = 'hunter2'", 0, [("drop", 0, "")])
def test_no_mistake_shows_a_password(
    directory: Path, secret: str, index: int, edits: list[tuple[str, int, str]]
) -> None:
    """However broken the file is, what stands beside a password's key is never shown (P7)."""
    changed = list(LINES)
    for kind, line, what in edits:
        edit(kind, changed, line, what)
    changed.insert(index, secret)

    assert CANARY not in load(directory, "\n".join(changed).encode())
