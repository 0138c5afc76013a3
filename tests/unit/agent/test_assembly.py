"""One agent after the other over the same ledger."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from popsync.agent.agent import Agent
from popsync.agent.assembly import Assembly, open_assembly
from popsync.agent.progress import Progress
from popsync.config.model import Config
from popsync.destinations.smtp import SmtpDestination
from popsync.errors import ConnectFailed, LedgerLocked
from popsync.ledger import SqliteLedger, open_ledger
from popsync.model import AccountId, Digest, MessageKey, SeenMessage, UniqueId
from popsync.poll.header import make_loop_mark
from popsync.spool.spool import spooled_path
from tests.unit.config.files import load

HEAD = 'state_dir = "state"\n'
INBOX = '[destination.inbox]\ntype = "maildir"\npath = "Mail"\n'
RELAY = '[destination.relay]\ntype = "smtp"\nhost = "127.0.0.1"\nrecipients = ["a@example.org"]\n'
JANE = """
[account.jane]
host = "127.0.0.1"
port = 1
tls = "none"
user = "jane"
password = "s3cret"
mode = "keep"
deliver_to = ["inbox", "relay"]
"""
PLAIN = HEAD + INBOX + RELAY + JANE


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """An account with two destinations, at a server that is not there."""
    return load(tmp_path, PLAIN)


@pytest.fixture
async def assembly(config: Config) -> AsyncIterator[Assembly]:
    """An assembly that has built nothing yet."""
    async with open_assembly(config, observe=print) as assembly:
        yield assembly


@asynccontextmanager
async def ledger_of(config: Config) -> AsyncIterator[SqliteLedger]:
    """Open the ledger, as an earlier process did."""
    ledger = await open_ledger(config.state_dir)
    yield ledger
    await ledger.close()


def changed(agents: tuple[Agent, Agent]) -> set[str]:
    """Give the names of destinations, and the word limits, that two agents do not share."""
    old, new = agents
    names = {n for n in old._destinations if new._destinations.get(n) is not old._destinations[n]}
    return names | ({"limits"} if new._limits is not old._limits else set())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(PLAIN, set(), id="nothing"),
        pytest.param(PLAIN + "max_size = '1MB'\n", set(), id="an account"),
        pytest.param(PLAIN.replace('"Mail"', '"Post"'), {"inbox"}, id="a path"),
        pytest.param(PLAIN + "[limits]\nconnections = 1\n", {"limits"}, id="a limit"),
        pytest.param("allow_group = true\n" + PLAIN, {"inbox", "relay"}, id="who may read"),
        pytest.param(
            HEAD + INBOX + JANE.replace(', "relay"', ""), {"relay"}, id="one destination less"
        ),
    ],
)
async def test_what_does_not_change_is_used_again(
    assembly: Assembly, config: Config, tmp_path: Path, text: str, expected: set[str]
) -> None:
    """Open connections, and the count of them, outlive a reload that does not concern them."""
    first = await assembly.build_agent(config)
    second = await assembly.build_agent(load(tmp_path, text))

    assert changed((first, second)) == expected


async def test_a_replaced_destination_is_parted_from_twice(
    assembly: Assembly, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and at the end: a poll that began with it may have used it in between."""
    closed: list[SmtpDestination] = []

    async def close(destination: SmtpDestination) -> None:
        closed.append(destination)

    monkeypatch.setattr(SmtpDestination, "close", close)
    old = (await assembly.build_agent(config))._destinations["relay"]
    await assembly.build_agent(load(tmp_path, PLAIN.replace("a@example", "b@example")))
    at_once = list(closed)
    await assembly.close()

    assert at_once == [old]
    assert closed.count(old) == 2  # type: ignore[arg-type]
    assert len(closed) == 3


async def test_a_poll_that_is_not_wanted_any_more_does_not_begin(
    assembly: Assembly, config: Config
) -> None:
    """Asked when it has its place, not before; one that is wanted begins."""
    agent = await assembly.build_agent(config)

    assert await agent.poll("jane", wanted=lambda: False, progress=Progress()) is None
    report = await agent.poll("jane", wanted=lambda: True, progress=Progress())
    assert report is not None
    assert isinstance(report.error, ConnectFailed)


async def test_two_assemblies_cannot_share_a_ledger(assembly: Assembly, config: Config) -> None:
    """One instance works with a state directory; another that only looks may."""
    with pytest.raises(LedgerLocked):
        async with open_assembly(config, observe=print):
            pass
    async with open_assembly(config, observe=print, looks_only=True) as looking:
        await looking.build_agent(config)


@pytest.mark.parametrize(("line", "marks"), [("", True), ("trace = false\n", False)])
async def test_messages_are_marked_with_the_ledgers_token(
    assembly: Assembly, tmp_path: Path, *, line: str, marks: bool
) -> None:
    """Behind the trace, or not at all when there is none."""
    agent = await assembly.build_agent(load(tmp_path, PLAIN + line))
    account = agent._accounts["jane"].account
    mark = make_loop_mark(assembly._world.ledger.token, AccountId("jane@127.0.0.1"))

    assert account.loop_mark == (mark if marks else "")
    assert (account.trace is not None) == marks


async def test_the_copies_of_an_account_outlive_its_configuration(
    config: Config, tmp_path: Path
) -> None:
    """What is not the ledger's goes at the start; what is its own stays, whoever is configured."""
    key = MessageKey(AccountId("bob@127.0.0.1"), UniqueId(b"u1"), Digest(b"d" * 32))
    async with ledger_of(config) as ledger:
        await ledger.record([SeenMessage(key, 4, 1, suspect=False, deliveries=(("x", ""),))], ())
        await ledger.note_spooled([key])
        owed = spooled_path(config.state_dir, ledger.token, key)
        stray = owed.with_name(f"{ledger.token}-{0:032x}")
        foreign = owed.with_name(f"{'f' * 16}-{0:032x}")
    owed.parent.mkdir()
    for path in (owed, stray, foreign):
        path.write_bytes(b"copy")
    async with open_assembly(config, observe=print) as assembly:
        await assembly.build_agent(config)

    assert sorted(owed.parent.iterdir()) == sorted([owed, foreign])


async def test_a_spool_of_another_size_takes_effect_at_once(
    assembly: Assembly, config: Config, tmp_path: Path
) -> None:
    """A reload is enough."""
    await assembly.build_agent(config)
    before = assembly._world.spool.max_octets
    await assembly.build_agent(load(tmp_path, PLAIN + "[limits]\nspool_size = '5MB'\n"))

    assert before == 1024**3
    assert assembly._world.spool.max_octets == 5 * 1024**2
