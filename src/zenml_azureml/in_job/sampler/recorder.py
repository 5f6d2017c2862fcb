"""Peaks, means and the course of samples over time, in bounded memory. Pure; standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from zenml_azureml.contract.usage import AT_LIMIT, CPU, GPU, NETWORK, Metric, Usage

#: Largest number of points of a series. If a run needs more, two become one.
MOST_POINTS: Final = 40

#: Metrics of which a point is the average of its time; of the others, which are amounts, it is the peak.
_RATES: Final = frozenset({CPU, NETWORK, GPU})


@dataclass(frozen=True)
class Sample:
    """One sample of one resource.

    Attributes:
        value: The use.
        limit: The amount that there is; None if unknown.
    """

    value: float
    limit: float | None = None


class Recorder:
    """Records the samples of one node.

    Args:
        bucket_seconds: Shortest time between two points of a series.
        node: Number of the node.
        nodes: Number of nodes of the job that have samplers.

    Attributes:
        gpus: Number of GPUs.
        gpu_name: Their name.
    """

    def __init__(self, bucket_seconds: float, node: int = 0, nodes: int = 1) -> None:
        self.gpus = 0
        self.gpu_name = ""
        self._node, self._nodes = node, nodes
        self._bucket_seconds = bucket_seconds
        self._seconds = 0.0
        self._metrics: dict[str, _Course] = {}

    def add(self, samples: Mapping[str, Sample], seconds: float) -> None:
        """Record samples.

        Args:
            samples: By metric.
            seconds: Time that they stand for, since the samples before.
        """
        while self._seconds >= self._bucket_seconds * MOST_POINTS:
            self._bucket_seconds *= 2
            for course in self._metrics.values():
                course.halve()
        bucket = int(self._seconds / self._bucket_seconds)
        self._seconds += seconds
        for name, sample in samples.items():
            self._metrics.setdefault(name, _Course(averages=name in _RATES)).add(sample, seconds, bucket)

    def peak(self, name: str) -> float:
        """Return the highest sample of a metric so far; 0 without one."""
        return self._metrics[name].peak if name in self._metrics else 0.0

    def usage(self) -> Usage | None:
        """Return everything so far; None without a sample."""
        if not self._metrics:
            return None
        return Usage(
            self._seconds,
            {name: course.metric() for name, course in self._metrics.items()},
            gpus=self.gpus,
            gpu_name=self.gpu_name,
            node=self._node,
            nodes=self._nodes,
            bucket_seconds=self._bucket_seconds,
            series={name: course.points() for name, course in self._metrics.items()},
        )


class _Course:
    """The samples of one metric."""

    def __init__(self, *, averages: bool) -> None:
        self.peak = 0.0
        self._averages = averages
        self._sum = self._seconds = self._at_limit = 0.0
        self._limit: float | None = None
        #: By number of the point: sum of value x seconds, seconds, peak.
        self._points: dict[int, tuple[float, float, float]] = {}

    def add(self, sample: Sample, seconds: float, bucket: int) -> None:
        self.peak = max(self.peak, sample.value)
        self._sum += sample.value * seconds
        self._seconds += seconds
        self._limit = sample.limit if sample.limit is not None else self._limit
        if sample.limit and sample.value >= AT_LIMIT * sample.limit:
            self._at_limit += seconds
        self._put(bucket, (sample.value * seconds, seconds, sample.value))

    def halve(self) -> None:
        """Make one point of two."""
        points, self._points = self._points, {}
        for number, point in points.items():
            self._put(number // 2, point)

    def metric(self) -> Metric:
        mean = self._sum / self._seconds if self._seconds else self.peak
        return Metric(self.peak, mean, self._limit, self._at_limit)

    def points(self) -> tuple[float | None, ...]:
        last = max(self._points, default=-1)
        return tuple(self._shown(self._points.get(number)) for number in range(last + 1))

    def _shown(self, point: tuple[float, float, float] | None) -> float | None:
        if point is None:
            return None
        total, seconds, peak = point
        return total / seconds if self._averages and seconds else peak

    def _put(self, bucket: int, point: tuple[float, float, float]) -> None:
        total, seconds, peak = self._points.get(bucket, (0.0, 0.0, 0.0))
        self._points[bucket] = (total + point[0], seconds + point[1], max(peak, point[2]))
