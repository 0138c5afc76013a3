"""Polls, faults and crashes in any order, against the promises P1 to P4."""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from popsync.destinations.maildir import MaildirDestination
from popsync.ledger import read_ledger
from popsync.model import Digest
from popsync.poll import plan
from popsync.poll.policy import Policy
from tests.doubles.destination import DEFERRED, REJECTED, OneShotDestination
from tests.doubles.maildrop import AtQuit, Faults, Stored, TrackedContent
from tests.doubles.mortality import Killed, MortalSteps
from tests.doubles.polling import ACCOUNT_ID, Desk

POLICIES = [
    Policy(deletes=False),
    Policy(deletes=True),
    Policy(deletes=True, delete_after_s=700),
    Policy(deletes=True, fetch_limit=2),
]
CALM_POLLS = 12

PLACES = st.frozensets(st.integers(0, 31), max_size=4)
"""Which messages, by their place, whatever their number will be."""


def at_places(choices: Sequence[bytes], places: frozenset[int]) -> list[bytes]:
    """Give the choices at these places, counted round and round."""
    return [choices[place % len(choices)] for place in sorted(places)] if choices else []


class PollMachine(RuleBasedStateMachine):
    """One account that is delivered to a real Maildir and to a server that can lose replies.

    At every deletion: both have the message and the ledger says so (P1, P2). In the end, once all
    faults are over: every message is in the Maildir exactly once and at the server at least once;
    every repeat there carries the mark and is owed to a lost reply or a crash (P4); and nothing is
    retrieved any more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="popsync-model-"))
        self.steps = MortalSteps()
        self.relay = OneShotDestination("relay", step=self.steps.step)
        self.desk = Desk(self.directory / "state", self.relay, steps=self.steps)
        self.runner = asyncio.Runner()
        self.sent: list[bytes] = []
        self.crashes = 0
        self.kept_nothing = False
        """The server has let something go that only the spool may have."""
        self.lost: Counter[bytes] = Counter()
        self.desk.server.on_deleted = self.check_deletion
        self.begin()

    # -- processes ---------------------------------------------------------------------------

    def begin(self) -> None:
        """Start a process with what lies on disk."""
        self.steps.revive()
        self.runner.run(self.desk.open())
        self.desk.destinations["maildir"] = MaildirDestination(
            "maildir",
            self.directory / "Mail",
            token=self.desk.ledger.token,
            hostname="here",
            steps=self.steps,
            clock=lambda: self.desk.now,
        )

    @rule()
    def restart(self) -> None:
        """End in good order and begin anew."""
        self.runner.run(self.desk.close())
        self.begin()

    def poll(self) -> None:
        """Poll once, whatever comes of it."""
        try:
            self.runner.run(self.desk.poll())
        except Killed:
            self.crashes += 1
            self.restart()
        assert all(content.closed for content in self.desk.server.contents)

    # -- what the world does -----------------------------------------------------------------

    @initialize(count=st.integers(1, 5), burst=st.integers(1, 3), mode=st.sampled_from(POLICIES))
    def settle_in(self, count: int, burst: int, mode: Policy) -> None:
        """Begin with some mail."""
        self.desk.server.burst = burst
        self.desk.policy = mode
        self.arrive(count)

    @rule(count=st.integers(1, 4))
    def arrive(self, count: int) -> None:
        """New mail comes."""
        for _ in range(count):
            self.sent.append(b"Message-ID: <%d@x>\n\nbody\n" % len(self.sent))
            self.desk.server.add(self.sent[-1])

    # What is drawn may not depend on what is there: that hangs on threads, and is not the same
    # when hypothesis runs an example again.

    @rule(choice=st.integers(0))
    def share_a_unique_id(self, choice: int) -> None:
        """New mail comes under a unique-id that another message has."""
        messages = self.desk.server.messages
        if not messages:
            return
        self.sent.append(b"Message-ID: shared %d\n\n" % len(self.sent))
        self.desk.server.add(self.sent[-1], unique_id=messages[choice % len(messages)].unique_id)

    @rule(seconds=st.sampled_from([60, 700, 4000]))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.desk.now += seconds

    @rule(mode=st.sampled_from(POLICIES))
    def change_policy(self, mode: Policy) -> None:
        """The operator edits the configuration."""
        self.desk.policy = mode

    @rule()
    def renumber(self) -> None:
        """All unique-ids change; messages that wait for their deletion are beyond the guard."""
        if not self.deletions_are_open():
            self.desk.server.renumber()

    @rule(read=st.booleans())
    def take_mail(self, *, read: bool) -> None:
        """A reader moves or deletes all that has come."""
        new, cur = (self.directory / "Mail" / name for name in ("new", "cur"))
        for path in new.iterdir() if new.exists() else ():
            if read:
                path.rename(cur / f"{path.name}:2,S")
            else:
                path.unlink()

    # -- polls, calm and otherwise -----------------------------------------------------------

    @rule()
    def poll_calmly(self) -> None:
        """Nothing is done to this one, but what was refused or lost before may still be."""
        self.poll()

    @rule(
        steps=st.integers(0, 14),
        hides=st.booleans(),
        at_quit=st.sampled_from(AtQuit),
    )
    def poll_over_a_bad_line(self, steps: int, at_quit: AtQuit, *, hides: bool) -> None:
        """The connection breaks somewhere, or QUIT does not do what it should."""
        with self.faults() as faults:
            faults.break_after = steps
            faults.at_quit = at_quit
            faults.hides_retrieved = hides
            self.poll()

    @rule(
        not_given=PLACES,
        not_deleted=PLACES,
        not_listed=PLACES,
        disagree_after=st.none() | st.integers(0, 3),
    )
    def poll_a_bad_server(
        self,
        not_given: frozenset[int],
        not_deleted: frozenset[int],
        not_listed: frozenset[int],
        disagree_after: int | None,
    ) -> None:
        """It refuses some RETRs and DELEs, shows a part, or mixes up replies."""
        unique_ids = sorted({stored.unique_id for stored in self.desk.server.messages})
        with self.faults() as faults:
            faults.not_given = set(at_places(unique_ids, not_given))
            faults.not_deleted = set(at_places(unique_ids, not_deleted))
            faults.not_listed = set(at_places(unique_ids, not_listed))
            faults.disagree_after = disagree_after
            self.poll()

    @rule(moments=st.integers(0, 60))
    def poll_and_die(self, moments: int) -> None:
        """The process is killed at some durable step, if the poll has so many."""
        self.steps.dies_after = moments
        self.poll()
        self.steps.dies_after = None

    @rule(commits=st.integers(0, 8))
    def poll_with_a_failing_disk(self, commits: int) -> None:
        """One commit of the ledger fails."""
        self.steps.commit_fails_after = commits
        self.poll()
        self.crashes += 1  # the reply may have been what could not be written
        self.steps.commit_fails_after = None

    @rule(deferred=PLACES, rejected=PLACES)
    def poll_into_refusals(self, deferred: frozenset[int], rejected: frozenset[int]) -> None:
        """The server defers or rejects some messages."""
        self.relay.refusals.update(dict.fromkeys(at_places(self.sent, deferred), DEFERRED))
        self.relay.refusals.update(dict.fromkeys(at_places(self.sent, rejected), REJECTED))
        self.poll()
        self.relay.refusals.clear()

    @rule(replies=st.integers(1, 3), parts=st.booleans(), swallow=st.booleans())
    def poll_and_lose_replies(self, replies: int, *, parts: bool, swallow: bool) -> None:
        """Messages go out and nobody knows what became of them."""
        self.relay.parts_when_lost, self.relay.swallow = parts, swallow
        self.relay.lose_replies = replies
        arrived = len(self.relay.arrived)
        self.poll()
        self.lost.update(self.relay.contents[arrived:])
        self.relay.lose_replies = 0

    @rule()
    def poll_while_the_server_is_down(self) -> None:
        """Nothing can be delivered there."""
        self.relay.down = True
        self.poll()
        self.relay.down = False

    @rule()
    def poll_while_the_maildir_is_away(self) -> None:
        """The server takes mail all the same."""
        with self.away():
            self.poll()

    @rule()
    def poll_a_server_that_keeps_nothing(self) -> None:
        """What was retrieved in a session that ends with QUIT is never seen there again."""
        server = self.desk.server
        with self.faults() as faults:
            faults.hides_retrieved = True
            self.poll()
            self.kept_nothing |= any(stored.hidden for stored in server.messages)
            server.messages = [stored for stored in server.messages if not stored.hidden]

    @rule()
    def poll_with_a_full_disk(self) -> None:
        """The spool takes nothing, so what is not delivered must stay on the server."""
        self.desk.free_octets = 0
        self.poll()
        self.desk.free_octets = 10**9

    @rule(choice=st.integers(0))
    def spoil_a_copy(self, choice: int) -> None:
        """A file of the spool is damaged, while the server still has the message."""
        files = self.desk.spooled
        if files and not self.kept_nothing:
            files[choice % len(files)].write_bytes(b"spoilt")

    @contextmanager
    def away(self) -> Iterator[None]:
        """Put the Maildir where popsync does not find it, as a disk that is not mounted."""
        mail = self.directory / "Mail"
        elsewhere = self.directory / "elsewhere"
        if mail.exists():
            mail.rename(elsewhere)
            mail.write_text("no Maildir")
        try:
            yield
        finally:
            if elsewhere.exists():
                mail.unlink()
                elsewhere.rename(mail)

    @contextmanager
    def faults(self) -> Iterator[Faults]:
        """Give the mailbox's faults, and end them afterwards; what was hidden comes back."""
        server = self.desk.server
        yield server.faults
        server.faults = Faults()
        for stored in server.messages:
            stored.hidden = False

    # -- the promises ------------------------------------------------------------------------

    def deletions_are_open(self) -> bool:
        """Tell whether a message that got its DELE may still be there."""
        memory = self.runner.run(self.desk.ledger.memory(ACCOUNT_ID))
        return any(
            known.deletions
            for stored in self.desk.server.messages
            for known in memory.messages.get(stored.unique_id, ())  # type: ignore[call-overload]
        )

    def check_deletion(self, stored: Stored) -> None:
        """No message leaves the server before all have it, durably (P1, P2)."""
        assert stored.octets in self.steps.appeared
        assert stored.octets in self.relay.contents
        digest = Digest(TrackedContent(stored.octets).digest)
        with read_ledger(self.directory / "state") as ledger:
            assert ledger.known_digests(ACCOUNT_ID, [digest])

    def teardown(self) -> None:
        """Let the faults end, poll a few times, and count."""
        try:
            self.calm_down()
            self.check_arrivals()
        finally:
            self.runner.run(self.desk.close())
            self.runner.close()
            shutil.rmtree(self.directory)

    def calm_down(self) -> None:
        """Poll until nothing is left to do; what is held gets another chance."""
        self.desk.policy = replace(self.desk.policy, delete_after_s=0, fetch_limit=0)
        for _ in range(CALM_POLLS):
            report = self.runner.run(self.desk.poll())
            assert report.error is None, repr(report.error)
            for held in self.runner.run(self.desk.ledger.held()):
                self.runner.run(self.desk.ledger.retry_held(held.id))
            self.desk.now += 5 * 3600
        retrieved = self.desk.server.count("RETR")
        self.runner.run(self.desk.poll_well())
        assert self.desk.server.count("RETR") == retrieved, "what is settled is left alone"

    def check_arrivals(self) -> None:
        """Exactly once into the Maildir, at least once and else marked to the server (P4)."""
        assert Counter(self.steps.appeared) == Counter(self.sent)
        for octets in self.sent:
            copies = [copy for copy in self.relay.arrived if copy.octets == octets]
            assert copies, octets
            assert all(copy.marked for copy in copies[1:]), octets
            assert len(copies) <= 1 + self.lost[octets] + self.crashes
        if self.desk.policy.deletes:
            assert self.desk.server.left == []


@pytest.fixture(autouse=True)
def _guard_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the guard against renumbering begin with one message."""
    monkeypatch.setattr(plan, "RENUMBERING_MIN_KNOWN", 1)


TestPollMachine = PollMachine.TestCase
# Without shrinking: it would take minutes, for every try syncs real files.
TestPollMachine.settings = settings(
    stateful_step_count=20, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
