"""``popsync serve``: the bundled SMTP and POP3 server, until a signal."""

from functools import partial

import click

from popsync.cli.configuration import load_invoked_config
from popsync.cli.exit_codes import ExitCode
from popsync.cli.logs import set_up_logs
from popsync.cli.options import Command, invocation
from popsync.cli.server_settings import build_server_settings
from popsync.cli.stopping import Stopping, run_stoppable
from popsync.config.model import Config
from popsync.errors import ConfigError
from popsync.server.run import Endpoints, running_server
from popsync.server.settings import ServerSettings

SAMPLE = """\
[server.mailbox.jane]
password = { file = "jane.password" }
addresses = ["jane@example.org"]
"""


@click.command("serve", cls=Command)
def command() -> int:
    """Run the bundled SMTP and POP3 server.

    It takes mail for the mailboxes of [server] by SMTP and gives it out by POP3, until SIGTERM or
    Control-C. Without a certificate it listens on this machine only.
    """
    config = load_invoked_config()
    if not config.server.mailbox:
        raise ConfigError(
            f"{config.path}: there is no mailbox to serve; add for example\n\n{SAMPLE}"
        )
    set_up_logs(level=config.log.level, form=config.log.format, verbosity=invocation().verbosity)
    run_stoppable(partial(_serve, config))
    return ExitCode.OK


async def _serve(config: Config, stopping: Stopping) -> None:
    settings = await build_server_settings(config)
    async with running_server(settings) as endpoints:
        _announce(endpoints, settings)
        await stopping.wait()


def _announce(endpoints: Endpoints, settings: ServerSettings) -> None:
    for name, (host, port) in (("SMTP", endpoints.smtp), ("POP3", endpoints.pop3)):
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"{name} on {shown}:{port}")
    click.echo(f"Mail is kept in {settings.mailstore}")
