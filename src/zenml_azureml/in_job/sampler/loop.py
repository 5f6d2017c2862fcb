"""The loop of the sampler: it reads the use of the node, records it and reports it from time to time. Stdlib only.

It runs in the process of the watcher (`watcher/start.py`), and never affects the step.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, Protocol

from zenml_azureml.contract.usage import GPU_MEMORY, MEMORY, Usage
from zenml_azureml.in_job.sampler.gpu import GpuReading, samples_of
from zenml_azureml.in_job.sampler.recorder import Recorder, Sample

#: Time between two samples: a part of the time so far, within these limits.
SHORTEST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 5.0
_PART_OF_RUN: Final = 0.05

#: A report follows when the run lasts this much longer than at the report before: some seventy in a week.
_GROWTH: Final = 1.25
_FIRST_REPORT_SECONDS: Final = 1.0

#: A report also follows when memory has risen by this part of its limit: what ends a job may be near.
_RISE: Final = 0.05
_WATCHED_FOR_RISES: Final = (MEMORY, GPU_MEMORY)


class Reader(Protocol):
    """Reads the use of the node."""

    def read(self) -> Mapping[str, Sample]:
        """Return the samples of this moment."""


class GpuReader(Protocol):
    """Reads the GPUs of the node."""

    @property
    def latest(self) -> list[GpuReading]:
        """The latest reading of each GPU."""


class Sampler:
    """Samples a node until it is stopped.

    Args:
        reader: Reads the node.
        gpus: Reads its GPUs.
        recorder: Records the samples.
        report: Called with the use so far.
        is_mine: Returns True if this process is the one of the node that samples.
        clock: Returns seconds of a clock that never jumps.
    """

    def __init__(  # noqa: PLR0917 - its parts
        self,
        reader: Reader,
        gpus: GpuReader,
        recorder: Recorder,
        report: Callable[[Usage], None],
        is_mine: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._gpus = gpus
        self._recorder = recorder
        self._report = report
        self._is_mine = is_mine
        self._clock = clock
        self._began = self._sampled_at = clock()
        self._reported_after = 0.0
        self._reported_peaks: dict[str, float] = {}

    def run(self, over: threading.Event) -> None:
        """Sample until an event is set, and report once more.

        Args:
            over: The event.
        """
        while not over.wait(self.interval):
            self.sample()
        self.sample(last=True)

    @property
    def interval(self) -> float:
        """Seconds until the next sample."""
        return min(LONGEST_SECONDS, max(SHORTEST_SECONDS, _PART_OF_RUN * (self._clock() - self._began)))

    def sample(self, *, last: bool = False) -> None:
        """Take a sample, and report if that is due.

        Args:
            last: True after the end of the step: its processes are gone, so that only rates are worth a sample.
        """
        if not self._is_mine():
            return
        now = self._clock()
        if not last:
            known = self._gpus.latest
            self._recorder.gpus = max(self._recorder.gpus, len(known))
            self._recorder.gpu_name = known[0].name if known else self._recorder.gpu_name
            samples = {**self._reader.read(), **samples_of(known)}
            self._recorder.add(samples, now - self._sampled_at)
            self._sampled_at = now
        usage = self._recorder.usage()
        is_new = self._sampled_at - self._began > self._reported_after
        if usage is not None and (is_new if last else self._is_due(now - self._began, usage)):
            self._reported_after = now - self._began
            self._reported_peaks = {name: usage.peak(name) or 0.0 for name in _WATCHED_FOR_RISES}
            with suppress(Exception):  # the next report may succeed
                self._report(usage)

    def _is_due(self, elapsed: float, usage: Usage) -> bool:
        if elapsed >= max(self._reported_after * _GROWTH, self._reported_after + _FIRST_REPORT_SECONDS):
            return True
        return any(
            metric.limit is not None and metric.peak - self._reported_peaks.get(name, 0.0) >= _RISE * metric.limit
            for name in _WATCHED_FOR_RISES
            if (metric := usage.metrics.get(name)) is not None
        )
