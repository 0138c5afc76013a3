"""Each rule that guards the mail is taken away in a copy, and the tests must notice.

A rule is a line of the product, and what the line looks like without the rule; the tests named
beside it must pass with the rule and fail without.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).parents[2]
_PLAN, _JUDGEMENT = "poll/plan.py", "poll/judgement.py"
_PARTING, _DISPOSITION = "poll/parting.py", "poll/disposition.py"
_FOLDER = "destinations/maildir_folder.py"
_DOT_INTENT = """await self._batch.commit(
            Intent(attempt.parcel.message, self._destination, recipients, DeliveryState.DOT_SENT)
        )
"""


class Rule(NamedTuple):
    """One rule, as the line that keeps it and the line that would not."""

    name: str
    module: str
    kept: str
    removed: str
    tests: str
    """Below tests/unit."""


RULES: Sequence[Rule] = (
    Rule(
        "what the ledger refuses ends the poll",
        "poll/batch.py",
        "elif isinstance(result, BaseException):\n",
        "elif isinstance(result, BaseException) and not isinstance(result, LedgerError):\n",
        "poll/test_once.py",
    ),
    Rule(
        "only what every destination has is deleted",
        "poll/batch.py",
        "        if key in settled:\n            session.settled",
        "        if rows:\n            session.settled",
        "poll/test_once_destinations.py",
    ),
    Rule(
        "what is delivered is not retrieved again",
        _JUDGEMENT,
        "return Skip(listed, reason)\n        due",
        "return Retrieve(listed)\n        due",
        "poll/test_plan.py",
    ),
    Rule(
        "STAGED is durable before the move to new/",
        "destinations/maildir.py",
        "            await self._announce(staged, refusals, journal)\n",
        "",
        "destinations/test_maildir.py",
    ),
    Rule(
        "a file is synced before STAGED",
        _FOLDER,
        "self._steps.sync_file(self._steps.write_file(path, chunks))",
        "os.close(self._steps.write_file(path, chunks))",
        "destinations/test_maildir_crashes.py",
    ),
    Rule(
        "its name in tmp/ is synced before STAGED",
        _FOLDER,
        "        self._steps.sync_directory(self._tmp)\n        return too_large\n",
        "        return too_large\n",
        "destinations/test_maildir_crashes.py",
    ),
    Rule(
        "nothing is announced in a Maildir that was replaced",
        _FOLDER,
        "if self._inode() != inode:",
        "if inode < 0:",
        "destinations/test_maildir.py",
    ),
    Rule(
        "the sweep leaves what is staged",
        _FOLDER,
        "if self._names.is_ours(name) and name not in keep]",
        "if self._names.is_ours(name)]",
        "destinations/test_maildir.py",
    ),
    Rule(
        "directories are synced before the receipt",
        _FOLDER,
        "not writing.shares:\n            self.sync()\n",
        "not writing.shares:\n            pass\n",
        "destinations/test_maildir_crashes.py",
    ),
    Rule(
        "many files are synced together before STAGED",
        "destinations/maildir.py",
        "stage, parcels, staged, writing)\n        await writing.sync()\n",
        "stage, parcels, staged, writing)\n",
        "destinations/test_maildir_crashes.py",
    ),
    Rule(
        "many moves are synced together before the receipt",
        "destinations/maildir.py",
        "publish, names, writing)\n            await writing.sync()\n",
        "publish, names, writing)\n",
        "destinations/test_maildir_crashes.py",
    ),
    Rule(
        "a failed shared sync counts for all who had begun",
        "storage/shared_sync.py",
        "            self.failures += 1\n",
        "",
        "storage/test_shared_sync.py",
    ),
    Rule(
        "recovery finishes the move of what was staged",
        _FOLDER,
        "taken = self.publish(waiting)",
        "taken = frozenset[str]()",
        "destinations/test_maildir.py",
    ),
    Rule(
        "DOT_SENT is durable before the final dot",
        "destinations/relay/courier.py",
        _DOT_INTENT,
        "await self._batch.commit()\n",
        "destinations/test_smtp.py",
    ),
    Rule(
        "what is in doubt is sent again, then held",
        _DISPOSITION,
        "DeliveryState.IN_DOUBT if doubts <= MAX_REPEATS else DeliveryState.HELD",
        "DeliveryState.IN_DOUBT",
        "poll/test_disposition.py",
    ),
    Rule(
        "a repeat after a doubt bears its mark",
        "poll/batch.py",
        "    if doubts:\n",
        "    if doubts < 0:\n",
        "poll/test_once_destinations.py",
    ),
    Rule(
        "retrieval ends when no destination takes mail",
        "poll/session.py",
        "        return len(self.down) == len(self.ports.destinations)\n",
        "        return False\n",
        "poll/test_carry.py",
    ),
    Rule(
        "a receipt is final",
        "ledger/states.py",
        "DeliveryState.DELIVERED: frozenset(),",
        "DeliveryState.DELIVERED: _TRIED_AGAIN,",
        "ledger/test_states.py",
    ),
    Rule(
        "only a complete listing buries",
        _PLAN,
        "if not listing.complete or (",
        "if (",
        "poll/test_plan.py",
    ),
    Rule(
        "what comes back after its deletion is looked at",
        _JUDGEMENT,
        "if known.deletions == 1:",
        "if known.deletions < 0:",
        "poll/test_plan.py",
    ),
    Rule(
        "of equal unique-ids all are deleted or none",
        "poll/deletions.py",
        "here[listed.unique_id] == session.plan.rows[listed.unique_id]\n",
        "bool(here)\n",
        "poll/test_once_unique_ids.py",
    ),
    Rule(
        "a renumbered maildrop is matched, not delivered anew",
        _PLAN,
        "return found < RENUMBERING_MAX_FOUND * len(expected)",
        "return found < 0",
        "poll/test_plan.py",
    ),
    Rule(
        "nothing is deleted while unique-ids are being matched",
        _JUDGEMENT,
        "        if self._renumbered:\n            return Reason.KEPT_BY_GUARD\n",
        "",
        "poll/test_plan.py",
    ),
    Rule(
        "what is suspect is not deleted by a later poll",
        _JUDGEMENT,
        "        if known.suspect:\n            return Reason.SUSPECT\n",
        "",
        "poll/test_plan.py",
    ),
    Rule(
        "no QUIT after a message that is not delivered",
        _PARTING,
        "    if session.unsettled:\n",
        "    if not session:\n",
        "poll/test_once_destinations.py",
    ),
    Rule(
        "what only the spool has is not deleted",
        "poll/batch.py",
        "            session.spooled += listed\n",
        "            session.settled += listed\n",
        "poll/test_spool.py",
    ),
    Rule(
        "the ledger says spooled before QUIT",
        "poll/keeping.py",
        "            await session.ports.ledger.note_spooled(kept)\n",
        "",
        "poll/test_spool.py",
    ),
    Rule(
        "a copy's name is synced before it is told",
        "spool/spool.py",
        "            self._steps.sync_directory(self._directory)\n",
        "            pass\n",
        "spool/test_spool.py",
    ),
    Rule(
        "many copies are synced together before they are told",
        "spool/spool.py",
        "                await writing.sync()\n",
        "",
        "spool/test_spool.py",
    ),
    Rule(
        "a copy is checked when it is read",
        "spool/spool.py",
        "if content.digest != message.digest:",
        "if not content.digest:",
        "spool/test_spool.py",
    ),
    Rule(
        "what waits in the spool is not buried",
        "ledger/polling.py",
        "state NOT IN ('gone', 'dropped') AND spooled = 0",
        "state NOT IN ('gone', 'dropped')",
        "poll/test_spool.py",
    ),
    Rule(
        "what is listed under the name of a copy that left is another",
        "ledger/deliveries.py",
        "iif(spooled = 1 AND gone_at IS NOT NULL, 'gone', 'settled')",
        "'settled'",
        "poll/test_spool.py",
    ),
    Rule(
        "a copy ends when its message has another name",
        "poll/renumbering.py",
        "if _ends(old, memory, listed)]",
        "if not old]",
        "poll/test_spool.py",
    ),
    Rule(
        "what left while it waited here is looked at anew",
        _JUDGEMENT,
        "and (k.kept is _NOT_KEPT or k.kept is _SPOOLED)",
        "",
        "poll/test_spool.py",
    ),
    Rule(
        "a message that may be cut short is not deleted",
        "maildrop/retrieval.py",
        "if octets < listed.octets:",
        "if octets < 0:",
        "maildrop/test_retrieval.py",
    ),
)


def misfits() -> list[str]:
    """Give the rules whose line stands in its module not just once."""
    return [rule.name for rule in RULES if _source(REPOSITORY, rule).count(rule.kept) != 1]


def remove_each() -> Iterator[tuple[str, bool]]:
    """Give each rule's name, and whether its tests pass with it and fail without it."""
    with _copy() as copy:
        sound = {tests: _passes(copy, tests) for tests in {rule.tests for rule in RULES}}
        for rule in RULES:
            yield rule.name, sound[rule.tests] and not _passes_without(copy, rule)


def _passes_without(copy: Path, rule: Rule) -> bool:
    module, source = copy / "popsync" / rule.module, _source(copy, rule)
    module.write_text(source.replace(rule.kept, rule.removed, 1), "utf-8")
    try:
        return _passes(copy, rule.tests)
    finally:
        module.write_text(source, "utf-8")


def _source(tree: Path, rule: Rule) -> str:
    return (tree / "popsync" / rule.module).read_text("utf-8")


@contextmanager
def _copy() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for part in ("popsync", "tests"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPOSITORY / part, copy / part, ignore=ignored)
        shutil.copy(REPOSITORY / "pyproject.toml", copy)
        yield copy


def _passes(copy: Path, tests: str) -> bool:
    """Run tests in the copy; what cannot even be imported counts as an error of this table."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    # Two changes within a second look the same to a cache of compiled modules.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy)}
    done = subprocess.run(
        [*command, f"tests/unit/{tests}"],
        cwd=copy,
        env=environment,
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode not in {0, 1}:
        raise RuntimeError(done.stdout + done.stderr)
    return done.returncode == 0
