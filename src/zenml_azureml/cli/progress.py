"""Progress on a terminal while a command waits; nothing without a terminal, or with `--json`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

T = TypeVar("T")


@contextmanager
def working(doing: str) -> Iterator[None]:
    """Show a spinner on stderr while work is in progress.

    Args:
        doing: Description of the work, e.g. `Listing jobs`.
    """
    if not _is_looked_at():
        yield
        return
    from rich.console import Console

    with Console(stderr=True, highlight=False, markup=False, emoji=False).status(f"{doing} ..."):
        yield


def counted(doing: str, items: Iterable[T], total: int) -> Iterator[T]:
    """Yield each item when it is ready; a bar on stderr shows how many were yielded.

    The bar is shown only while the next item is awaited, so it never mixes with the output for an item.

    Args:
        doing: Description of the work, e.g. `Cancelling jobs`.
        items: The items to wait for.
        total: Number of items.
    """
    if not _is_looked_at():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
    columns += [BarColumn(), MofNCompleteColumn()] if total > 1 else []
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    bar = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
    task = bar.add_task(doing, total=total)
    coming = iter(items)
    while True:
        with bar:
            try:
                item = next(coming)
            except StopIteration:
                return
        bar.advance(task)
        yield item


def _is_looked_at() -> bool:
    command = click.get_current_context(silent=True)
    for_a_program = command is not None and bool(command.params.get("as_json"))
    return sys.stderr.isatty() and not for_a_program
