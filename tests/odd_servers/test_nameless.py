"""Messages that the server gives no usable unique-id are known by their content."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from popsync.errors import UidlUnsupported
from popsync.model import MessageState
from tests.odd_servers.form import MAIL, answer_verb, make_mail
from tests.odd_servers.harness import Bench, open_bench
from tests.odd_servers.server import CLOSE, Answer, Mail, Oddity, OddServer, Turn

NEW = make_mail("new", b"Came later.\r\n")
TWIN = Mail(b"uid-twin", MAIL[1].octets)
BARE = tuple(Mail(b"uid-%d" % n, b"No header, %d.\r\n" % n) for n in range(3))

NAMELESS_ROWS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda rows: rows.replace(b" uid-two", b""),
    "blank": lambda rows: rows.replace(b" uid-two", b" "),
    "blanks-and-tabs": lambda rows: rows.replace(b"uid-two", b"  \t"),
    "nul": lambda rows: rows.replace(b"uid-two", b"uid\0two"),
    "cr": lambda rows: rows.replace(b"uid-two", b"uid\rtwo"),
    "lf": lambda rows: rows.replace(b"uid-two", b"uid\ntwo"),
    "1025-octets": lambda rows: rows.replace(b"uid-two", b"u" * 1025),
    "3000-octets": lambda rows: rows.replace(b"uid-two", b"u" * 3000),
}


def _rows(edit: Callable[[bytes], bytes], *, sessions: frozenset[int] = frozenset()) -> Oddity:
    def oddity(turn: Turn) -> bytes | None:
        fits = turn.line.upper() == b"UIDL" and (not sessions or turn.session in sessions)
        return edit(turn.usual) if fits else None

    return oddity


NO_UIDL = answer_verb(b"UIDL", b"-ERR what is that?\r\n")


def _content(mail: Mail) -> bytes:
    return mail.octets.replace(b"\r\n", b"\n")


def _once(*mail: Mail) -> dict[bytes, int]:
    return dict.fromkeys(map(_content, mail), 1)


def _retrievals(server: OddServer) -> int:
    return sum(command.startswith(b"RETR") for command in server.commands)


async def _live(bench: Bench) -> set[bytes]:
    memory = await bench.ports.ledger.memory(bench.account.id)
    return {
        uid for uid, known in memory.messages.items() if known[-1].state is not MessageState.GONE
    }


# -- single rows -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMELESS_ROWS)
@pytest.mark.parametrize("deletes", [False, True])
async def test_a_row_without_a_usable_unique_id_costs_nothing_else(
    name: str, tmp_path: Path, *, deletes: bool
) -> None:
    """That message and the others arrive once; in delete mode all leave."""
    server = OddServer(list(MAIL), _rows(NAMELESS_ROWS[name]))
    async with open_bench(server, tmp_path, deletes=deletes) as bench:
        for _ in range(3):
            report = await bench.poll()
            assert report.error is None
            assert bench.arrived == _once(*MAIL)
    assert tuple(server.mail) == (() if deletes else MAIL)
    assert _retrievals(server) == len(MAIL)


@pytest.mark.parametrize("name", NAMELESS_ROWS)
@pytest.mark.parametrize("mail", [MAIL, BARE], ids=["with Message-ID", "without header"])
async def test_a_unique_id_that_fails_once_brings_nothing_twice(
    name: str, mail: tuple[Mail, ...], tmp_path: Path
) -> None:
    """The message is known by its octets, and afterwards by its unique-id again."""
    named = [Mail(b"uid-two", one.octets) if n == 1 else one for n, one in enumerate(mail)]
    server = OddServer(named, _rows(NAMELESS_ROWS[name], sessions=frozenset({2})))
    async with open_bench(server, tmp_path, deletes=False) as bench:
        for _ in range(4):
            await bench.poll()
            assert bench.arrived == _once(*mail)
        assert await _live(bench) == {one.unique_id for one in named}


@pytest.mark.parametrize("mail", [MAIL, BARE], ids=["with Message-ID", "without header"])
async def test_a_unique_id_that_comes_later_brings_nothing_twice(
    mail: tuple[Mail, ...], tmp_path: Path
) -> None:
    """What was known by its octets is the same message under its name."""
    named = [Mail(b"uid-two", one.octets) if n == 1 else one for n, one in enumerate(mail)]
    server = OddServer(named, _rows(NAMELESS_ROWS["blank"], sessions=frozenset({1})))
    async with open_bench(server, tmp_path, deletes=False) as bench:
        for _ in range(3):
            await bench.poll()
            assert bench.arrived == _once(*mail)


async def test_nobody_is_gone_who_is_there_without_a_name(tmp_path: Path) -> None:
    """A message that has left is noted, one that lost its unique-id is not."""
    server = OddServer(list(MAIL), _rows(NAMELESS_ROWS["none"], sessions=frozenset({2})))
    async with open_bench(server, tmp_path, deletes=False) as bench:
        await bench.poll()
        del server.mail[2]
        await bench.poll()
        assert {b"uid-one", b"uid-two"} < await _live(bench)
        assert b"uid-three" not in await _live(bench)


async def test_nobody_is_gone_while_a_nameless_message_was_not_seen(tmp_path: Path) -> None:
    """It may be any of those that are missing."""
    odd = _rows(NAMELESS_ROWS["none"], sessions=frozenset({2}))
    refused = answer_verb(b"RETR 2", b"-ERR not now\r\n")
    server = OddServer(
        list(MAIL), lambda turn: (odd(turn) or refused(turn)) if turn.session == 2 else None
    )
    async with open_bench(server, tmp_path, deletes=False) as bench:
        await bench.poll()
        del server.mail[2]
        await bench.poll()
        assert await _live(bench) == {mail.unique_id for mail in MAIL}
        await bench.poll()
        assert await _live(bench) == {mail.unique_id for mail in MAIL[:2]}
        assert bench.arrived == _once(*MAIL)


async def test_another_message_in_its_place_is_found_within_a_day(tmp_path: Path) -> None:
    """Number and size are the same, so only a second look tells."""
    server = OddServer(list(MAIL), _rows(NAMELESS_ROWS["blank"]))
    async with open_bench(server, tmp_path, deletes=False) as bench:
        await bench.poll()
        other = Mail(b"uid-two", MAIL[1].octets.replace(b"Second", b"SECOND"))
        server.mail[1] = other
        for _ in range(12):
            await bench.poll()
        assert bench.arrived == _once(*MAIL, other)
    assert _retrievals(server) == len(MAIL) + 1


async def test_another_size_in_its_place_is_retrieved_at_once(tmp_path: Path) -> None:
    """A hint that does not fit is none."""
    server = OddServer(list(MAIL), _rows(NAMELESS_ROWS["blank"]))
    async with open_bench(server, tmp_path, deletes=False) as bench:
        await bench.poll()
        server.mail[1] = Mail(b"uid-two", NEW.octets)
        await bench.poll()
        assert bench.arrived == _once(*MAIL, NEW)


# -- no UIDL at all --------------------------------------------------------------------------


async def test_without_uidl_keep_mode_is_refused_with_the_reason(tmp_path: Path) -> None:
    """Nothing is retrieved; a person has to choose another mode."""
    server = OddServer(list(MAIL), NO_UIDL)
    async with open_bench(server, tmp_path, deletes=False) as bench:
        report = await bench.poll()

        assert isinstance(report.error, UidlUnsupported)
        assert "what is that?" in str(report.error)
        assert "mode 'keep'" in str(report.error)
        assert not bench.arrived
    assert _retrievals(server) == 0
    assert tuple(server.mail) == MAIL


async def test_without_uidl_delete_mode_brings_all_once(tmp_path: Path) -> None:
    """Of two copies with the same octets one is delivered, and both are deleted."""
    server = OddServer([*MAIL, TWIN], NO_UIDL)
    async with open_bench(server, tmp_path) as bench:
        await bench.poll()
        assert bench.arrived == _once(*MAIL)
        assert server.mail == []
        server.mail = [NEW]
        await bench.poll()
        assert bench.arrived == _once(*MAIL, NEW)
    assert server.mail == []


async def test_without_uidl_and_list_it_goes_by_the_count(tmp_path: Path) -> None:
    """STAT alone tells how many there are."""

    def refuses(turn: Turn) -> bytes | None:
        return b"-ERR no\r\n" if turn.verb in (b"UIDL", b"LIST") else None

    server = OddServer(list(MAIL), refuses)
    async with open_bench(server, tmp_path) as bench:
        await bench.poll()
        assert bench.arrived == _once(*MAIL)
    assert server.mail == []


CUTS: dict[str, tuple[bytes, Answer]] = {
    "before-a-message": (b"RETR 3", CLOSE),
    "before-the-deletions": (b"DELE 1", CLOSE),
    "between-deletions": (b"DELE 2", CLOSE),
    "at-quit": (b"QUIT", CLOSE),
    "agreed-and-forgotten": (b"QUIT", Answer(b"-ERR not now\r\n", closes=True)),
}


@pytest.mark.parametrize("name", CUTS)
async def test_without_uidl_a_session_that_breaks_doubles_nothing(
    name: str, tmp_path: Path
) -> None:
    """What was delivered and not deleted comes again, is recognised, and then deleted."""
    server = OddServer(list(MAIL), answer_verb(*CUTS[name], until=1))
    usual = server.oddity
    server.oddity = lambda turn: NO_UIDL(turn) or usual(turn)
    async with open_bench(server, tmp_path) as bench:
        for _ in range(3):
            await bench.poll()
            left = {_content(one) for one in server.mail}
            assert left | bench.arrived.keys() == _once(*MAIL).keys()
        assert bench.arrived == _once(*MAIL)
    assert server.mail == []


async def test_what_waits_for_its_deletion_is_retrieved_once_a_day(tmp_path: Path) -> None:
    """And never deleted by number and size alone: its content is seen first."""
    server = OddServer(list(MAIL), NO_UIDL)
    async with open_bench(server, tmp_path) as bench:
        policy = replace(bench.account.policy, delete_after_s=30 * 3600)
        bench.account = replace(bench.account, policy=policy)
        for _ in range(12):
            await bench.poll()
        assert _retrievals(server) == len(MAIL)
        for _ in range(6):
            await bench.poll()
        assert bench.arrived == _once(*MAIL)
        assert _retrievals(server) <= 3 * len(MAIL)
    assert server.mail == []


async def test_a_message_that_breaks_the_session_comes_last(tmp_path: Path) -> None:
    """Those behind it arrive (P5), though nothing but its place tells which it is."""
    broken = answer_verb(b"RETR 1", Answer(b"+OK\r\nhalf", closes=True))
    server = OddServer(list(MAIL), lambda turn: NO_UIDL(turn) or broken(turn))
    async with open_bench(server, tmp_path) as bench:
        await bench.poll()
        await bench.poll()
        assert bench.arrived == _once(*MAIL[1:])
    assert server.mail[0] == MAIL[0]


async def test_uidl_that_vanishes_costs_no_message(tmp_path: Path) -> None:
    """What waits for its deletion is recognised by its octets, and waits on."""
    gone = answer_verb(b"UIDL", b"-ERR what?\r\n")
    server = OddServer(list(MAIL), lambda turn: gone(turn) if turn.session > 1 else None)
    async with open_bench(server, tmp_path) as bench:
        policy = replace(bench.account.policy, delete_after_s=5 * 3600)
        bench.account = replace(bench.account, policy=policy)
        await bench.poll()
        await bench.poll()
        assert bench.arrived == _once(*MAIL)
        assert tuple(server.mail) == MAIL
        for _ in range(3):
            await bench.poll()
        assert bench.arrived == _once(*MAIL)
    assert server.mail == []


async def test_what_was_adopted_cannot_be_told_without_uidl(tmp_path: Path) -> None:
    """Old mail would be delivered and deleted, so the account waits for its user."""
    gone = answer_verb(b"UIDL", b"-ERR what?\r\n")
    server = OddServer(list(MAIL), lambda turn: gone(turn) if turn.session > 1 else None)
    async with open_bench(server, tmp_path) as bench:
        policy = replace(bench.account.policy, adopts=True)
        bench.account = replace(bench.account, policy=policy)
        await bench.poll()
        report = await bench.poll()

        assert isinstance(report.error, UidlUnsupported)
        assert not bench.arrived
    assert tuple(server.mail) == MAIL


async def test_adopting_needs_unique_ids(tmp_path: Path) -> None:
    """What is there could not be told from what comes."""
    server = OddServer(list(MAIL), NO_UIDL)
    async with open_bench(server, tmp_path) as bench:
        policy = replace(bench.account.policy, adopts=True)
        bench.account = replace(bench.account, policy=policy)
        report = await bench.poll()

        assert isinstance(report.error, UidlUnsupported)
        assert "first_run" in str(report.error)
    assert tuple(server.mail) == MAIL


async def test_a_blank_row_of_an_adopting_account_is_never_deleted(tmp_path: Path) -> None:
    """It may be one that was only adopted, and that is not ours to delete."""
    server = OddServer(list(MAIL), _rows(NAMELESS_ROWS["blank"], sessions=frozenset({2})))
    async with open_bench(server, tmp_path) as bench:
        policy = replace(bench.account.policy, adopts=True)
        bench.account = replace(bench.account, policy=policy)
        for _ in range(3):
            await bench.poll()
    assert tuple(server.mail) == MAIL


# -- unique-ids that change ------------------------------------------------------------------


def _new_names_each_session(turn: Turn) -> bytes | None:
    return turn.usual.replace(b"uid", b"s%d" % turn.session) if turn.verb == b"UIDL" else None


@pytest.mark.parametrize("mail", [MAIL, tuple(make_mail(f"m{n}") for n in range(30))])
async def test_names_that_change_each_session_are_given_up(
    mail: tuple[Mail, ...], tmp_path: Path
) -> None:
    """After the second time the content stands for them, with a warning, and no RETR is lost."""
    server = OddServer(list(mail), _new_names_each_session)
    async with open_bench(server, tmp_path, deletes=False) as bench:
        for _ in range(3):
            await bench.poll()
            assert bench.arrived == _once(*mail)
        assert sum("by their content, and" in text for text in bench.warnings) == 1
        before = _retrievals(server)
        for _ in range(4):
            await bench.poll()
        assert _retrievals(server) == before
        server.mail.append(NEW)
        await bench.poll()
        assert bench.arrived == _once(*mail, NEW)
        assert _retrievals(server) == before + 1
    assert tuple(server.mail) == (*mail, NEW)


async def test_names_that_changed_once_are_kept(tmp_path: Path) -> None:
    """A migration is not a habit."""

    def renamed(turn: Turn) -> bytes | None:
        return _new_names_each_session(turn) if turn.session == 1 else None

    server = OddServer(list(MAIL), renamed)
    async with open_bench(server, tmp_path, deletes=False) as bench:
        for _ in range(4):
            await bench.poll()
            assert bench.arrived == _once(*MAIL)
        assert not (await bench.ports.ledger.memory(bench.account.id)).content_keys
