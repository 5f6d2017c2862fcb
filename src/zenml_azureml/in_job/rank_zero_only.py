"""Keeps a step's code from publishing anything on ranks other than 0, without any change to it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import zenml
from zenml.logger import get_logger

from zenml_azureml.in_job.rank import Rank

logger = get_logger(__name__)

#: Public functions of ZenML that return nothing: what they would publish, rank 0 publishes.
SILENT = (
    *("log_metadata", "bulk_log_metadata", "log_artifact_metadata", "log_model_metadata", "log_step_metadata"),
    *("add_tags", "remove_tags", "link_artifact_to_model"),
)
#: Those of which the step's code uses what they return.
REFUSED = ("get_step_context", "save_artifact", "register_artifact")


class NotOnThisRankError(RuntimeError):
    """Something that only the rank which reports to ZenML has. As ZenML's own error, a `RuntimeError`.

    Args:
        what: What was asked for.
        rank: Where.
    """

    def __init__(self, what: str, rank: Rank) -> None:
        super().__init__(
            f"`{what}` is not to be had here: this is {rank}. Only rank 0 has a step context and publishes to ZenML; "
            f"the other ranks run the same function, and what they return is dropped. Call it on rank 0 only: "
            f"`if {rank.is_first}: ...`"
        )


def disable_publishing(rank: Rank) -> None:
    """Have ZenML's public functions publish nothing in this process, and say clearly why there is no step context.

    Args:
        rank: The rank of this process; not 0.
    """
    for name in SILENT:
        _replace(name, _silent(name, rank))
    for name in REFUSED:
        _replace(name, _refused(name, rank))


def _replace(name: str, replacement: Callable[..., Any]) -> None:
    """Put a function in the place of a public one of ZenML's, in every module that has it already."""
    original = getattr(zenml, name, None)
    if original is None:  # this version has no such function
        return
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get(name) is original:
            setattr(module, name, replacement)


def _silent(name: str, rank: Rank) -> Callable[..., None]:
    def left_out(*_args: Any, **_kwargs: Any) -> None:
        logger.info("`%s` does nothing here: this is %s, and rank 0 publishes it.", name, rank)

    return left_out


def _refused(name: str, rank: Rank) -> Callable[..., NoReturn]:
    def refuse(*_args: Any, **_kwargs: Any) -> NoReturn:
        raise NotOnThisRankError(name, rank)

    return refuse
