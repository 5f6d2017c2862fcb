"""What a mutant is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.schedule import Shape


@dataclass(frozen=True)
class Mutant:
    """A way to break the operator, and the schedules in which that shows, whatever the machine is busy with.

    Attributes:
        name: What it is called.
        mutate: Breaks the operator in the process that calls it.
        rule: Name of the rule that it breaks.
        about: The pairs of phase and fault or event that its schedules are about.
        shape: The pipeline's; None to draw it.
        options: Further options of its schedules; with any, nothing else goes wrong in them.
    """

    name: str
    mutate: Callable[[], None]
    rule: str = ""
    about: tuple[tuple[str, str], ...] = ()
    shape: Shape | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def put(owner: Any, name: str, value: Any) -> Any:
    """Replace an attribute of a class or a module.

    Returns:
        What was there.

    Raises:
        AttributeError: If there is none of that name: the mutant would mutate nothing.
    """
    before = getattr(owner, name)
    setattr(owner, name, value)
    return before


def nothing(*_arguments: object, **_options: object) -> None:
    """Stands in the place of something that is not done."""
