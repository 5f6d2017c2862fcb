"""Builds the sampler of a node, from the environment of a job. Standard library only."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from zenml_azureml.contract import variables
from zenml_azureml.in_job.sampler.cgroup import container
from zenml_azureml.in_job.sampler.gpu import Gpus
from zenml_azureml.in_job.sampler.loop import LONGEST_SECONDS, SHORTEST_SECONDS, Sampler
from zenml_azureml.in_job.sampler.node import NodeReader, lower_priority
from zenml_azureml.in_job.sampler.recorder import Recorder
from zenml_azureml.in_job.sampler.reports import Reports
from zenml_azureml.in_job.watcher.node import Node
from zenml_azureml.in_job.watcher.step_process import Process

_NODE_NUMBER = ("AZUREML_CR_NODE_RANK", "NODE_RANK")
_NODE_COUNT = "AZUREML_NODE_COUNT"


def is_wanted(environment: Mapping[str, str]) -> bool:
    """True if a job is to be sampled."""
    return bool(environment.get(variables.SAMPLING))


def sample(
    process: Process, environment: Mapping[str, str], over: threading.Event, write: Callable[[str], None]
) -> None:
    """Sample the node of a step until the step is over. Never raises.

    Args:
        process: The step's process.
        environment: Environment variables of the job.
        over: Set when the step is over.
        write: Writes a line to the job's log.
    """
    with suppress(Exception):  # whatever fails in the sampler, the job keeps running
        lower_priority()
        gpus = Gpus(LONGEST_SECONDS, environment)
        try:
            _sample(process, environment, over, write, gpus)
        finally:
            gpus.close()


def _sample(
    process: Process,
    environment: Mapping[str, str],
    over: threading.Event,
    write: Callable[[str], None],
    gpus: Gpus,
) -> None:
    node = Node(environment.get(variables.STEP_RUN_ID, ""), environment, lock="samples")
    shared = bool(environment.get(variables.SHARED_NODE))
    if shared:
        node.join(process.pid)

    def roots() -> list[int]:
        return node.members() if shared else [process.pid]

    number = next((environment[name] for name in _NODE_NUMBER if environment.get(name, "").isdecimal()), "0")
    count = environment.get(_NODE_COUNT, "")
    recorder = Recorder(SHORTEST_SECONDS, int(number), int(count) if count.isdecimal() else 1)
    reports = Reports(environment, write)
    reader = NodeReader(lambda: roots() or [process.pid], container(), time.monotonic)
    sampler = Sampler(reader, gpus, recorder, reports.report, node.asks if shared else lambda: True)
    sampler.run(over)
    reports.finish(recorder.usage())
