"""Whatever is written when, and whatever goes wrong: each line of each log is told once, in order."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from azure.core.exceptions import AzureError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.azure.compute_world import World
from zenml_azureml.azure.logs.streamer import LONGEST_LISTING_INTERVAL, LogFollower
from zenml_azureml.emulator.resources import Job
from zenml_azureml.safe_text import safe_log_line

NAMES = ("std_log.txt", "std_log_process_1.txt", "retry_001/std_log.txt")

FAULTS = (
    {"path": "std_log", "status": 403},  # the URL has expired
    {"path": "std_log", "status": 403, "times": 2},  # storage refuses even a new one
    {"path": "std_log", "status": 503},
    {"path": "std_log", "reset": True},
    {"path": "std_log", "truncated": True},
    {"path": "std_log", "status": 200, "html": "<p>Log in.</p>"},  # of a proxy
    {"path": "details", "status": 503},
    {"path": "details", "status": 200, "html": "<p>Log in.</p>"},
    {"path": "details", "status": 403},
)

_TOLD = re.compile(r"(?:\[[a-z0-9_ ]+\] )?(\d):(.*)", re.DOTALL)


@dataclass(frozen=True)
class Write:
    """The next bytes of a log are written: a part of a line, or of a letter even."""

    log: int
    count: int


@dataclass(frozen=True)
class Fault:
    """The next requests of some kind fail."""

    number: int


@dataclass(frozen=True)
class Look:
    """Some time has passed, and the follower looks."""

    seconds: float


# What a terminal would obey, and what is invisible, changes what is shown of a line: see test_log_lines.py.
_characters = st.characters(exclude_categories=["Cs"]).filter(lambda letter: safe_log_line(letter) == letter)
_texts = st.text(_characters.filter(lambda letter: letter != "\n"), max_size=20)
_contents = st.tuples(st.lists(_texts, max_size=6), st.booleans())
_writes = st.builds(Write, st.integers(0, len(NAMES) - 1), st.integers(1, 40))
_faults = st.builds(Fault, st.integers(0, len(FAULTS) - 1))
_looks = st.builds(Look, st.sampled_from([0.0, 1.0, 10.0, 100.0]))
_steps = st.lists(st.one_of(_writes, _looks, _writes, _looks, _faults), max_size=30)


class Logs:
    """The logs of a job, written bit by bit."""

    def __init__(self, folder: Path, lines: list[list[str]], ends: list[bool]) -> None:
        self._files = [folder / name for name in NAMES]
        self._left = [
            "\n".join(own).encode() + (b"\n" if own and ended else b"") for own, ended in zip(lines, ends, strict=True)
        ]
        for file in self._files:
            file.unlink(missing_ok=True)

    def write(self, log: int, count: int) -> None:
        part, self._left[log] = self._left[log][:count], self._left[log][count:]
        if part:
            self._files[log].parent.mkdir(exist_ok=True)
            with self._files[log].open("ab") as file:
                file.write(part)

    def write_the_rest(self) -> None:
        for log, left in enumerate(self._left):
            self.write(log, len(left))


def by_log(told: list[str]) -> list[list[str]]:
    """The lines of each log, without the name that they begin with where there are several."""
    lines: list[list[str]] = [[] for _ in NAMES]
    for line in told:
        if " cannot be read from here: " not in line:
            found = _TOLD.fullmatch(line)
            assert found, line
            lines[int(found[1])].append(f"{found[1]}:{found[2]}")
    return lines


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.tuples(*[_contents] * len(NAMES)), steps=_steps)
def test_each_line_is_told_once_and_in_order(
    world: World, job: Job, contents: tuple[tuple[list[str], bool], ...], steps: list[Write | Fault | Look]
) -> None:
    # One line at least: what asks for no log meets no fault.
    lines = [[f"{log}:{text}" for text in texts] for log, (texts, _) in enumerate(contents)]
    lines[0].append("0:")
    logs = Logs(job.log_folder, lines, [ended for _, ended in contents])
    follower = LogFollower(world.connection, job.name, world.clock.monotonic)
    told: list[str] = []

    def look() -> None:
        with contextlib.suppress(AzureError):
            told.extend(follower.read_new())

    for step in steps:
        if isinstance(step, Write):
            logs.write(step.log, step.count)
        elif isinstance(step, Fault):
            world.arm_fault(**FAULTS[step.number])
        else:
            world.sleep(step.seconds)
            look()
    logs.write_the_rest()
    while any(fault["fired"] < fault["times"] for fault in world.faults()):
        world.sleep(LONGEST_LISTING_INTERVAL)
        look()
    told += follower.read_rest()[0]

    assert by_log(told) == lines
