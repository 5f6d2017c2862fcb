"""Keeps a step's code from publishing anything on ranks other than 0, without any change to it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import zenml
from zenml.logger import get_logger

from zenml_azureml.in_job.rank import Rank

logger = get_logger(__name__)

#: Public functions of ZenML that return nothing: rank 0 publishes the same.
SILENT = (
    *("log_metadata", "bulk_log_metadata", "log_artifact_metadata", "log_model_metadata", "log_step_metadata"),
    *("add_tags", "remove_tags", "link_artifact_to_model"),
)
#: Public functions of ZenML whose results the step's code uses.
REFUSED = ("get_step_context", "save_artifact", "register_artifact")


class NotInRerunError(RuntimeError):
    """A call of a function that needs a step context, while the function of a failed step is run again.

    Args:
        what: Name of the function.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"`{what}` is not available here: the function of the step is run again, without a server.")


class NotOnThisRankError(RuntimeError):
    """A call of a function that is only available on rank 0. A `RuntimeError`, like ZenML's own error.

    Args:
        what: Name of the function.
        rank: The rank of this process.
    """

    def __init__(self, what: str, rank: Rank) -> None:
        super().__init__(
            f"`{what}` is not available here: this is {rank}. Only rank 0 has a step context and publishes to ZenML. "
            f"The other ranks run the same function, and their results are dropped. Call it on rank 0 only: "
            f"`if {rank.is_first}: ...`"
        )


def disable_publishing(rank: Rank) -> None:
    """Make ZenML's public functions publish nothing in this process, and explain why there is no step context.

    Args:
        rank: The rank of this process; not 0.
    """
    for name in SILENT:
        _replace(name, _silent(f"Skipped `{name}`: rank 0 publishes it, and this is {rank}"))
    for name in REFUSED:
        _replace(name, _refused(partial(NotOnThisRankError, name, rank)))


def disable_publishing_again() -> None:
    """Do the same in a process that runs the function of a failed step again."""
    for name in SILENT:
        _replace(name, _silent(f"Skipped `{name}`: nothing is published when a function is run again"))
    for name in REFUSED:
        _replace(name, _refused(partial(NotInRerunError, name)))


def _replace(name: str, replacement: Callable[..., Any]) -> None:
    """Replace a public function of ZenML's in every module that has imported it."""
    original = getattr(zenml, name, None)
    if original is None:  # this version has no such function
        return
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get(name) is original:
            setattr(module, name, replacement)


def _silent(words: str) -> Callable[..., None]:
    def left_out(*_args: Any, **_kwargs: Any) -> None:
        logger.info(words)

    return left_out


def _refused(error: Callable[[], RuntimeError]) -> Callable[..., NoReturn]:
    def refuse(*_args: Any, **_kwargs: Any) -> NoReturn:
        raise error()

    return refuse
