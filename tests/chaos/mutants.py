"""Operators that are broken on purpose: the suite has to notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """A way to break the operator.

    Attributes:
        name: What it is called.
        mutate: Breaks the operator in the process that calls it.
        about: The pairs of phase and fault or event whose schedules are to notice.
    """

    name: str
    mutate: Callable[[], None]
    about: tuple[tuple[str, str], ...] = ()


def _nothing() -> None: ...


def _adopt_nothing() -> None:
    """A job that is there although its submit has failed is not looked for."""
    from zenml_azureml.workspace.job import JobSubmitter

    def refuse(_submitter: JobSubmitter, _job_name: str, refusal: Exception) -> Any:
        raise refusal from None

    JobSubmitter._find = refuse  # type: ignore[method-assign,assignment]


def _cancel_nothing() -> None:
    """What ends the waiting leaves the job alone."""
    from zenml_azureml.ending import Ending

    Ending.end = lambda *_args, **_options: None  # type: ignore[method-assign]


def _stay_where_it_is() -> None:
    """A step whose job was evicted is not submitted again."""
    from zenml_azureml.moving import Moves

    Moves.reason = lambda *_arguments: None  # type: ignore[method-assign]


def _drop_nothing() -> None:
    """What is in the key vault stays there."""
    from zenml_azureml.workspace.secret_delivery import SecretDelivery

    SecretDelivery.drop = lambda *_args, **_options: None  # type: ignore[method-assign]


def _name_no_rank() -> None:
    """Which process has failed is not told."""
    from zenml_azureml.workspace.logs import LogFollower

    end: Any = LogFollower.end
    LogFollower.end = property(lambda follower: replace(end.fget(follower), label=""))  # type: ignore[method-assign,assignment]


_LOST_ANSWERS = ("500 processed", "reset processed", "read timeout", "truncated")
_INTERRUPTIONS = ("SIGINT", "SIGTERM", "exception", "runs stop")

NO_MUTANT = Mutant("none", _nothing)
MUTANTS = {
    mutant.name: mutant
    for mutant in (
        NO_MUTANT,
        Mutant("no adoption", _adopt_nothing, tuple(("job PUT", fault) for fault in _LOST_ANSWERS)),
        Mutant("no secret deleted", _drop_nothing, tuple(("secret PUT", fault) for fault in _LOST_ANSWERS)),
        Mutant("no cancel on interrupt", _cancel_nothing, tuple(("job GET", event) for event in _INTERRUPTIONS)),
        Mutant("no move", _stay_where_it_is, (("job GET", "evicted"), ("log", "evicted"))),
        Mutant("no rank named", _name_no_rank, (("job GET", "rank killed"), ("log", "rank killed"))),
    )
}
