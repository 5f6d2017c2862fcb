"""The end of containers of a killed emulator, as far as it needs no Docker engine."""

from __future__ import annotations

from zenml_azureml.emulator.runtimes.base import EngineError
from zenml_azureml.emulator.runtimes.docker.reaper import reap


def test_an_engine_that_does_not_answer_is_tried_again() -> None:
    left = ["one", "two"]
    waited: list[float] = []

    def remove() -> None:
        if len(waited) < 3:
            raise EngineError("no answer")
        left.clear()

    reap(remove, waited.append)

    assert left == []


def test_containers_that_the_engine_still_creates_are_removed_too() -> None:
    left = ["one"]
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            left.append("late")

    reap(left.clear, sleep)

    assert left == []
    assert 1 < sum(waited) < 30
