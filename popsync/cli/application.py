"""The root command, and what becomes of an error that reaches it."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from popsync import __version__
from popsync.cli.ending import exit_process
from popsync.cli.exit_codes import ExitCode, exit_code_for
from popsync.cli.interpreter import settle_down
from popsync.cli.last_words import confess, list_problems, say_why
from popsync.cli.lazy_group import LazyCommand, LazyGroup
from popsync.cli.options import global_options
from popsync.cli.standard_streams import (
    OutputUnwritable,
    abandon_stdout,
    secure_standard_streams,
)
from popsync.errors import ConfigError, PopsyncError

COMMANDS = {
    name: LazyCommand(f"popsync.cli.commands.{name}", summary)
    for name, summary in {
        "demo": "Show popsync at work, on this machine alone, and prove it.",
        "init": "Ask a few questions and write a configuration.",
        "check": "Find every mistake in the configuration.",
        "once": "Poll accounts once, for cron and timers.",
        "run": "Poll accounts for ever, each in its own interval.",
        "status": "Say how the daemon and each account are doing.",
        "log": "List the last deliveries of one account or of all.",
        "explain": "Tell the whole story of one message.",
        "poll": "Have the running popsync poll now.",
        "pause": "Have the running popsync leave accounts alone.",
        "resume": "Have the running popsync poll accounts again.",
        "reload": "Have the running popsync read its configuration again.",
        "held": "Look after messages that were set aside or wait here.",
        "serve": "Run the bundled SMTP and POP3 server.",
        "schema": "Print the JSON Schema of the configuration.",
    }.items()
}

application = LazyGroup(
    "popsync",
    table=COMMANDS,
    params=global_options(),
    callback=lambda: None,
    help="Fetch POP3 mailboxes and redeliver each message exactly once.",
    epilog="Begin with 'popsync demo', then 'popsync init'. See popsync(1).",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 99},
)
click.version_option(__version__, prog_name="popsync", message="%(prog)s %(version)s")(application)


def main() -> NoReturn:
    """Run the command that ``sys.argv`` names; exits with an ExitCode."""
    secure_standard_streams()
    application.on_imported = settle_down
    exit_process(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Run one command and give its exit code; whatever goes wrong is said on stderr.

    A user's mistake or a failure from outside is told in words; only a bug shows a traceback.
    """
    try:
        code = application.main(args, prog_name="popsync", standalone_mode=False, color=_color())
        sys.stdout.flush()
    except (click.UsageError, click.Abort, OutputUnwritable) as error:
        return _tell_of_terminal(error)
    except ConfigError as error:
        list_problems(error.problems)
        return ExitCode.CONFIG
    except (PopsyncError, OSError) as error:
        say_why(_describe(error))
        return exit_code_for(error)
    except Exception as bug:  # noqa: BLE001 - the outermost place: a bug must end with its own code
        confess(bug)
        return ExitCode.INTERNAL
    return int(code or ExitCode.OK)


def _tell_of_terminal(error: click.UsageError | click.Abort | OutputUnwritable) -> ExitCode:
    """Say what went wrong between popsync and whoever sits before it, or reads from it."""
    if isinstance(error, click.UsageError):
        error.show()
        return ExitCode.USAGE
    if isinstance(error, click.Abort):
        return _tell_of_abort(error)
    abandon_stdout()
    if error.reader_left:
        return ExitCode.BROKEN_PIPE
    say_why(str(error))
    return ExitCode.IO


def _tell_of_abort(error: click.Abort) -> ExitCode:
    """Say which end it was: that of the input, where nobody is there to ask, or Control-C."""
    at_question = error.__cause__ is None
    if at_question:
        click.echo(err=True)  # the question stands on an open line
    if at_question and isinstance(error.__context__, EOFError):
        click.echo("popsync: a question was not answered, the input has ended", err=True)
        return ExitCode.USAGE
    click.echo("popsync: interrupted", err=True)
    return ExitCode.INTERRUPTED


def _describe(error: PopsyncError | OSError) -> str:
    """Give our own words as they are, the system's without its numbers."""
    if isinstance(error, PopsyncError) or not error.strerror:
        return str(error)
    named = "" if error.filename is None else f"{error.filename}: "
    return f"{named}{error.strerror}"


def _color() -> bool | None:
    """Give False when the user wants no colour (no-color.org), None for click's own choice."""
    return False if os.environ.get("NO_COLOR") else None
