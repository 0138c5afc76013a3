"""The demonstration's mail, and a proof that can fail."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from popsync.cli.demo.mail import DemoMessage, fingerprint_stored, fingerprints, generate_mail
from popsync.cli.demo.proof import prove
from popsync.cli.demo.stage import CAST, OFFICE, send_mail, stage_server, write_config
from popsync.cli.demo.table import LiveTable
from popsync.errors import ConnectFailed
from popsync.model import PollSummary, UniqueId
from popsync.poll.events import Deleted, Delivered, Listed, PollReport, Retrieved
from popsync.server.run import Endpoints, running_server
from popsync.server.settings import HostPort

SETTLED = [PollReport(role.name, PollSummary(0, 1)) for role in CAST]


def test_mail_is_varied_and_the_same_every_time() -> None:
    """Each message has a name and octets of its own; the seed decides all of it."""
    mail = generate_mail("jane", 30, seed=1)

    assert mail == generate_mail("jane", 30, seed=1)
    assert mail != generate_mail("jane", 30, seed=2)
    assert len({message.name for message in mail}) == 30
    assert len({message.content for message in mail}) == 30
    assert max(len(message.content) for message in mail) > 100_000


@pytest.mark.parametrize("message", generate_mail("jane", 9, seed=1), ids=lambda m: m.name)
def test_generated_mail_can_travel_unchanged(message: DemoMessage) -> None:
    """CRLF line ends only and one at the end, so that no server has a reason to change it."""
    assert message.content.endswith(b"\r\n")
    assert message.content.count(b"\n") == message.content.count(b"\r\n")
    assert message.content.count(b"\r") == message.content.count(b"\r\n")
    assert b"\0" not in message.content


def test_a_fingerprint_ignores_what_was_put_in_front_and_nothing_else() -> None:
    """Trace headers do not count; any other octet does."""
    message = generate_mail("jane", 1, seed=1)[0]
    ((name, digest),) = fingerprints([message], line_end=b"\n").items()
    stored = message.content.replace(b"\r\n", b"\n")

    assert fingerprint_stored(b"Received: from x\n\tby y\n" + stored) == (name, digest)
    assert fingerprint_stored(stored + b"\n") != (name, digest)
    assert fingerprint_stored(stored.replace(b"a", b"b", 1)) != (name, digest)
    assert fingerprint_stored(b"Subject: spam\n\n") == ("", "")


@dataclass(frozen=True)
class Stage:
    """A server with mail for all, of which bob's and carol's is already fetched."""

    root: Path
    endpoints: Endpoints
    sent: dict[str, list[DemoMessage]]

    def failing(self, second_round: list[PollReport] = SETTLED) -> list[str]:
        """Give the claims that do not hold."""
        claims = prove(self.root, self.endpoints.pop3, self.sent, second_round)
        return [claim.text for claim in claims if not claim.holds]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Set the stage as a perfect performance leaves it."""
    sent = {role.name: generate_mail(role.name, 4, seed=1) for role in CAST}
    async with running_server(stage_server(tmp_path)) as endpoints:
        await asyncio.to_thread(send_mail, endpoints.smtp, "alice", sent["alice"])
        await asyncio.to_thread(send_mail, endpoints.smtp, OFFICE, sent["carol"])
        for part in ("new", "cur"):
            (tmp_path / "Maildir" / part).mkdir(parents=True)
        for message in (*sent["alice"], *sent["bob"]):
            name = message.name.replace("/", "-")
            content = b"Received: x\n" + message.content.replace(b"\r\n", b"\n")
            (tmp_path / "Maildir" / "new" / name).write_bytes(content)
        yield Stage(tmp_path, endpoints, sent)


async def test_a_perfect_performance_proves_everything(stage: Stage) -> None:
    """Every claim holds, through a real server and real files."""
    assert await asyncio.to_thread(stage.failing) == []


def lose_one(stage: Stage) -> None:
    """Remove a message from the Maildir."""
    (stage.root / "Maildir" / "new" / "bob-1").unlink()


def repeat_one(stage: Stage) -> None:
    """Deliver a message twice."""
    original = stage.root / "Maildir" / "new" / "bob-1"
    (stage.root / "Maildir" / "cur" / "again:2,S").write_bytes(original.read_bytes())


def change_one(stage: Stage) -> None:
    """Alter one octet of a message."""
    file = stage.root / "Maildir" / "new" / "bob-0"
    file.write_bytes(file.read_bytes()[:-2] + b"!\n")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lose_one, ["12 messages in, 11 out", "11 of 12 byte for byte"]),
        (repeat_one, ["12 messages in, 13 out", "13 of 12 byte for byte"]),
        (change_one, ["11 of 12 byte for byte"]),
    ],
)
async def test_the_proof_fails_when_mail_is_not_right(
    stage: Stage, spoil: Callable[[Stage], None], told: list[str]
) -> None:
    """Lost, doubled or changed: a claim says so."""
    spoil(stage)

    failing = await asyncio.to_thread(stage.failing)

    assert all(text.startswith(start) for text, start in zip(failing, told, strict=True))


async def test_the_proof_fails_when_a_maildrop_is_not_right(stage: Stage) -> None:
    """Mail left in delete mode breaks a promise as well."""
    await asyncio.to_thread(send_mail, stage.endpoints.smtp, "bob", stage.sent["bob"])

    assert await asyncio.to_thread(stage.failing) == [
        "bob (delete): 4 messages left on the server"
    ]


@pytest.mark.parametrize(
    "report",
    [
        PollReport("bob", PollSummary(0, 1, delivered=1)),
        PollReport("bob", PollSummary(0, 1), ConnectFailed("refused")),
    ],
)
async def test_the_proof_fails_when_the_second_poll_is_not_quiet(
    stage: Stage, report: PollReport
) -> None:
    """Anything new the second time, or a poll that failed, proves nothing."""
    failing = await asyncio.to_thread(stage.failing, [*SETTLED[1:], report])

    assert [text.partition(":")[0] for text in failing] == ["second poll"]


def test_the_configuration_of_the_stage_is_one_that_loads(tmp_path: Path) -> None:
    """It goes through the same door as a user's, and holds the whole cast."""
    endpoints = Endpoints(smtp=HostPort("127.0.0.1", 2525), pop3=HostPort("127.0.0.1", 2110))

    config = write_config(tmp_path, endpoints)

    assert list(config.accounts) == [role.name for role in CAST]


def test_the_table_grows_with_events() -> None:
    """On a terminal the counts of each account are drawn."""
    screen = io.StringIO()
    with LiveTable(console=Console(file=screen, force_terminal=True, width=100)) as table:
        table(Listed("bob", 41, 41, 9))
        table(Delivered("bob", UniqueId(b"1"), 9, "", "maildir", "", ""))
        table(Deleted("bob", 17))
        table(Retrieved("bob", 1, 9))

    last = screen.getvalue().rpartition("bob")[2].partition("carol")[0]
    assert [word for word in last.split() if word.isdigit()] == ["41", "1", "17"]
