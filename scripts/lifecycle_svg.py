"""A picture of a step's states as SVG: boxes at fixed places, arrows and their words from the transitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from zenml_azureml.lifecycle.state import StepPhase

#: Ways of a step: from one phase to another, and the events that lead there.
Ways = Mapping[tuple[StepPhase, StepPhase], Sequence[str]]

#: Where the middle of each box stands.
_PLACES = {
    StepPhase.SUBMITTING: (130, 130),
    StepPhase.QUEUED: (480, 130),
    StepPhase.RUNNING: (850, 130),
    StepPhase.MOVING: (480, 290),
    StepPhase.CANCELLING: (720, 460),
    StepPhase.GIVING_UP: (240, 460),
    StepPhase.SUCCEEDED: (240, 620),
    StepPhase.FAILED: (480, 620),
    StepPhase.STOPPED: (720, 620),
}

#: Half of the width and of the height of a box.
_HALF = (68, 20)

#: Phases that are drawn within a frame. An arrow from the frame stands for one from each of them.
_FRAMED = (StepPhase.SUBMITTING, StepPhase.QUEUED, StepPhase.RUNNING, StepPhase.MOVING)
_FRAME = (30, 30, 950, 350)
_ENDS = (140, 572, 820, 668)

#: How far the middle of an arrow is bent to its left, in pixels; 0 for a straight one.
_BENDS = {
    (StepPhase.RUNNING, StepPhase.QUEUED): 70,
    (StepPhase.QUEUED, StepPhase.SUBMITTING): 70,
    (StepPhase.RUNNING, StepPhase.SUBMITTING): -150,
    (StepPhase.SUBMITTING, StepPhase.RUNNING): 80,
}

#: Where the arrow of a phase meets the frame around the ends, if not below its box.
_LANDS = {StepPhase.SUBMITTING: 170}

_STYLE = """
    .box { fill: #eef2ff; stroke: #3f51b5; stroke-width: 1.5 }
    .end { fill: #e8f5e9; stroke: #2e7d32 }
    .frame { fill: none; stroke: #9e9e9e; stroke-dasharray: 5 4 }
    .way { stroke: #424242; stroke-width: 1.4; fill: none; marker-end: url(#head) }
    text { fill: #212121; text-anchor: middle; dominant-baseline: middle }
    .word { font-size: 12px; stroke: #ffffff; stroke-width: 4; paint-order: stroke }
"""


def draw(ways: Ways) -> str:
    """Return the picture.

    Args:
        ways: What it shows.
    """
    own = {way: left for way, events in ways.items() if (left := _own(ways, way, events))}
    arrows = [_arrow(*way, events) for way, events in own.items() if not way[1].is_final]
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 980 690" font-family="system-ui, sans-serif"'
            ' font-size="14" role="img" aria-labelledby="t">',
            '  <title id="t">The phases of a step, and the events that lead from one to another.</title>',
            f"  <style>{_STYLE}  </style>",
            '  <defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"'
            ' orient="auto"><path d="M0 0L8 4L0 8z" fill="#424242"/></marker></defs>',
            '  <rect width="980" height="690" rx="8" fill="#ffffff"/>',
            _rectangle(*_FRAME, "frame"),
            _rectangle(*_ENDS, "frame"),
            *arrows,
            *_arrows_of_the_frame(ways),
            *_arrows_to_the_ends(own),
            *(_box(phase) for phase in StepPhase),
            "</svg>",
            "",
        ]
    )


def _own(ways: Ways, way: tuple[StepPhase, StepPhase], events: Sequence[str]) -> list[str]:
    """Return the events of a way for which no arrow of the frame stands."""
    start, end = way
    common = _common(ways, end) if start in _FRAMED and end not in _FRAMED else []
    return [event for event in events if event not in common]


def _common(ways: Ways, end: StepPhase) -> list[str]:
    """Return the events that lead from each framed phase to another."""
    first, *others = (ways.get((phase, end), ()) for phase in _FRAMED)
    return [event for event in first if all(event in events for events in others)]


def _arrows_of_the_frame(ways: Ways) -> list[str]:
    drawn = []
    bottom = _FRAME[3]
    for end in (StepPhase.CANCELLING, StepPhase.GIVING_UP):
        x, y = _PLACES[end]
        drawn.append(_line((x, bottom), (x, y - _HALF[1]), 0, _common(ways, end)))
    ended = {event: None for end in StepPhase if end.is_final for event in _common(ways, end)}
    drawn.append(_line((480, bottom), (480, _ENDS[1]), 0, list(ended)))
    return drawn


def _arrows_to_the_ends(own: Ways) -> list[str]:
    drawn = []
    for phase in StepPhase:
        events = {
            event: None for (start, end), found in own.items() for event in found if start is phase and end.is_final
        }
        if events:
            x, y = _PLACES[phase]
            drawn.append(_line((x, y + _HALF[1]), (_LANDS.get(phase, x), _ENDS[1]), 0, list(events)))
    return drawn


def _arrow(start: StepPhase, end: StepPhase, events: Sequence[str]) -> str:
    at, to = _PLACES[start], _PLACES[end]
    return _line(_edge(at, to), _edge(to, at), _BENDS.get((start, end), 0), events)


def _edge(at: tuple[int, int], to: tuple[int, int]) -> tuple[int, int]:
    """Return the point of a box at which an arrow to another place begins."""
    dx, dy = to[0] - at[0], to[1] - at[1]
    scale = min(_HALF[0] / abs(dx) if dx else 9.0, _HALF[1] / abs(dy) if dy else 9.0)
    return round(at[0] + dx * scale), round(at[1] + dy * scale)


def _line(at: tuple[int, int], to: tuple[int, int], bend: int, events: Sequence[str]) -> str:
    (x1, y1), (x2, y2) = at, to
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    x, y = (x1 + x2) / 2 + bend * (y2 - y1) / length, (y1 + y2) / 2 - bend * (x2 - x1) / length
    middle = (x1 + 2 * x + x2) / 4, (y1 + 2 * y + y2) / 4
    top = middle[1] - 15 * (len(events) - 1) / 2
    words = [
        f'  <text class="word" x="{middle[0]:.0f}" y="{top + 15 * row:.0f}">{escape(event)}</text>'
        for row, event in enumerate(events)
    ]
    return "\n".join([f'  <path class="way" d="M{x1} {y1}Q{x:.0f} {y:.0f} {x2} {y2}"/>', *words])


def _box(phase: StepPhase) -> str:
    x, y = _PLACES[phase]
    rectangle = _rectangle(
        x - _HALF[0], y - _HALF[1], x + _HALF[0], y + _HALF[1], "box end" if phase.is_final else "box"
    )
    return f'{rectangle}\n  <text x="{x}" y="{y}">{escape(phase.value)}</text>'


def _rectangle(left: int, top: int, right: int, bottom: int, kind: str) -> str:
    return f'  <rect class="{kind}" x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" rx="6"/>'
