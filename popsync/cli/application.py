"""The root command, and what becomes of an error that reaches it."""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from popsync import __version__
from popsync.cli.exit_codes import ExitCode, exit_code_for
from popsync.cli.lazy_group import LazyCommand, LazyGroup
from popsync.cli.options import global_options
from popsync.errors import ConfigError, PopsyncError

COMMANDS = {
    name: LazyCommand(f"popsync.cli.commands.{name}", summary)
    for name, summary in {
        "demo": "Show popsync at work, on this machine alone, and prove it.",
        "init": "Ask a few questions and write a configuration.",
        "check": "Find every mistake in the configuration.",
        "once": "Poll accounts once, for cron and timers.",
        "run": "Poll accounts for ever, each in its own interval.",
        "status": "Say how each account is doing.",
        "held": "Look after messages that were set aside.",
        "serve": "Run the bundled SMTP and POP3 server.",
        "schema": "Print the JSON Schema of the configuration.",
    }.items()
}


class Application(LazyGroup):
    """The root command."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader of our output who went away ends it without a word."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _leave_broken_pipe()
            ctx.exit(ExitCode.BROKEN_PIPE)
        return result


application = Application(
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
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Run one command and give its exit code; whatever goes wrong is said on stderr.

    A user's mistake or a failure from outside is told in words; only a bug shows a traceback.
    """
    try:
        code = application.main(args, prog_name="popsync", standalone_mode=False, color=_color())
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except click.Abort:
        return ExitCode.INTERRUPTED
    except ConfigError as error:
        click.echo("\n".join(error.problems), err=True)
        return ExitCode.CONFIG
    except (PopsyncError, OSError) as error:
        click.echo(f"popsync: {error}", err=True)
        return exit_code_for(error)
    except Exception:  # noqa: BLE001 - the outermost place: a bug must end with its own code
        traceback.print_exc()
        click.echo("popsync: this is a bug of popsync, please report it", err=True)
        return ExitCode.INTERNAL
    return int(code or ExitCode.OK)


def _color() -> bool | None:
    """Give False when the user wants no colour (no-color.org), None for click's own choice."""
    return False if os.environ.get("NO_COLOR") else None


def _leave_broken_pipe() -> None:
    """Have what is still buffered go nowhere, so that Python's exit does not complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
