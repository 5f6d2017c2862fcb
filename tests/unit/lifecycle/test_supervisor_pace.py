"""How often the supervisor asks whether runs are over."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.unit.lifecycle.world import Clock, World
from zenml_azureml.lifecycle.execution import Guard
from zenml_azureml.lifecycle.supervisor import RUN_CHECK_INTERVAL, RunSupervisor


def test_it_asks_once_in_each_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    world = World(clock)
    world.step.guard = Guard.RUN
    seconds, asked = 20 * RUN_CHECK_INTERVAL.total_seconds(), list[float]()

    def happens(now: float) -> None:
        if now >= seconds:
            world.step.guard = Guard.NONE

    def look(_supervisor: Any, steps: list[Any]) -> None:
        if steps:
            asked.append(clock.now)

    clock.happens = happens
    monkeypatch.setattr(RunSupervisor, "_look_at_runs", look)
    RunSupervisor(world.executions, world.controller, clock).watch()
    for thread in threading.enumerate():
        if thread.name == "zenml-azureml-supervisor":
            thread.join(60)

    assert 18 <= len(asked) <= 20
