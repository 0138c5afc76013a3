"""``popsync check``: every mistake in the file, and with ``--login`` every door tried."""

import asyncio
from collections.abc import Sequence

import click

from popsync.agent.agent import CheckReport
from popsync.agent.assembly import open_agent
from popsync.cli.configuration import choose_accounts, load_checked_config
from popsync.cli.exit_codes import ExitCode, choose_exit_code
from popsync.cli.options import Command
from popsync.cli.words import count, format_octets
from popsync.config.model import Config


@click.command("check", cls=Command)
@click.option("--login", is_flag=True, help="Log in to each account and greet each destination.")
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...")
def command(accounts: Sequence[str], *, login: bool) -> int:
    """Find every mistake in the configuration.

    All of them are shown at once, each with its line; so is what it relies on and is not there,
    such as a file or a program. With --login each ACCOUNT, or every enabled
    one, is connected to and logged in to, and each destination is asked whether it takes mail;
    nothing is fetched and nothing changes.
    """
    config = load_checked_config()
    chosen = choose_accounts(config, accounts)
    return check_logins(config, chosen) if login else check_config(config)


def check_config(config: Config) -> int:
    """Say what a configuration without mistakes holds, and when that fetches nothing."""
    if not config.accounts and not config.server.mailbox:
        click.echo(f"popsync: warning: {config.path} has no account, nothing is fetched", err=True)
    accounts = count(len(config.accounts), "account")
    destinations = count(len(config.destinations), "destination")
    click.echo(f"OK: {accounts}, {destinations} in {config.path}")
    return ExitCode.OK


def check_logins(config: Config, names: Sequence[str]) -> int:
    """Try every door, say a line about each, and give the exit code of what failed."""
    if not names and not config.destinations:
        return check_config(config)  # a server alone has no door of others to try
    accounts, destinations = asyncio.run(_try_doors(config, names))
    for report in accounts:
        _say(
            "account",
            report,
            f"{count(report.messages, 'message')}, {format_octets(report.octets)}",
        )
    for report in destinations:
        _say("destination", report, "takes mail")
    errors = [r.error for r in (*accounts, *destinations) if r.error is not None]
    return choose_exit_code(errors)


async def _try_doors(
    config: Config, names: Sequence[str]
) -> tuple[Sequence[CheckReport], Sequence[CheckReport]]:
    async with open_agent(config, observe=lambda _event: None, looks_only=True) as agent:
        return await asyncio.gather(agent.check_accounts(names), agent.check_destinations())


def _say(kind: str, report: CheckReport, good: str) -> None:
    if report.error is None:
        click.echo(f"{click.style('ok    ', fg='green')} {kind} {report.name}: {good}")
    else:
        click.echo(f"{click.style('failed', fg='red')} {kind} {report.name}: {report.error}")
