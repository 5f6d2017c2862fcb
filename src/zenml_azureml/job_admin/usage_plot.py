"""A plot of what a job has used over time, as an SVG. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from zenml_azureml.azure.sizes.advice import amount
from zenml_azureml.contract.usage import (
    CPU,
    DISK,
    GPU,
    GPU_MEMORY,
    MEMORY,
    NETWORK,
    SHARED_MEMORY,
    UNITS,
    Metric,
    Usage,
    merged,
)

_TITLES: Final = {
    CPU: "CPU",
    MEMORY: "Memory",
    GPU: "GPU",
    GPU_MEMORY: "GPU memory",
    SHARED_MEMORY: "Shared memory",
    DISK: "Disk",
    NETWORK: "Network",
}

#: Colours of the nodes, which differ for people who see few colours too (Okabe and Ito), and on white.
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#000000")

_WIDTH, _LEFT, _RIGHT = 760, 70, 20
_HEAD, _PANEL, _GRAPH, _FOOT = 58, 118, 70, 34

_STYLE: Final = (
    "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:#222}"
    ".title{font-size:16px;font-weight:600}.name{font-size:13px;font-weight:600}.small{font-size:11px;fill:#555}"
    ".axis{stroke:#bbb}.limit{stroke:#b00020;stroke-dasharray:5 4}"
)


def usage_svg(title: str, usages: Sequence[Usage]) -> str:
    """Return the SVG: a panel for each resource, a line for each node.

    Args:
        title: E.g. the name of the step and of its job.
        usages: What each node has used; at least one.
    """
    together = merged(usages)
    assert together is not None  # noqa: S101 - there is at least one
    names = [name for name in _TITLES if any(usage.series.get(name) for usage in usages)]
    seconds = max(together.seconds, *(_end(usage, name) for usage in usages for name in names), 1.0)
    height = _HEAD + _PANEL * len(names) + _FOOT
    nodes = f" on {together.nodes} nodes" if together.nodes > 1 else ""
    subtitle = f"{duration(together.seconds)}{nodes}"
    if together.gpus:
        subtitle += f", {together.gpus} GPU ({together.gpu_name})"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text class="title" x="{_LEFT}" y="24">{escape(title)}</text>',
        f'<text class="small" x="{_LEFT}" y="42">{escape(subtitle)}</text>',
    ]
    parts += _legend(usages)
    for number, name in enumerate(names):
        parts += _panel(name, together.metrics.get(name), usages, seconds, _HEAD + number * _PANEL)
    parts += _times(seconds, _HEAD + _PANEL * len(names))
    return "\n".join([*parts, "</svg>\n"])


def duration(seconds: float) -> str:
    """Return a time in words: `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def _legend(usages: Sequence[Usage]) -> list[str]:
    """Return the names of the nodes in their colours; empty for one node, and for more nodes than there are colours."""
    if not 1 < len(usages) <= len(_COLOURS):
        return []
    return [
        f'<text class="name" x="{_WIDTH - _RIGHT - 60 * (len(usages) - 1 - number)}" y="42" text-anchor="end" '
        f'style="fill:{_COLOURS[number]}">node {usage.node}</text>'
        for number, usage in enumerate(usages)
    ]


def _panel(name: str, metric: Metric | None, usages: Sequence[Usage], seconds: float, top: int) -> list[str]:
    if metric is None:
        return []
    unit = UNITS[name]
    highest = max(metric.peak, metric.limit or 0.0) or 1.0
    of = f" of {amount(metric.limit)}" if metric.limit else ""
    at_limit = f", {duration(metric.seconds_at_limit)} at the limit" if metric.seconds_at_limit >= 1 else ""
    facts = f"peak {amount(metric.peak)}{of} {unit}, mean {amount(metric.mean)}{at_limit}"
    bottom = top + 24 + _GRAPH
    parts = [
        f'<text class="name" x="{_LEFT}" y="{top + 12}">{_TITLES[name]}</text>',
        f'<text class="small" x="{_WIDTH - _RIGHT}" y="{top + 12}" text-anchor="end">{escape(facts)}</text>',
        f'<text class="small" x="{_LEFT - 6}" y="{bottom}" text-anchor="end">0</text>',
        f'<text class="small" x="{_LEFT - 6}" y="{top + 30}" text-anchor="end">{amount(highest)} {unit}</text>',
        f'<line class="axis" x1="{_LEFT}" y1="{bottom}" x2="{_WIDTH - _RIGHT}" y2="{bottom}"/>',
        f'<line class="axis" x1="{_LEFT}" y1="{top + 24}" x2="{_LEFT}" y2="{bottom}"/>',
    ]
    if metric.limit:
        y = _y(metric.limit, highest, bottom)
        parts.append(f'<line class="limit" x1="{_LEFT}" y1="{y}" x2="{_WIDTH - _RIGHT}" y2="{y}"/>')
    for number, usage in enumerate(usages):
        colour = _COLOURS[number % len(_COLOURS)]
        parts += _line(usage, name, seconds=seconds, highest=highest, bottom=bottom, colour=colour)
    return parts


def _line(usage: Usage, name: str, *, seconds: float, highest: float, bottom: int, colour: str) -> list[str]:
    """Return the line of a node: a level for the time of each point, so that a single point is seen too."""
    runs: list[list[str]] = [[]]
    width = _WIDTH - _LEFT - _RIGHT
    for number, value in enumerate(usage.series.get(name, ())):
        if value is None:
            runs.append([])
            continue
        y = _y(min(value, highest), highest, bottom)
        for moment in (number, number + 1):
            x = _LEFT + width * min(1.0, moment * usage.bucket_seconds / seconds)
            runs[-1].append(f"{x:.1f},{y}")
    label = f"<title>node {usage.node}</title>" if usage.nodes > 1 or usage.node else ""
    return [
        f'<polyline fill="none" stroke="{colour}" stroke-width="1.8" points="{" ".join(points)}">{label}</polyline>'
        for points in runs
        if points
    ]


def _times(seconds: float, top: int) -> list[str]:
    width = _WIDTH - _LEFT - _RIGHT
    parts = []
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        x = _LEFT + width * share
        text = duration(seconds * share) if share else "0"
        parts.append(f'<text class="small" x="{x:.0f}" y="{top + 4}" text-anchor="{anchor}">{text}</text>')
    return parts


def _y(value: float, highest: float, bottom: int) -> str:
    return f"{bottom - _GRAPH * value / highest:.1f}"


def _end(usage: Usage, name: str) -> float:
    # The last point may stand for less time than the others.
    return min(usage.seconds, len(usage.series.get(name, ())) * usage.bucket_seconds)
