"""The help of every command: short texts that click does not cut off."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from zenml_azureml.cli import main

#: Longest short help. With the longest name of a command it fits into a line of 80 columns.
LONGEST = 45


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield a command and all commands below it, with the words that select them."""
    yield path, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from commands(child, (*path, name))


ALL = dict(commands(main))


@pytest.mark.parametrize("path", [path for path, command in ALL.items() if isinstance(command, click.Group)])
def test_a_group_lists_its_commands_without_cutting_a_text_off(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*path, "--help"], terminal_width=80)
    assert result.exit_code == 0, result.output
    listed = result.output.partition("Commands:\n")[2].splitlines()
    group = ALL[path]
    assert isinstance(group, click.Group)
    assert [line.split()[0] for line in listed] == sorted(group.commands)
    assert not [line for line in listed if line.endswith("...")]


@pytest.mark.parametrize("path", [path for path in ALL if path], ids=" ".join)
def test_a_command_has_a_short_help_and_describes_its_options(path: tuple[str, ...]) -> None:
    command = ALL[path]
    assert command.short_help, path
    assert len(command.short_help) <= LONGEST, command.short_help
    undescribed = [one.name for one in command.params if isinstance(one, click.Option) and not one.help]
    assert not undescribed
    assert CliRunner().invoke(main, [*path, "--help"], terminal_width=80).exit_code == 0
