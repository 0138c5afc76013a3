"""``popsync demo``: no configuration, no network, no root; it ends by itself with a proof."""

import asyncio
import signal
import smtplib
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click

from popsync.agent.assembly import open_agent
from popsync.cli.demo.mail import DemoMessage, generate_mail
from popsync.cli.demo.proof import Claim, prove
from popsync.cli.demo.stage import CAST, send_mail, stage_server, write_config
from popsync.cli.exit_codes import ExitCode
from popsync.cli.logs import set_up_logs
from popsync.cli.options import Command, invocation
from popsync.cli.report_text import format_report
from popsync.cli.terminal import format_table
from popsync.cli.words import count, format_octets
from popsync.config.model import Config
from popsync.poll.events import Observer, PollReport
from popsync.server.run import running_server
from popsync.server.settings import HostPort

MAX_MESSAGES = 100_000

_HEADER = ("ACCOUNT", "MODE", "DELIVERS TO", "LISTED", "DELIVERED", "DELETED")


class Outcome(NamedTuple):
    """What the demonstration came to."""

    first_round: Sequence[PollReport]
    seconds: float
    """How long the first round took."""
    claims: Sequence[Claim]


@click.command("demo", cls=Command)
@click.option(
    "--messages",
    type=click.IntRange(1, MAX_MESSAGES),
    default=50,
    show_default=True,
    help="Messages for each account.",
)
@click.option("--keep", is_flag=True, help="Leave everything there to look at.")
def command(messages: int, *, keep: bool) -> int:
    """Show popsync at work, on this machine alone, and prove it.

    The bundled server starts on free loopback ports with generated mail for three accounts. They
    are polled twice, into a Maildir and by SMTP, exactly as 'popsync once' does it. Then files and
    mailboxes are compared with what was sent. With -q only that proof is shown, with -qq the exit
    code alone tells.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it too cleans up
    verbosity = invocation().verbosity
    set_up_logs(level="warning", form="auto", verbosity=verbosity)
    with _workshop(keep=keep) as root:
        outcome = asyncio.run(perform(root, messages, quiet=verbosity < 0))
        if verbosity >= 0:
            _print_work(outcome)
        if verbosity >= -1:
            _print_proof(outcome)
        if keep:
            click.echo(f"Everything is in {root}; its configuration is {root / 'popsync.toml'}")
    return ExitCode.OK if all(claim.holds for claim in outcome.claims) else ExitCode.INTERNAL


async def perform(root: Path, messages: int, *, quiet: bool) -> Outcome:
    """Serve, send, poll twice and prove, all below ``root``; ``quiet`` shows nothing of it."""
    async with running_server(stage_server(root)) as endpoints:
        sent = {role.name: generate_mail(role.name, messages, seed=1) for role in CAST}
        if not quiet:
            click.echo(_describe_stage(sent))
        for mailbox, mail in sent.items():
            await _send_all(endpoints.smtp, mailbox, mail, root)
        config = write_config(root, endpoints)
        with _watching(quiet=quiet) as observer:
            began = time.monotonic()
            first_round = await _poll(config, observer)
            seconds = time.monotonic() - began
        second_round = await _poll(config, lambda _event: None)
        claims = await asyncio.to_thread(prove, root, endpoints.pop3, sent, second_round)
    return Outcome(first_round, seconds, claims)


async def _send_all(smtp: HostPort, mailbox: str, mail: Sequence[DemoMessage], root: Path) -> None:
    """Send in a thread; what befalls it once the demonstration was cut short is of no interest."""
    sending = asyncio.ensure_future(asyncio.to_thread(_send, smtp, mailbox, mail, root))
    try:
        await asyncio.shield(sending)
    except asyncio.CancelledError:
        sending.add_done_callback(lambda sent: sent.cancelled() or sent.exception())
        raise


def _send(smtp: HostPort, mailbox: str, mail: Sequence[DemoMessage], root: Path) -> None:
    try:
        send_mail(smtp, mailbox, mail)
    except smtplib.SMTPResponseException as error:
        reason = error.smtp_error.decode() if isinstance(error.smtp_error, bytes) else error
        raise OSError(f"the demonstration's mail cannot be kept in {root}: {reason}") from error


async def _poll(config: Config, observer: Observer) -> Sequence[PollReport]:
    async with open_agent(config, observe=observer) as agent:
        return await agent.poll_round(list(config.accounts))


@contextmanager
def _workshop(*, keep: bool) -> Iterator[Path]:
    """Give an empty directory; it is gone afterwards unless it is to be kept."""
    if keep:
        yield Path(tempfile.mkdtemp(prefix="popsync-demo-"))
        return
    with tempfile.TemporaryDirectory(prefix="popsync-demo-") as root:
        yield Path(root)


@contextmanager
def _watching(*, quiet: bool) -> Iterator[Observer]:
    """Show a live table on a terminal; elsewhere the outcome says all."""
    if quiet or not sys.stdout.isatty():
        yield lambda _event: None
        return
    from popsync.cli.demo.table import LiveTable  # noqa: PLC0415 - rich, for terminals alone

    with LiveTable() as table:
        yield table


def _print_work(outcome: Outcome) -> None:
    """Print the table, unless a live one has, and how fast it was."""
    reports = outcome.first_round
    if not sys.stdout.isatty():
        rows = [
            (role.name, role.mode, role.destination, *_count_work(report))
            for role, report in zip(CAST, reports, strict=True)
        ]
        for line in format_table(_HEADER, rows):
            click.echo(line)
    delivered = count(sum(report.summary.delivered for report in reports), "message")
    click.echo(f"Fetched and delivered {delivered} in {outcome.seconds:.2f} s.\n")


def _print_proof(outcome: Outcome) -> None:
    for claim in outcome.claims:
        sign = (
            click.style("ok    ", fg="green") if claim.holds else click.style("FAILED", fg="red")
        )
        click.echo(f"{sign} {claim.text}")
    if not all(claim.holds for claim in outcome.claims):
        click.echo("popsync: the proof failed; please report this, with these lines:", err=True)
        for line in map(format_report, outcome.first_round):
            click.echo(f"  {line}", err=True)


def _count_work(report: PollReport) -> tuple[int, int, int]:
    return report.summary.listed, report.summary.delivered, report.summary.deleted


def _describe_stage(sent: Mapping[str, Sequence[DemoMessage]]) -> str:
    mail = [message for messages in sent.values() for message in messages]
    octets = format_octets(sum(len(message.content) for message in mail))
    return f"Sending {count(len(mail), 'message')} ({octets}) to the bundled server ..."
