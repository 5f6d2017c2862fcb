"""What is told of a job that waits for its compute."""

from __future__ import annotations

from datetime import timedelta

from zenml_azureml.azure.jobs.handle import Progress
from zenml_azureml.clock import SystemTime


class Clock(SystemTime):
    """Time that passes when the test says so; in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


def test_each_state_is_told_at_once_and_then_once_a_minute() -> None:
    clock = Clock()
    progress = Progress(clock)
    told = []
    for seconds, status in [(0, "Starting"), (1, "Starting"), (5, "Queued"), (64, "Queued"), (65, "Queued")]:
        clock.now = 1000.0 + seconds
        told.append(progress.after(status, "gpus"))

    assert told == [
        "Starting on `gpus`",
        "",
        "Queued on `gpus`, 5 s so far",
        "",
        "Queued on `gpus`, 65 s so far",
    ]
    assert progress.waited == timedelta(seconds=65)


def test_a_job_that_runs_or_has_ended_is_told_by_its_log() -> None:
    progress = Progress(Clock())

    assert [progress.after(status, "") for status in ("Running", "Finalizing", "Completed", "Canceled")] == [""] * 4
    assert progress.waited == timedelta()


def test_the_time_of_waiting_stands_still_once_the_job_runs() -> None:
    clock = Clock()
    progress = Progress(clock)
    for seconds, status in [(0, "Queued"), (30, "Queued"), (90, "Running")]:
        clock.now = 1000.0 + seconds
        progress.after(status, "")

    assert progress.waited == timedelta(seconds=30)


def test_a_job_that_is_preempted_and_queued_again_waits_anew() -> None:
    clock = Clock()
    progress = Progress(clock)
    for seconds, status in [(0, "Queued"), (30, "Running"), (7200, "Queued"), (7210, "Queued")]:
        clock.now = 1000.0 + seconds
        progress.after(status, "")

    assert progress.waited == timedelta(seconds=10)
