"""Tables that stay readable at any width; a cell is never cut off."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from zenml_azureml.cli.output import echo
from zenml_azureml.safe_text import safe_name, safe_text

_UNLIMITED = 10_000


def show_rows(headings: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[str] = ()) -> None:
    """Print a table with a line for each row; if it is too wide for the terminal, a block for each row.

    A cell that is cut off cannot be copied, and a line that is wrapped cannot be read.

    Args:
        headings: Headings of the columns.
        rows: The cells of each row.
        numbers: Headings of the columns that are aligned to the right.
    """
    from rich.console import Console
    from rich.table import Table

    rows = [[safe_name(cell) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=True, justify="right" if heading in numbers else "left")
    for row in rows:
        table.add_row(*row)
    terminal = Console(highlight=False, markup=False, emoji=False)
    width = terminal.width if sys.stdout.isatty() else _UNLIMITED
    if terminal.measure(table, options=terminal.options.update(max_width=_UNLIMITED)).maximum <= width:
        wide = Console(highlight=False, markup=False, emoji=False, width=_UNLIMITED)
        with wide.capture() as printed:
            wide.print(table)
        # Columns are padded, even the last one.
        # Not `echo`: the headings are bold on a terminal.
        click.echo("\n".join(line.rstrip() for line in printed.get().splitlines()))
        return
    for number, row in enumerate(rows):
        if number:
            echo()
        show_facts([(heading, cell) for heading, cell in zip(headings, row, strict=True) if cell])


def show_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print names and values, a line for each; further lines of a value are aligned with its first line.

    Args:
        facts: Names and values.
    """
    facts = [(safe_name(name), safe_text(value)) for name, value in facts]
    if not sys.stdout.isatty():
        width = max((len(name) for name, _ in facts), default=0)
        for name, value in facts:
            first, *others = value.splitlines() or [""]
            echo(f"{name:<{width}}  {first}".rstrip())
            for line in others:
                echo(f"{'':<{width}}  {line}")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    # Folded instead of wrapped at words: ids and URLs can be longer than a line of the terminal.
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, value)
    Console(highlight=False, markup=False, emoji=False).print(table)
