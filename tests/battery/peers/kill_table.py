"""The kill -9 loop on other fetchers: how much is lost, doubled, altered, or never fetched."""

import random
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.battery.kills import Arrivals, Killing, Reader
from tests.battery.peers.programs import SET_UPS, Visit, environment, explain_missing, set_up
from tests.battery.tally import token_in
from tests.corpus import header, plain
from tests.servers.dovecot import PASSWORD, Dovecot, run_dovecot


class PeerKills(NamedTuple):
    """What the kills of one program did."""

    program: str
    keep: bool
    kills: int
    in_the_middle: int
    sent: int
    lost: int
    """Neither in the Maildir nor on the server."""
    blocked: int
    """Still on the server, and not fetched by two runs that nobody disturbed."""
    doubled: int
    """Copies beyond the first."""
    altered: int
    """Copies whose body is not the one that was sent, line ends aside."""

    def __str__(self) -> str:
        """One row of the table."""
        _, keep, kills, middle, *figures = self
        cells = (self.program, "keep" if keep else "delete", f"{kills} ({middle})", *figures)
        return f"| {' | '.join(map(str, cells))} |"


KILLS_HEADING = """\
| program | mode | kills (in the middle) | messages | lost | blocked | doubled | altered |
|---|---|---|---|---|---|---|---|"""


def kill_each(kills: int, *, seed: int = 1, programs: Iterable[str] = SET_UPS) -> Iterator[str]:
    """Give a row for each program and mode, or the reason why there is none."""
    for name in programs:
        if why := explain_missing(name):
            yield f"left out: {why}"
            continue
        for keep in (True, False):
            yield str(_kill(name, kills, keep=keep, seed=seed))


def _make(number: int, seed: int) -> bytes:
    """Give a message that every program can carry: this is about the kills."""
    return plain(header(number, seed), random.Random(f"{seed} {number}"))


def _kill(name: str, kills: int, *, keep: bool, seed: int) -> PeerKills:
    with run_dovecot() as dovecot, TemporaryDirectory() as directory:
        user = f"{name}@example.org"
        dovecot.add_user(user)
        visit = Visit(Path(directory), dovecot.pop3_port, user, PASSWORD, keep)
        command = set_up(name, visit)
        reader = Reader(visit.maildir, seed, _token_and_body)
        reader.start()
        killing = Killing(
            lambda: subprocess.Popen(
                command,
                cwd=directory,
                env=environment(visit),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            ),
            Arrivals("", reader.arrivals, reader.staged, reader.finish),
            partial(dovecot.fill, user),
            partial(_make, seed=seed),
            keep=_token_and_body,
            seed=seed,
        )
        killing.kill(kills)
        return _judge(killing, reader.finish(), dovecot, user)._replace(
            program=name, keep=keep, kills=kills
        )


def _judge(killing: Killing, arrived: list[bytes], dovecot: Dovecot, user: str) -> PeerKills:
    sent = {token_in(kept): kept for kept in killing.sent}
    copies = Counter(map(token_in, arrived))
    on_server = {token_in(message) for message in dovecot.messages(user)}
    missing = sent.keys() - copies.keys()
    return PeerKills(
        program="",
        keep=False,
        kills=0,
        in_the_middle=killing.in_the_middle,
        sent=len(sent),
        lost=len(missing - on_server),
        blocked=len(missing & on_server),
        doubled=sum(copies.values()) - len(copies),
        altered=sum(kept != sent.get(token_in(kept)) for kept in arrived),
    )


def _token_and_body(message: bytes) -> bytes:
    """Give both in short, lines ended by LF: programs add lines to the header."""
    body = message.replace(b"\r\n", b"\n").partition(b"\n\n")[2].rstrip(b"\n")
    return (token_in(message) or b"no token") + sha256(body).hexdigest().encode()
