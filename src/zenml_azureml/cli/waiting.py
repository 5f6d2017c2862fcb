"""What a terminal shows while a command waits for Azure; nothing where nobody looks on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def working(doing: str) -> Iterator[None]:
    """Show that something goes on, on stderr, if that is a terminal.

    Args:
        doing: What, e.g. `Listing jobs`.
    """
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True, highlight=False, markup=False).status(f"{doing} ..."):
        yield
