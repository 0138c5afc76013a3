"""``popsync once``: one round over the accounts, for cron, timers and impatient people."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import click

from popsync.agent.agent import AccountPlan
from popsync.agent.assembly import open_agent
from popsync.cli.configuration import (
    accounts_argument,
    choose_accounts,
    load_invoked_config,
)
from popsync.cli.event_log import EventLog
from popsync.cli.exit_codes import choose_exit_code
from popsync.cli.last_words import say_why
from popsync.cli.logs import set_up_logs
from popsync.cli.options import Command, invocation, json_option
from popsync.cli.plan_text import format_plans, plans_document
from popsync.cli.report_text import exit_code_of_reports, format_report, reports_document
from popsync.cli.stopping import Stopping, run_stoppable
from popsync.cli.terminal import print_json, terminal_width
from popsync.config.model import Config
from popsync.poll.events import Event, Observer, PollReport


@click.command("once", cls=Command)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do none of it.")
@json_option
@accounts_argument
def command(accounts: Sequence[str], *, dry_run: bool, as_json: bool) -> int:
    """Poll accounts once, for cron and timers.

    Each ACCOUNT is a name, or a pattern such as 'work-*'; without any, all enabled ones are
    polled. No new mail is success. A first Control-C or SIGTERM finishes the message in hand and
    ends properly, a second one ends at once; nothing is lost either way.
    """
    config = load_invoked_config()
    chosen = choose_accounts(config, accounts)
    if not chosen:
        lacking = "no account of it is enabled" if config.accounts else "it has no account"
        click.echo(f"popsync: {config.path}: nothing to poll, {lacking}", err=True)
    if dry_run:
        return plan_accounts(config, chosen, as_json=as_json)
    return poll_accounts(config, chosen, as_json=as_json)


def poll_accounts(config: Config, names: Sequence[str], *, as_json: bool) -> int:
    """Poll, watched by a bar or by the log, and sum up what came of it."""
    with _watching(config, len(names)) as observer:
        reports, stopped = run_stoppable(partial(_poll, config, names, observer))
    if stopped and invocation().verbosity >= 0:
        say_why("stopped early; what is left is fetched next time")
    _print_reports(reports, as_json=as_json)
    return exit_code_of_reports(reports)


def plan_accounts(config: Config, names: Sequence[str], *, as_json: bool) -> int:
    """Show what a poll would do; each message too when asked to be verbose."""
    plans = asyncio.run(_plan(config, names))
    if as_json:
        print_json(plans_document(plans))
    else:
        each_message = invocation().verbosity > 0
        for line in format_plans(plans, each_message=each_message, width=terminal_width()):
            click.echo(line)
    return choose_exit_code(plan.error for plan in plans if plan.error is not None)


async def _poll(
    config: Config, names: Sequence[str], observer: Observer, stopping: Stopping
) -> tuple[Sequence[PollReport], bool]:
    """Give what the polls came to, and whether they were asked to stop meanwhile."""
    async with open_agent(config, observe=observer, stopping=stopping) as agent:
        return await agent.poll_round(names), stopping()


async def _plan(config: Config, names: Sequence[str]) -> Sequence[AccountPlan]:
    async with open_agent(config, observe=lambda _event: None, looks_only=True) as agent:
        return await agent.plan_round(names)


@contextmanager
def _watching(config: Config, accounts: int) -> Iterator[Observer]:
    """Give the observer that fits stderr: a bar on a terminal, log lines anywhere else."""
    verbosity = invocation().verbosity
    if verbosity != 0 or not sys.stderr.isatty():
        set_up_logs(level=config.log.level, form=config.log.format, verbosity=verbosity)
        yield EventLog()
        return
    from popsync.cli.progress import ProgressBar  # noqa: PLC0415 - rich, for terminals alone

    set_up_logs(level="warning", form=config.log.format, verbosity=0)
    log = EventLog(sums_up=False)
    with ProgressBar(accounts) as bar:

        def tell_both(event: Event) -> None:
            log(event)
            bar(event)

        yield tell_both


def _print_reports(reports: Sequence[PollReport], *, as_json: bool) -> None:
    if as_json:
        print_json(reports_document(reports))
        return
    if invocation().verbosity < 0:
        return
    for line in filter(None, map(format_report, reports)):
        click.echo(line)
