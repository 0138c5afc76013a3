"""``popsync poll``: has the running daemon poll now."""

from collections.abc import Sequence

import click

from popsync.agent.control import AskPoll, Polled, PollOutcome
from popsync.cli.configuration import accounts_argument, find_state_dir
from popsync.cli.daemon import ask_daemon, choose_polled
from popsync.cli.exit_codes import ExitCode, choose_exit_code
from popsync.cli.options import Command, invocation, json_option
from popsync.cli.report_text import exit_code_of_reports, format_report, reports_document
from popsync.cli.terminal import print_json
from popsync.cli.words import count


@click.command("poll", cls=Command)
@json_option
@accounts_argument
def command(accounts: Sequence[str], *, as_json: bool) -> int:
    """Have the running popsync poll now.

    It waits for the end and says what came of it. Each ACCOUNT is a name, or a pattern such as
    'work-*'; without any, all are polled. Suspended and paused ones are polled, too. Control-C
    ends the waiting, not the polls.
    """
    state_dir = find_state_dir()
    request = AskPoll(choose_polled(state_dir, accounts))
    outcomes = ask_daemon(state_dir, request, Polled, timeout_s=None).outcomes
    reports = [report for outcome in outcomes if (report := outcome.report()) is not None]
    if as_json:
        print_json(reports_document(reports))
    elif invocation().verbosity >= 0:
        for line in _describe(outcomes):
            click.echo(line)
    missed = [ExitCode.TEMPORARY] if len(reports) < len(outcomes) else []
    return choose_exit_code([exit_code_of_reports(reports), *missed])


def _describe(outcomes: Sequence[PollOutcome]) -> list[str]:
    """Give a line for each account with mail or trouble, one line when there is none."""
    lines = []
    for outcome in outcomes:
        report = outcome.report()
        lines.append(
            f"{outcome.account}: not polled, it was removed or popsync ends"
            if report is None
            else format_report(report)
        )
    return list(filter(None, lines)) or [f"{count(len(outcomes), 'account')} polled, nothing new"]
