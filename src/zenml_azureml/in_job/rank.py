"""The rank of this process in a job with several processes. Standard library only.

Azure ML passes the rank to each process in environment variables, which differ by the kind of distribution
(Microsoft's guide to distributed training).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone

#: By kind: the variables with the rank and with the number of ranks, of PyTorch, Open MPI and Intel's MPI.
_VARIABLES = (
    ("RANK", "WORLD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
)
_TENSORFLOW = "TF_CONFIG"
#: Set in every job of Azure ML.
JOB_NAME = "AZUREML_RUN_ID"

_NODE_RANK, _NODE_COUNT = "AZUREML_CR_NODE_RANK", "AZUREML_NODE_COUNT"


class NoRankError(RuntimeError):
    """Azure ML has not set the rank of this process."""


class OtherRankError(RuntimeError):
    """On rank 0: another rank has reported that it failed."""


@dataclass(frozen=True)
class Rank:
    """The rank of one of a job's processes.

    Attributes:
        number: The rank, from 0; rank 0 reports to ZenML.
        size: Number of ranks.
        node: The node that it is on, from 0.
        told_by: The environment variable that contains it.
        servers: Number of parameter servers, which are the last ranks and run for as long as the others do.
    """

    number: int
    size: int
    node: int
    told_by: str
    servers: int = 0

    def __str__(self) -> str:
        return f"rank {self.number} of {self.size}, on node {self.node}"

    @property
    def is_first(self) -> str:
        """A condition in Python that is true on rank 0 only."""
        if self.told_by == _TENSORFLOW:
            return f'json.loads(os.environ["{_TENSORFLOW}"])["task"] == {{"type": "worker", "index": 0}}'
        return f'os.environ["{self.told_by}"] == "0"'


def rank_from_env(environment: Mapping[str, str]) -> Rank:
    """Return the rank of this process.

    Args:
        environment: Environment variables of the process.

    Raises:
        NoRankError: If no variable contains it.
    """
    node = int(environment.get(_NODE_RANK) or environment.get("NODE_RANK") or 0)
    if environment.get(_TENSORFLOW):
        return _tensorflow_rank(json.loads(environment[_TENSORFLOW]), node)
    for number, size in _VARIABLES:
        if environment.get(number):
            return Rank(int(environment[number]), int(environment.get(size) or 1), node, number)
    if environment.get(_NODE_RANK):  # one process on each node
        return Rank(node, int(environment.get(_NODE_COUNT) or 1), node, _NODE_RANK)
    raise NoRankError(
        "Azure ML has not set the rank of this process: none of RANK, OMPI_COMM_WORLD_RANK, PMI_RANK, TF_CONFIG and "
        "AZUREML_CR_NODE_RANK is set. So it is unknown which process reports to ZenML."
    )


def _tensorflow_rank(config: Mapping[str, object], node: int) -> Rank:
    """Return the rank: the chief is rank 0, or the first worker if there is none; parameter servers come last."""
    cluster, task = config.get("cluster"), config.get("task")
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise NoRankError(f"{_TENSORFLOW} has no `cluster` and `task`.")
    order = ("chief", "master", "worker")
    roles = sorted(cluster, key=lambda role: (order.index(role) if role in order else len(order), role))
    tasks = [(role, index) for role in roles for index in range(len(cluster[role]))]
    number = tasks.index((str(task.get("type")), int(task.get("index", 0))))
    return Rank(number, len(tasks), node, _TENSORFLOW, sum(role == "ps" for role, _ in tasks))


def has_failed(error: BaseException) -> bool:
    """Return True if an exception is a failure, and not a `sys.exit()` with success."""
    return not (isinstance(error, SystemExit) and error.code in (None, 0))


class FailureReporter:
    """Logs the time at which this rank failed. Ranks that depend on it fail later.

    The client searches the logs of all ranks for the earliest such line (`azure/logs/tail.py`).

    Args:
        rank: This rank.
    """

    def __init__(self, rank: Rank) -> None:
        self._rank = rank
        self._told = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Log a failure of the enclosed code; once, if such blocks are nested."""
        try:
            yield
        except BaseException as error:
            if has_failed(error) and not isinstance(error, OtherRankError) and not self._told:
                self._told = True
                moment = datetime.now(timezone.utc).isoformat(timespec="microseconds")
                print(f"zenml-azureml: {self._rank}, failed at {moment}", file=sys.stderr, flush=True)  # noqa: T201
            raise
