"""The proof: what was sent, against what has arrived, looked at from outside."""

import poplib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from popsync.cli.demo.mail import DemoMessage, fingerprint_stored, fingerprints
from popsync.cli.demo.stage import CAST, OFFICE, PASSWORD
from popsync.cli.words import count
from popsync.poll.events import PollReport
from popsync.server.settings import HostPort


class Claim(NamedTuple):
    """One thing that popsync promises, and whether it was kept."""

    text: str
    holds: bool


def prove(
    root: Path,
    pop3: HostPort,
    sent: Mapping[str, Sequence[DemoMessage]],
    second_round: Sequence[PollReport],
) -> list[Claim]:
    """Compare files and maildrops with what was sent; nothing that popsync says is believed.

    sent: messages by mailbox. second_round: what the repeated polls came to. Blocks.
    """
    arrived = [
        *map(fingerprint_stored, _read_maildir(root / "Maildir")),
        *map(fingerprint_stored, _read_maildir(root / "mailstore" / OFFICE)),
    ]
    left = {role.name: _count_left(pop3, role.name) for role in CAST}
    return [
        _claim_once(sent, arrived),
        _claim_unchanged(sent, arrived),
        _claim_nothing_new(second_round),
        *(
            _claim_left(role.name, role.mode, left[role.name], len(sent[role.name]))
            for role in CAST
        ),
    ]


def _claim_once(
    sent: Mapping[str, Sequence[DemoMessage]], arrived: Sequence[tuple[str, str]]
) -> Claim:
    names_in = Counter(message.name for messages in sent.values() for message in messages)
    names_out = Counter(name for name, _ in arrived)
    text = f"{count(names_in.total(), 'message')} in, {names_out.total():,} out: each exactly once"
    return Claim(text, names_in == names_out)


def _claim_unchanged(
    sent: Mapping[str, Sequence[DemoMessage]], arrived: Sequence[tuple[str, str]]
) -> Claim:
    expected: dict[str, str] = {}
    for role in CAST:
        line_end = b"\n" if role.destination == "maildir" else b"\r\n"
        expected |= fingerprints(sent[role.name], line_end=line_end)
    same = sum(expected.get(name) == digest for name, digest in arrived)
    text = f"{same:,} of {len(expected):,} byte for byte as they were sent (SHA-256)"
    return Claim(text, same == len(expected))


def _claim_nothing_new(second_round: Sequence[PollReport]) -> Claim:
    new = sum(report.summary.delivered for report in second_round)
    failed = any(report.error for report in second_round)
    return Claim(f"second poll: {new} new", new == 0 and not failed)


def _claim_left(name: str, mode: str, left: int, sent: int) -> Claim:
    expected = sent if mode == "keep" else 0
    text = f"{name} ({mode}): {count(left, 'message')} left on the server"
    return Claim(text, left == expected)


def _read_maildir(path: Path) -> Iterable[bytes]:
    for part in ("new", "cur"):
        for file in (path / part).iterdir():
            yield file.read_bytes()


def _count_left(pop3: HostPort, user: str) -> int:
    """Ask the server with Python's own client, which shares no code with popsync."""
    client = poplib.POP3(pop3.host, pop3.port, timeout=30)
    try:
        client.user(user)
        client.pass_(PASSWORD)
        return client.stat()[0]
    finally:
        client.quit()
