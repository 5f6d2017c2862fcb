"""What a terminal shows while a command waits; nothing where nobody looks on, and nothing for programs."""

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
    """Show on stderr that something goes on whose end is not known.

    Args:
        doing: What, e.g. `Listing jobs`.
    """
    if not _is_looked_at():
        yield
        return
    from rich.console import Console

    with Console(stderr=True, highlight=False, markup=False, emoji=False).status(f"{doing} ..."):
        yield


def counted(doing: str, items: Iterable[T], total: int) -> Iterator[T]:
    """Each item as soon as it is there; on stderr a bar shows how many have come.

    The bar is there only while the next item is waited for: what is printed of an item stands where it would without.

    Args:
        doing: What, e.g. `Cancelling jobs`.
        items: What is waited for.
        total: How many they are.
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
