"""The resources that a job has used, as its sampler reports them to the client: data, and lines of the log. Pure.

A job may be killed at any moment, and with it whatever could report at its end. So the sampler writes a line from time
to time, and the last one of each node counts. No client shows these lines.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

#: Begins the part of a log line that is a report.
MARK: Final = "zenml-azureml usage: "

#: Key of the report in the metadata of a step run; of one node of several, followed by `_node_` and its number.
USAGE_KEY: Final = "azureml_usage"

#: Share of a limit from which on a resource counts as used up.
AT_LIMIT: Final = 0.95

#: Bytes of such a line that a pipe takes at once or not at all (PIPE_BUF).
LONGEST_LINE: Final = 4096

#: Bounds of what is read: a log may contain anything.
_MOST_POINTS: Final = 200
_LONGEST_NAME: Final = 100
_MOST: Final = 1_000_000

CPU: Final = "cpu"
MEMORY: Final = "memory"
SHARED_MEMORY: Final = "shm"
DISK: Final = "disk"
NETWORK: Final = "network"
GPU: Final = "gpu"
GPU_MEMORY: Final = "gpu_memory"

#: All metrics with their units. Memory is in Azure's GB, which are 2**30 bytes.
UNITS: Final = {
    CPU: "cores",
    MEMORY: "GB",
    SHARED_MEMORY: "GB",
    DISK: "GB",
    NETWORK: "MB/s",
    GPU: "%",
    GPU_MEMORY: "GB",
}


@dataclass(frozen=True)
class Metric:
    """The use of one resource.

    Attributes:
        peak: The highest sample.
        mean: Average over time.
        limit: The amount that there is; None if unknown.
        seconds_at_limit: Time for which the use was close to the limit.
    """

    peak: float
    mean: float
    limit: float | None = None
    seconds_at_limit: float = 0.0


@dataclass(frozen=True)
class Usage:
    """The resources that one node has used, or several.

    Attributes:
        seconds: Time from the first sample to the last.
        metrics: By name; only those that could be read.
        gpus: Number of GPUs of the node.
        gpu_name: Their name as the driver reports it; empty without GPUs.
        node: Number of the node, from 0.
        nodes: Number of nodes whose use this is.
        bucket_seconds: Time between two points of `series`.
        series: Use over time, by metric.
    """

    seconds: float
    metrics: Mapping[str, Metric]
    gpus: int = 0
    gpu_name: str = ""
    node: int = 0
    nodes: int = 1
    bucket_seconds: float = 1.0
    series: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)

    def peak(self, name: str) -> float | None:
        """Return the highest sample of a metric; None if it could not be read."""
        metric = self.metrics.get(name)
        return None if metric is None else metric.peak

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object that logs and metadata have."""
        values: dict[str, Any] = {"seconds": _short(self.seconds), "node": self.node, "nodes": self.nodes}
        if self.gpus:
            values |= {"gpus": self.gpus, "gpu_name": self.gpu_name}
        for name, metric in self.metrics.items():
            values[name] = {"peak": _short(metric.peak), "mean": _short(metric.mean)}
            if metric.limit is not None:
                values[name]["limit"] = _short(metric.limit)
                values[name]["seconds_at_limit"] = _short(metric.seconds_at_limit)
        values["bucket_seconds"] = _short(self.bucket_seconds)
        values["series"] = {
            name: [None if value is None else _short(value) for value in points] for name, points in self.series.items()
        }
        return values


def usage_from(values: object) -> Usage | None:
    """Return the usage in a JSON object; None if it is not one. Unknown keys, of a later version, are ignored.

    Args:
        values: The object, from a log or from metadata. It may contain anything.
    """
    if not isinstance(values, Mapping):
        return None
    seconds = _number(values.get("seconds"))
    metrics = {name: metric for name in UNITS if (metric := _metric(values.get(name))) is not None}
    if seconds is None or not metrics:
        return None
    listed = values.get("series")
    series = {
        name: tuple(_number(point) for point in points[:_MOST_POINTS])
        for name, points in (listed.items() if isinstance(listed, Mapping) else ())
        if name in UNITS and isinstance(points, list)
    }
    return Usage(
        seconds,
        metrics,
        gpus=_count(values.get("gpus")),
        gpu_name=str(values.get("gpu_name") or "")[:_LONGEST_NAME],
        node=_count(values.get("node")),
        nodes=max(1, _count(values.get("nodes"))),
        bucket_seconds=_number(values.get("bucket_seconds")) or 1.0,
        series=series,
    )


def line_of(usage: Usage) -> str:
    """Return the line of the log for a usage; without its series, if it would be too long otherwise."""
    line = MARK + json.dumps(usage.as_json(), separators=(",", ":"))
    if len(line) < LONGEST_LINE:
        return line
    return MARK + json.dumps(replace(usage, series={}).as_json(), separators=(",", ":"))


def without_report(line: str) -> tuple[str | None, Usage | None]:
    """Separate a line of the log from the report in it.

    Args:
        line: The line.

    Returns:
        The rest of the line, None if there is none, and the usage, None if the line has none that can be read.
    """
    rest, mark, text = line.partition(MARK)
    if not mark:
        return line, None
    try:
        found = usage_from(json.loads(text))
    except (ValueError, RecursionError):
        found = None
    return rest or None, found


def without_reports(text: str) -> str:
    """Return a text of several lines without the reports in it, such as Azure's copy of the end of a log."""
    if MARK not in text:
        return text
    lines = [without_report(line)[0] for line in text.split("\n")]
    return "\n".join(line for line in lines if line is not None)


def merged(usages: Iterable[Usage]) -> Usage | None:
    """Return the usage of several nodes as one: the highest peak, the average, the longest time at the limit.

    Args:
        usages: The usages, in order. Of two from one node, peaks and times of both count: a node may have
            a second sampler after the process beside the first one has ended.

    Returns:
        The usage, with the series of the node whose memory was fullest; None if there is none.
    """
    found = list(usages)
    if not found:
        return None
    if len(found) == 1:
        return found[0]
    names = [name for name in UNITS if any(name in usage.metrics for usage in found)]
    fullest = max(found, key=lambda usage: usage.peak(MEMORY) or 0.0)
    first = next((usage for usage in found if usage.gpus), found[0])
    return replace(
        fullest,
        seconds=max(usage.seconds for usage in found),
        metrics={name: _merged([usage.metrics[name] for usage in found if name in usage.metrics]) for name in names},
        gpus=max(usage.gpus for usage in found),
        gpu_name=first.gpu_name,
        nodes=max(len({usage.node for usage in found}), *(usage.nodes for usage in found)),
    )


def key_of_node(node: int) -> str:
    """Return the key of the metadata of a step run for what one node has reported.

    Only that node writes it, and only the operator writes `USAGE_KEY`: otherwise, the operator's summary could replace
    a report that has arrived after the log was read.
    """
    return f"{USAGE_KEY}_node_{node}"


def usages_in(metadata: Mapping[str, Any]) -> list[Usage]:
    """Return the usages in the metadata of a step run: one of all nodes, or one for each node that has posted its own.

    Args:
        metadata: The metadata.
    """
    whole = usage_from(metadata.get(USAGE_KEY))
    posted = [usage_from(value) for key, value in metadata.items() if key.startswith(f"{USAGE_KEY}_node_")]
    nodes = sorted((usage for usage in posted if usage is not None), key=lambda usage: usage.node)
    if whole is None:
        return nodes
    is_later = len(nodes) >= whole.nodes and max(usage.seconds for usage in nodes) > whole.seconds
    return nodes if is_later else [whole]


def _merged(metrics: list[Metric]) -> Metric:
    limits = [metric.limit for metric in metrics if metric.limit is not None]
    return Metric(
        peak=max(metric.peak for metric in metrics),
        mean=sum(metric.mean for metric in metrics) / len(metrics),
        limit=min(limits) if limits else None,
        seconds_at_limit=max(metric.seconds_at_limit for metric in metrics),
    )


def _metric(values: object) -> Metric | None:
    if not isinstance(values, Mapping):
        return None
    peak, mean = _number(values.get("peak")), _number(values.get("mean"))
    if peak is None or mean is None:
        return None
    return Metric(peak, mean, _number(values.get("limit")), _number(values.get("seconds_at_limit")) or 0.0)


def _count(value: object) -> int:
    return int(min(_number(value) or 0, _MOST))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _short(value: float) -> float | int:
    """Return a number with three significant digits at least, without a needless fraction."""
    rounded = round(value, max(0, 2 - math.floor(math.log10(value)))) if value > 0 else 0.0
    return int(rounded) if rounded == int(rounded) else rounded
