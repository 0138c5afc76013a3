"""Relays that are late, down for long, or refuse the login: what it costs everybody else."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from popsync.agent.gates import Gates
from popsync.destinations.smtp import SmtpDestination, SmtpSettings
from popsync.errors import DestinationMisconfigured
from popsync.poll.carry import MAX_BATCH_MESSAGES
from tests.doubles.pop3_script import Talk
from tests.doubles.smtp_script import Answer, Raw, SmtpScript, StoredMessage
from tests.odd_servers.form import make_mail
from tests.odd_servers.harness import Bench, open_bench
from tests.odd_servers.relay_cases import FIVE
from tests.odd_servers.server import Mail, OddServer

JANE = ("jane@example.org",)


class ImpatientServer(OddServer):
    """Parts from whoever is there once ``parted`` is set, as a server does after idle minutes."""

    def __init__(self, mail: list[Mail]) -> None:
        """Have patience at first."""
        super().__init__(mail)
        self.parted = asyncio.Event()

    async def serve(self, talk: Talk) -> None:
        """Talk to one client until it parts, or patience ends."""
        serving = asyncio.create_task(super().serve(talk))
        parting = asyncio.create_task(self.parted.wait())
        await asyncio.wait({serving, parting}, return_when=asyncio.FIRST_COMPLETED)
        for task in (serving, parting):
            task.cancel()
        await asyncio.wait({serving, parting})


def _settings(port: int, *, login: bool = False, connections: int = 1) -> SmtpSettings:
    async def give_password() -> str:
        return "secret"

    return SmtpSettings(
        host="127.0.0.1",
        port=port,
        user="jane",
        password=give_password if login else None,
        connections=connections,
    )


def _retrieved(server: OddServer) -> int:
    return sum(command.upper().startswith(b"RETR") for command in server.commands)


async def test_a_greeting_that_is_late_is_waited_for(tmp_path: Path) -> None:
    """Nothing is said before it, and nothing retrieved."""
    gate = asyncio.Event()

    async def hold_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        relay_reader, relay_writer = await asyncio.open_connection("127.0.0.1", inner)
        await asyncio.gather(_pass(reader, relay_writer), _pass(relay_reader, writer))

    script, server = SmtpScript(), OddServer(list(FIVE))
    async with script.on_tcp() as inner:
        outer = await asyncio.start_server(hold_back, "127.0.0.1", 0)
        relay = SmtpDestination("relay", _settings(outer.sockets[0].getsockname()[1]))
        async with open_bench(server, tmp_path, destination=relay, recipients=JANE) as bench:
            polling = asyncio.create_task(bench.poll())
            await asyncio.wait({polling}, timeout=0.1)
            assert not polling.done()
            assert _retrieved(server) == 0
            gate.set()
            assert (await polling).summary.delivered == len(FIVE)
        await relay.close()
        outer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while octets := await reader.read(1 << 16):
        writer.write(octets)
        await writer.drain()
    writer.close()


async def test_the_maildrop_may_be_lost_while_the_relay_takes_its_time(tmp_path: Path) -> None:
    """What had arrived whole is delivered once, and deleted in another session.

    No NOOP keeps the session alive: nothing is lost with it, and the relay may take longer than
    any server's patience.
    """
    server = ImpatientServer(list(FIVE))

    def take_long(_message: StoredMessage) -> None:
        server.parted.set()

    script = SmtpScript(on_message=take_long)
    async with script.on_tcp() as port:
        relay = SmtpDestination("relay", _settings(port))
        async with open_bench(server, tmp_path, destination=relay, recipients=JANE) as bench:
            first = await bench.poll()
            script.on_message = lambda _message: None
            server.parted.clear()
            await bench.poll()
            await bench.poll()
        await relay.close()

    assert first.summary.delivered == len(FIVE)
    assert first.summary.deleted == 0
    assert Counter(message.data for message in script.messages) == Counter(
        mail.octets for mail in FIVE
    )
    assert server.mail == []


async def test_while_a_relay_is_down_nothing_is_retrieved_and_then_all_in_order(
    tmp_path: Path,
) -> None:
    """A day, a poll an hour: the maildrop is the queue, so nothing piles up here.

    When the relay is back, no more messages wait in memory than two batches and a window of RETR
    hold, and one connection brings them in their order. It would be the same with more of them.
    """
    waiting = [make_mail(f"{n:05}") for n in range(4_000)]
    down: list[Answer] = ["421 down", Raw(b"", close=True), "554 no service"] * 8
    server, script = OddServer(waiting.copy()), SmtpScript(answers={"GREETING": down})
    most = 0

    def measure(_message: StoredMessage) -> None:
        nonlocal most
        most = max(most, _retrieved(server) - len(script.messages))

    script.on_message = measure
    async with script.on_tcp() as port:
        relay = SmtpDestination("relay", _settings(port))
        async with open_bench(server, tmp_path, destination=relay, recipients=JANE) as bench:
            for _ in range(24):
                assert (await bench.poll()).summary.delivered == 0
            assert _retrieved(server) == 0
            assert script.commands == []
            await bench.poll()
        await relay.close()

    assert [message.data for message in script.messages] == [mail.octets for mail in waiting]
    assert 0 < most <= 3 * MAX_BATCH_MESSAGES
    assert server.mail == []


async def test_a_refused_login_is_not_repeated_by_every_account(tmp_path: Path) -> None:
    """One attempt for all who come at the same time; then the destination pauses for all.

    One more may begin in the moment in which the first is known to have failed.
    """
    script = SmtpScript(extensions=("AUTH PLAIN",), answers={"AUTH": ["535 no"] * 99})
    async with script.on_tcp() as port, AsyncExitStack() as stack:
        relay = SmtpDestination("relay", _settings(port, login=True, connections=4))
        gates = Gates()
        stack.push_async_callback(relay.close)
        stack.push_async_callback(gates.close)
        gate = (await gates.put_before({"relay": relay}))["relay"]
        servers = [OddServer(list(FIVE)) for _ in range(9)]
        benches: list[Bench] = []
        for number, server in enumerate(servers):
            directory = tmp_path / str(number)
            directory.mkdir()
            benches.append(
                await stack.enter_async_context(
                    open_bench(server, directory, destination=gate, recipients=JANE)
                )
            )
        for _ in range(3):
            reports = await asyncio.gather(*(bench.poll() for bench in benches))
            assert {type(report.error) for report in reports} == {DestinationMisconfigured}

    assert sum(command.startswith("AUTH") for command in script.commands) <= 2
    assert sum(map(_retrieved, servers)) == 0
    assert all(server.mail == list(FIVE) for server in servers)
