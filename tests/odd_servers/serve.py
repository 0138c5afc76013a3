"""Serves one odd server as a process, for any fetcher: ``python -m tests.odd_servers.serve CASE``.

The first line on standard output is the port on 127.0.0.1 (no TLS; any user, any password).
SIGTERM or SIGINT ends it; the last line is then JSON: ``sessions``, ``left`` and ``offered``, the
last two SHA-256 digests of messages still there, and of all that were there at the start. Without
CASE it lists the names. A client that is silent for ten seconds is cut off.
"""

import asyncio
import hashlib
import json
import signal
import sys
from collections.abc import Iterable

from tests.doubles.pop3_script import ScriptedServer
from tests.odd_servers.cases import CASES
from tests.odd_servers.server import Mail, OddServer


def _digests(mail: Iterable[Mail]) -> list[str]:
    return [hashlib.sha256(one.octets).hexdigest() for one in mail]


async def _serve(name: str) -> None:
    case = CASES[name]
    server = OddServer(list(case.mail), case.oddity)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    scripted = ScriptedServer(server.serve)
    await scripted.__aenter__()
    print(scripted.port, flush=True)  # noqa: T201 - its output is its purpose
    await ended.wait()
    told = {
        "sessions": server.sessions,
        "left": _digests(server.mail),
        "offered": _digests(case.mail),
    }
    print(json.dumps(told), flush=True)  # noqa: T201 - its output is its purpose


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in CASES:
        sys.exit("one of: " + " ".join(CASES))
    asyncio.run(_serve(sys.argv[1]))
