"""One reading of everything that is sampled on a node. Standard library only."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from typing import Final

from zenml_azureml.contract.usage import CPU, DISK, MEMORY, NETWORK, SHARED_MEMORY
from zenml_azureml.in_job.sampler.cgroup import Container
from zenml_azureml.in_job.sampler.machine import (
    GB,
    ProcessTree,
    cores,
    filesystem,
    read_memory_total,
    read_network,
)
from zenml_azureml.in_job.sampler.recorder import Sample

_SHARED_MEMORY_FOLDER: Final = "/dev/shm"  # noqa: S108 - whose size is read

#: Bytes of a MB of network traffic.
_MB: Final = 1e6


class NodeReader:
    """Reads the use of a node: of its container, or else of the step's processes.

    Args:
        roots: Returns the process ids of the steps on this node.
        container: The container of this process; None without one.
        clock: Returns seconds of a clock that never jumps.
    """

    def __init__(
        self, roots: Callable[[], Iterable[int]], container: Container | None, clock: Callable[[], float]
    ) -> None:
        self._roots = roots
        self._container = container
        self._clock = clock
        self._tree = ProcessTree()
        self._machine_memory = read_memory_total()
        self._disk_folder = tempfile.gettempdir()
        self._before: dict[str, tuple[float, float]] = {}

    def read(self) -> dict[str, Sample]:
        """Return the samples of this moment; of a rate, the average since the reading before."""
        samples: dict[str, Sample | None] = {}
        samples[CPU], samples[MEMORY] = self._of_container() or self._of_processes()
        samples[SHARED_MEMORY] = filesystem(_SHARED_MEMORY_FOLDER)
        samples[DISK] = filesystem(self._disk_folder)
        traffic = read_network()
        if traffic is not None and (rate := self._rate(NETWORK, traffic / _MB)) is not None:
            samples[NETWORK] = Sample(rate)
        return {name: sample for name, sample in samples.items() if sample is not None}

    def _of_container(self) -> tuple[Sample | None, Sample] | None:
        reading = None if self._container is None else self._container.read()
        if reading is None:
            return None
        limits = [limit for limit in (reading.memory_limit, self._machine_memory) if limit is not None]
        memory = Sample(reading.memory / GB, min(limits) / GB if limits else None)
        return self._cpu(reading.cpu_seconds, min(cores(), reading.cpu_limit or cores())), memory

    def _of_processes(self) -> tuple[Sample | None, Sample]:
        cpu_seconds, memory = self._tree.read(self._roots())
        limit = None if self._machine_memory is None else self._machine_memory / GB
        return self._cpu(cpu_seconds, cores()), Sample(memory / GB, limit)

    def _cpu(self, cpu_seconds: float, limit: float) -> Sample | None:
        rate = self._rate(CPU, cpu_seconds)
        return None if rate is None else Sample(rate, limit)

    def _rate(self, name: str, total: float) -> float | None:
        now = self._clock()
        before = self._before.get(name)
        self._before[name] = now, total
        if before is None or now <= before[0]:
            return None
        return max(0.0, total - before[1]) / (now - before[0])


def lower_priority() -> None:
    """Let the step's processes go first when the node is busy."""
    os.nice(10)
