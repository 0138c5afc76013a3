"""Making, checking, locking and reading the ledger's file."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from popsync.errors import LedgerCorrupt, LedgerLocked, LedgerUnavailable
from popsync.ledger import SqliteLedger, look_at_ledger, open_ledger, opening, read_ledger
from popsync.ledger.schema import migrate_schema
from popsync.model import PollSummary
from tests.doubles.retrieved import ACCOUNT, make_key, make_seen

HUNDRED_THOUSAND = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000)
INSERT INTO message (account, unique_id, generation, digest, octets, state, first_seen, settled_at)
SELECT 1, CAST(hex(randomblob(16)) AS BLOB), 1, randomblob(32), 9, 'settled', 1.0, 2.0 FROM n
"""


def mode(path: Path) -> int:
    """Give a path's permission bits."""
    return path.stat().st_mode & 0o777


async def make_ledger(state_dir: Path, messages: int = 0) -> Path:
    """Make a ledger, cleanly closed; give its file."""
    ledger = await open_ledger(state_dir)
    seen = [make_seen(make_key(b"u%d" % n)) for n in range(messages)]
    await ledger.record(seen, [])
    await ledger.close()
    return state_dir / "ledger.sqlite3"


def contents(directory: Path) -> dict[str, bytes]:
    """Give every file's octets but the lock's."""
    return {p.name: p.read_bytes() for p in directory.iterdir() if p.name != "lock"}


def scramble(ledger: bytes) -> bytes:
    """Damage rows and leave the schema, which is at the beginning, as it is."""
    rows = 4096 * 25
    return ledger[:rows] + os.urandom(4096 * 10) + ledger[rows + 4096 * 10 :]


async def test_directory_and_files_are_their_owners_only(tmp_path: Path) -> None:
    """Unique-ids and addresses are nobody else's business, whatever the umask."""
    before = os.umask(0)
    try:
        ledger = await open_ledger(tmp_path / "a" / "state")
        await ledger.note_lock_step(ACCOUNT)
        modes = {path.name: mode(path) for path in (tmp_path / "a" / "state").iterdir()}
        await ledger.close()
    finally:
        os.umask(before)

    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "state") == 0o700
    assert set(modes) == {
        "ledger.sqlite3",
        "ledger.sqlite3-wal",
        "ledger.sqlite3-shm",
        "ledger.token",
        "lock",
    }
    assert set(modes.values()) == {0o600}


async def test_the_token_is_the_ledgers_for_good(tmp_path: Path) -> None:
    """64 random bits, the same at every opening."""
    first = await open_ledger(tmp_path)
    await first.close()
    second = await open_ledger(tmp_path)
    await second.close()

    assert first.token == second.token
    assert len(bytes.fromhex(first.token)) == 8


async def test_a_second_instance_is_told_who_holds_the_directory(
    tmp_path: Path, ledger: SqliteLedger
) -> None:
    """One popsync for each state directory."""
    with pytest.raises(LedgerLocked, match=rf"process {os.getpid()}\)"):
        await open_ledger(tmp_path / "state")


async def test_the_lock_is_free_again_after_close(tmp_path: Path) -> None:
    """Closing twice is fine."""
    ledger = await open_ledger(tmp_path)
    await ledger.close()
    await ledger.close()
    again = await open_ledger(tmp_path)
    await again.close()


async def test_an_operator_can_write_beside_the_daemon(
    tmp_path: Path, ledger: SqliteLedger
) -> None:
    """And has the lock when there is no daemon."""
    beside = await open_ledger(tmp_path / "state", beside_daemon=True)
    await beside.note_lock_step(ACCOUNT)
    await beside.close()
    alone = await open_ledger(tmp_path / "other", beside_daemon=True)

    assert (await ledger.memory(ACCOUNT)).lock_step
    with pytest.raises(LedgerLocked):
        await open_ledger(tmp_path / "other")
    await alone.close()


@pytest.mark.parametrize(
    ("pragma", "words"),
    [
        ("user_version = 99", r"newer popsync \(format 99, this one knows 4\)"),
        ("application_id = 7", "not a ledger of popsync"),
    ],
)
async def test_a_foreign_file_is_refused_untouched(
    tmp_path: Path, pragma: str, words: str
) -> None:
    """Somebody else's database, or one from tomorrow."""
    path = await make_ledger(tmp_path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA {pragma}")
    connection.close()
    before = path.read_bytes()

    with pytest.raises(LedgerCorrupt, match=words):
        await open_ledger(tmp_path)
    with pytest.raises(LedgerCorrupt, match=words):
        read_ledger(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["empty", "no header", "cut", "scrambled"])
async def test_a_damaged_file_is_refused_untouched(tmp_path: Path, damage: str) -> None:
    """The error says what to do; the lock is free again for whoever mends it."""
    path = await make_ledger(tmp_path, messages=500)
    octets = path.read_bytes()
    match damage:
        case "empty":
            octets = b""
        case "no header":
            octets = b"x" * 100 + octets[100:]
        case "cut":
            octets = octets[: len(octets) // 2]
        case _:
            octets = scramble(octets)
    path.write_bytes(octets)

    for _ in range(2):
        with pytest.raises(
            LedgerCorrupt, match=r"Put back a backup, or move it and ledger\.token away"
        ):
            await open_ledger(tmp_path)
    assert contents(tmp_path)[path.name] == octets


async def test_damage_found_while_reading_is_damage(tmp_path: Path, ledger: SqliteLedger) -> None:
    """A state that we never write cannot be guessed at."""
    await ledger.record([make_seen(make_key(b"u1"))], [])
    other = sqlite3.connect(tmp_path / "state" / "ledger.sqlite3")
    other.executescript(
        "PRAGMA ignore_check_constraints = 1; UPDATE message SET state = 'nonsense'"
    )
    other.close()

    with pytest.raises(LedgerCorrupt, match="nonsense"):
        await ledger.memory(ACCOUNT)


@pytest.mark.parametrize(("unclean", "checked"), [(False, False), (True, True)])
async def test_a_large_ledger_is_checked_only_after_an_unclean_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, unclean: bool, checked: bool
) -> None:
    """Checking takes time that a clean end makes needless."""
    monkeypatch.setattr(opening, "_ALWAYS_CHECKED_OCTETS", 0)
    path = await make_ledger(tmp_path, messages=500)
    path.write_bytes(scramble(path.read_bytes()))
    if unclean:
        path.with_name("ledger.sqlite3-wal").write_bytes(b"half a frame")

    if checked:
        with pytest.raises(LedgerCorrupt):
            await open_ledger(tmp_path)
    else:
        await (await open_ledger(tmp_path)).close()


@pytest.mark.parametrize("below", ["", "deeper"])
async def test_a_file_in_the_place_of_the_directory_is_named(tmp_path: Path, below: str) -> None:
    """For whoever writes and whoever looks, without the system's numbers."""
    (tmp_path / "state").write_text("mine")
    state_dir = tmp_path / "state" / below
    said = rf"state_dir {state_dir} cannot be used: {tmp_path}/state is not a directory; move"

    with pytest.raises(LedgerUnavailable, match=said):
        await open_ledger(state_dir)
    with pytest.raises(LedgerUnavailable, match=said):
        read_ledger(state_dir)
    assert (tmp_path / "state").read_text() == "mine"


async def test_what_the_system_refuses_is_said_in_words(tmp_path: Path) -> None:
    """Which file, and why; its number is for nobody."""
    (tmp_path / "lock").mkdir()

    with pytest.raises(LedgerUnavailable, match=r"cannot be used: /.*/lock: Is a directory$"):
        await open_ledger(tmp_path)


async def test_a_reader_sees_what_the_daemon_commits(tmp_path: Path, ledger: SqliteLedger) -> None:
    """``status`` needs neither lock nor a quiet moment."""
    with read_ledger(tmp_path / "state") as reader:
        before = reader.accounts()
        await ledger.note_poll(ACCOUNT, PollSummary(1.0, 2.0, listed=3))
        (after,) = reader.accounts()

    assert before == ()
    assert (after.account, after.last_poll) == (ACCOUNT, PollSummary(1.0, 2.0, listed=3))


async def test_a_reader_works_with_the_daemon_down(tmp_path: Path) -> None:
    """Cleanly closed, the ledger is one file."""
    await make_ledger(tmp_path, messages=3)
    with read_ledger(tmp_path) as reader:
        assert [report.pending for report in reader.accounts()] == [3]
        assert len(reader.memory(ACCOUNT).messages) == 3


def test_a_reader_works_after_the_daemon_was_killed(tmp_path: Path) -> None:
    """What was committed is there, though it is still in the write-ahead log."""
    program = (
        "import asyncio, os, sys; from pathlib import Path;"
        "from popsync.ledger import open_ledger;"
        "async def main():\n"
        "    ledger = await open_ledger(Path(sys.argv[1]))\n"
        "    await ledger.note_lock_step('jane@pop.example.org')\n"
        "    os._exit(9)\n"
        "asyncio.run(main())"
    ).replace(";async", "\nasync")
    killed = subprocess.run([sys.executable, "-c", program, tmp_path], check=False)

    assert killed.returncode == 9
    with read_ledger(tmp_path) as reader:
        assert reader.memory(ACCOUNT).lock_step


def test_no_ledger_reads_like_an_empty_one(tmp_path: Path) -> None:
    """Before the first poll there is nothing to tell, and asking makes no file."""
    with read_ledger(tmp_path / "state") as reader:
        assert reader.accounts() == ()
        assert reader.held() == ()
    assert list(tmp_path.iterdir()) == []


async def test_a_hundred_thousand_messages_are_read_in_moments(ledger: SqliteLedger) -> None:
    """A poll of a large mailbox does not wait for its history (P8)."""
    await ledger.note_lock_step(ACCOUNT)
    await ledger._write(lambda connection: connection.execute(HUNDRED_THOUSAND))
    memory = await ledger.memory(ACCOUNT)

    assert len(memory.messages) == 100_000


async def test_a_look_changes_nothing_on_disk(tmp_path: Path) -> None:
    """Not even a state directory is made, so nobody else's ledger can come about by it."""
    state = tmp_path / "state"
    ledger = await look_at_ledger(state)

    assert (await ledger.memory(ACCOUNT)).messages == {}
    with pytest.raises(LedgerUnavailable, match="looked at only"):
        await ledger.note_lock_step(ACCOUNT)
    await ledger.close()
    assert not state.exists()


ADDED_SINCE = {
    "account": (
        *("standing", "paused", "day", "delivered_today", "content_keys"),
        *("stamp", "quiet", "quiet_until"),
    ),
    "message": ("message_id", "spooled"),
}
TRIGGERS = ("message_added", "message_changed", "message_removed", "account_changed")


async def make_older_ledger(state_dir: Path) -> Path:
    """Make a ledger of the first version that knows three messages."""
    path = await make_ledger(state_dir, messages=3)
    connection = sqlite3.connect(path, isolation_level=None)
    for trigger in TRIGGERS:
        connection.execute(f"DROP TRIGGER {trigger}")
    for table, columns in ADDED_SINCE.items():
        for column in columns:
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    connection.execute("DROP TABLE hint")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    return path


def columns_of(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Give what SQLite says of every column of every table, in no order."""
    connection = sqlite3.connect(path)
    try:
        return {
            table: sorted(
                connection.execute(f"PRAGMA table_info({table})"), key=lambda c: str(c[1])
            )
            for table in ("account", "message", "delivery", "meta", "hint")
        }
    finally:
        connection.close()


async def test_an_older_ledger_becomes_one_of_today(tmp_path: Path) -> None:
    """It knows all that it knew, and has the tables that a new one has."""
    older = await make_older_ledger(tmp_path / "older")
    ledger = await open_ledger(tmp_path / "older")
    messages = (await ledger.memory(ACCOUNT)).messages
    await ledger.note_standing(ACCOUNT, "fine")
    await ledger.close()
    new = await make_ledger(tmp_path / "new")

    assert len(messages) == 3
    names = {table: [c[1:5] for c in columns] for table, columns in columns_of(older).items()}
    assert names == {
        table: [c[1:5] for c in columns] for table, columns in columns_of(new).items()
    }


async def test_an_older_ledger_is_read_without_changing_it(tmp_path: Path) -> None:
    """``status`` may be newer than the daemon that runs."""
    path = await make_older_ledger(tmp_path)
    before = path.read_bytes()
    with read_ledger(tmp_path) as reader:
        assert [report.pending for report in reader.accounts()] == [3]
    assert path.read_bytes() == before


async def test_a_crash_while_the_tables_change_leaves_the_older_ledger(tmp_path: Path) -> None:
    """The change is one transaction: the next start makes it again (P4)."""
    path = await make_older_ledger(tmp_path)
    before = columns_of(path)
    connection = sqlite3.connect(path, isolation_level=None)
    migrate_schema(connection)
    connection.close()  # without a commit

    assert columns_of(path) == before
    ledger = await open_ledger(tmp_path)
    assert len((await ledger.memory(ACCOUNT)).messages) == 3
    await ledger.close()
