"""A click group that knows its commands by name and one line of help, and imports on use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from click.shell_completion import CompletionItem


class LazyCommand(NamedTuple):
    """Where a command is, and what ``--help`` says of it without looking there."""

    module: str
    """Holds the command as ``command``."""
    summary: str


class LazyGroup(click.Group):
    """A group whose commands are imported only when one of them runs, or shows its own help."""

    def __init__(self, *args: Any, table: Mapping[str, LazyCommand], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table
        self.on_imported: Callable[[], None] = lambda: None
        """Called once the command that runs is imported, and all that it needs with it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's form
        """Give the names in the order of the table, which is that of a user's first day."""
        return list(self.table)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's form
        cmd_name: str,
    ) -> click.Command | None:
        """Import and give a command, or None when there is none of that name."""
        if cmd_name not in self.table:
            return None
        command: click.Command = import_module(self.table[cmd_name].module).command
        self.on_imported()
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that ``args`` begin with; a misspelt one brings a suggestion."""
        name = args[0]
        if name not in self.table and not name.startswith("-"):
            from difflib import get_close_matches  # noqa: PLC0415 - for a mistake alone

            near = get_close_matches(name, self.table, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {name!r}{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's form
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the list of commands from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.table.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer names from the table alone, then what any command would offer."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - for shells alone

        names = [
            CompletionItem(name, help=entry.summary)
            for name, entry in self.table.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)
