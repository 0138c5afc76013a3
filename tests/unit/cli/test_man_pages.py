"""The man pages say what there is, and no less."""

import runpy
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from popsync.cli.application import COMMANDS, application

MAN = Path(__file__).parents[3] / "docs" / "man"


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Give every command below ``command``, itself included, by its full name."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, f"{path} {name}")


def plain(page: str) -> str:
    """Give a page's text without the roff that matters here."""
    return (MAN / page).read_text().replace("\\-", "-")


def options(command: click.Command) -> set[str]:
    """Give the names of a command's own options."""
    return {
        name
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_in_the_manual(name: str) -> None:
    """A command has its section, with each option that --help knows."""
    command = application.get_command(click.Context(application), name)
    assert command is not None
    page = plain("popsync.1")
    everywhere = options(application)

    for path, inner in commands(command, f"popsync {name}"):
        if isinstance(inner, click.Group):
            continue
        section = page.partition(f'.SS "{path}')[2].partition("\n.S")[0]
        assert section, path
        for option in options(inner) - everywhere:
            assert option in section, f"{path} {option}"


def test_global_options_are_in_the_manual() -> None:
    """They stand before the commands."""
    head = plain("popsync.1").partition(".SH COMMANDS")[0]

    for option in options(application):
        assert option in head


def test_the_manual_names_no_command_that_does_not_exist() -> None:
    """A section for a command means that there is one."""
    sections = plain("popsync.1").split('.SS "popsync ')[1:]

    assert {section.split()[0].strip('"') for section in sections} == set(COMMANDS)


def test_the_page_of_the_configuration_is_up_to_date() -> None:
    """It is generated; docs/man/make_popsync_toml.py renews it."""
    made = runpy.run_path(str(MAN / "make_popsync_toml.py"))["man_page"]()

    assert (MAN / "popsync.toml.5").read_text() == made
