"""Twenty-four odd servers, and what each fetcher makes of them.

popsync is polled in the process, with its clock two hours on at each poll, because it waits after
a refusal; the others run as processes, one run right after the other.
"""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.battery.peers.programs import SET_UPS, Visit, environment, explain_missing, set_up
from tests.doubles.pop3_script import ScriptedServer
from tests.odd_servers.cases import CASES
from tests.odd_servers.form import Case
from tests.odd_servers.harness import open_bench
from tests.odd_servers.server import Mail, OddServer

TIMEOUT_S = 4
"""How long the others wait for a server; popsync half a second."""
RUN_TIMEOUT_S = 60

TELLING: Sequence[tuple[str, bool]] = (
    *(("cut-inside-a-message", False), ("dot-line-not-doubled", False)),
    *(("bare-line-feeds", False), ("same-unique-id-for-two", True)),
    *(("unique-ids-change", True), ("blanks-in-unique-ids", True)),
    *(("eight-bit-unique-ids", True), ("long-unique-ids", True)),
    *(("one-message-refused", False), ("quit-refused", False)),
    *(("quit-closes", False), ("deletion-refused", False)),
    *(("deletion-closes-at-first", False), ("stat-says-none-at-first", True)),
    *(("refusal-inside-the-listing", True), ("second-message-at-first-never-ends", True)),
    *(("second-message-at-first-ends-in-line-feeds", False), ("sizes-doubled", False)),
    *(("second-message-at-first-ends-without-line-end", False), ("sizes-zero", False)),
    *(("line-unasked-behind-a-message", False), ("capa-unanswered", False)),
    *(("maildrop-locked-at-first", False), ("list-refused", True)),
)
"""Cases, each with whether it is told more in keep mode."""


class Fate(NamedTuple):
    """What became of the messages of one server."""

    lost: int = 0
    """Neither whole in the Maildir nor left on the server."""
    doubled: int = 0
    """Whole copies beyond the first."""
    blocked: int = 0
    """On the server still, and never delivered."""
    damaged: int = 0
    """Copies that are not what was sent, and bear no mark that says so."""

    def __str__(self) -> str:
        """One cell of the table."""
        figures = [f"{name} {n}" for name, n in self._asdict().items() if n]
        return ", ".join(figures) or "ok"


async def survive_each(programs: Iterable[str] = SET_UPS) -> AsyncIterator[str]:
    """Give the table's heading, a row for each case, and the sums; why a program is left out."""
    missing = {name: why for name in programs if (why := explain_missing(name))}
    for why in missing.values():
        yield f"left out: {why}"
    tried = [name for name in programs if name not in missing]
    yield f"| server | mode | {' | '.join(tried)} |"
    yield f"|---|---|{'---|' * len(tried)}"
    sums = {name: Fate() for name in tried}
    for case, keep in TELLING:
        fates = {name: await meet(name, case, keep=keep) for name in tried}
        sums = {n: Fate(*map(sum, zip(sums[n], fates[n], strict=True))) for n in tried}
        cells = " | ".join(map(str, fates.values()))
        yield f"| {case.replace('-', ' ')} | {'keep' if keep else 'delete'} | {cells} |"
    yield f"| all | | {' | '.join(map(str, sums.values()))} |"


async def meet(program: str, name: str, *, keep: bool) -> Fate:
    """Let one program fetch from one server as often as the case says."""
    case = CASES[name]
    server = OddServer(list(case.mail), case.oddity)
    with TemporaryDirectory() as directory:
        if program == "popsync":
            await _poll(server, case, Path(directory), keep=keep)
        else:
            await _run(program, server, case, Path(directory), keep=keep)
        arrived = [
            file.read_bytes()
            for place in ("new", "cur")
            for file in (Path(directory) / "Mail" / place).glob("*")
        ]
    return _judge(case, server.mail, arrived)


async def _poll(server: OddServer, case: Case, directory: Path, *, keep: bool) -> None:
    async with open_bench(server, directory, deletes=not keep) as bench:
        for _ in range(case.polls):
            await bench.poll()
        shutil.move(bench.path, directory / "Mail")


async def _run(
    program: str, server: OddServer, case: Case, directory: Path, *, keep: bool
) -> None:
    async with ScriptedServer(server.serve) as served:
        visit = Visit(directory, served.port, "jane", "secret", keep, timeout_s=TIMEOUT_S)
        command = set_up(program, visit)
        for _ in range(case.polls):
            await asyncio.to_thread(_fetch, command, visit)


def _fetch(command: Sequence[str], visit: Visit) -> None:
    """Run once; a program that does not end by itself is ended, as a user would do it."""
    process = subprocess.Popen(
        command,
        cwd=visit.directory,
        env=environment(visit),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(RUN_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait(RUN_TIMEOUT_S)


def _judge(case: Case, left: Sequence[Mail], arrived: Sequence[bytes]) -> Fate:
    fate = Fate()
    for mail in case.mail:
        head, body = _parts(mail.octets)
        name = next(line for line in head.split(b"\n") if line.startswith(b"Message-ID"))
        copies = [parts for parts in map(_parts, arrived) if name in parts[0]]
        whole = [copy for copy in copies if copy[1] == body]
        odd = [copy for copy in copies if copy[1] != body and b"X-Popsync-Suspect" not in copy[0]]
        # The maildrop's own unique-id may have changed meanwhile, the message not.
        is_left = any(one.octets == mail.octets for one in left)
        fate = Fate(
            fate.lost + (not whole and not is_left),
            fate.doubled + max(0, len(whole) - 1),
            fate.blocked + (not copies and is_left),
            fate.damaged + len(odd),
        )
    return fate


def _parts(message: bytes) -> tuple[bytes, bytes]:
    """Give header and body, their lines ended by LF: programs add lines to the header."""
    head, _, body = message.replace(b"\r\n", b"\n").partition(b"\n\n")
    return head, body.rstrip(b"\n")
