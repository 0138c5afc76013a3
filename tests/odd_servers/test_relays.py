"""Whatever a relay answers: nothing lost, nothing doubled unmarked, nothing deleted untaken."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from popsync.destinations.lmtp import LmtpDestination, LmtpSettings
from popsync.destinations.relay.dialogue import Deadlines
from popsync.destinations.smtp import SmtpDestination, SmtpSettings
from tests.doubles.smtp_script import CLOSE, Answer, SmtpScript, StoredMessage
from tests.odd_servers.harness import open_bench
from tests.odd_servers.relay_cases import FIVE, JANE, PIPELINED, RELAYS, RelayCase
from tests.odd_servers.server import Mail, OddServer

_RESENT = re.compile(rb"\AX-Popsync-Redelivery: .*\r\n")
_PATIENT = Deadlines(connect_s=9, greeting_s=9, command_s=9, data_s=9, block_s=9, dot_s=9)

CASES = RELAYS | PIPELINED


def _destination(case: RelayCase, port: int) -> SmtpDestination | LmtpDestination:
    deadlines = replace(_PATIENT, **{case.silence: 0.6}) if case.silence else _PATIENT
    if case.lmtp:
        lmtp = LmtpSettings(host="127.0.0.1", port=port, deadlines=deadlines)
        return LmtpDestination("relay", lmtp)

    async def give_password() -> str:
        return case.password

    smtp = SmtpSettings(
        host="127.0.0.1",
        port=port,
        user="jane",
        password=give_password if case.password else None,
        deadlines=deadlines,
        require_8bitmime=case.require_8bitmime,
    )
    return SmtpDestination("relay", smtp)


def _deliveries(stored: Iterable[StoredMessage]) -> Counter[tuple[str, bytes]]:
    """Count what reached each recipient, without the line that marks what may come again."""
    return Counter(
        (recipient, _RESENT.sub(b"", message.data))
        for message in stored
        for recipient in message.recipients
    )


def _wanted(case: RelayCase, mail: Iterable[Mail]) -> set[tuple[str, bytes]]:
    return {(recipient, one.octets) for recipient in case.recipients for one in mail}


@pytest.mark.parametrize("name", CASES)
async def test_each_message_is_handed_over_once_and_unchanged(name: str, tmp_path: Path) -> None:
    """Each recipient has it once, or twice and marked when a reply was lost."""
    case = CASES[name]
    answers = {step: list(answers) for step, answers in case.answers.items()}
    script = SmtpScript(case.extensions, answers, lmtp=case.lmtp)
    server = OddServer(list(case.mail))
    async with script.on_tcp() as port:
        relay = _destination(case, port)
        async with open_bench(
            server, tmp_path, destination=relay, recipients=case.recipients
        ) as bench:
            for number in range(case.polls):
                report = await bench.poll()
                summary = report.summary
                if number == 0:
                    assert (summary.delivered, summary.deferred, summary.held) == case.first
                gone = [mail for mail in case.mail if mail not in server.mail]
                assert _wanted(case, gone) <= _deliveries(script.messages).keys()
        await relay.close()
    arrived = _deliveries(script.messages)
    assert arrived.keys() == _wanted(case, [m for m in case.mail if m not in case.never])
    assert tuple(server.mail) == case.never
    assert arrived.total() - len(arrived) == case.resent
    marked = [message for message in script.messages if _RESENT.match(message.data)]
    assert len(marked) == case.resent + case.doubted
    told = {command for command in script.commands if command.startswith("RCPT")}
    assert told <= {f"RCPT TO:<{recipient}>" for recipient in case.recipients}


@pytest.mark.parametrize("answer", [CLOSE, "421 leaving", "99 what", "550 no", "450 no"])
@pytest.mark.parametrize("extensions", [("SIZE",), ("SIZE", "PIPELINING")])
async def test_a_message_that_a_relay_cannot_bear_stops_no_other(
    extensions: tuple[str, ...], answer: Answer, tmp_path: Path
) -> None:
    """It ends the session at each try, and is put off for longer and longer (P5).

    Polled every two hours, the others go before it after a day at the latest.
    """
    poison, *others = FIVE

    def answer_mail(line: str) -> Answer:
        return answer if line.endswith(octets) else ""

    poison = poison._replace(octets=poison.octets + b"More.\r\n")
    octets = f" SIZE={len(poison.octets)}"
    script = SmtpScript(extensions, answer_mail=answer_mail)
    server = OddServer([poison, *others])
    async with script.on_tcp() as port:
        relay = _destination(RelayCase(), port)
        async with open_bench(server, tmp_path, destination=relay, recipients=JANE) as bench:
            for _ in range(14):
                await bench.poll()
        await relay.close()

    assert _deliveries(script.messages) == Counter({(JANE[0], m.octets): 1 for m in others})
    assert server.mail == [poison]
