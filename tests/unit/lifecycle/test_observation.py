"""What a job means for its step, as the operator observes it."""

from __future__ import annotations

import pytest

from tests.unit.lifecycle.world import Clock, World
from zenml_azureml.lifecycle.observation import event_of
from zenml_azureml.lifecycle.state import Event, JobOver, JobQueued, JobRuns, StepPhase, StepState


@pytest.mark.parametrize(
    ("phase", "status", "event"),
    [
        (StepPhase.QUEUED, "Running", JobRuns()),
        (StepPhase.SUBMITTING, "Running", JobRuns()),
        (StepPhase.RUNNING, "Running", None),
        # Its end is an event of its own, once its log has been read.
        (StepPhase.QUEUED, "Completed", None),
        (StepPhase.QUEUED, "Failed", None),
        (StepPhase.RUNNING, "Queued", JobQueued()),
        (StepPhase.QUEUED, "Queued", None),
        (StepPhase.GIVING_UP, "Running", JobOver()),
        (StepPhase.CANCELLING, "Running", None),
    ],
)
def test_an_unfinished_job_means_for_its_step(phase: StepPhase, status: str, event: Event | None) -> None:
    world = World(Clock())
    world.step.state = StepState(phase, world.step.state.attempts)
    world.jobs.job.status = status

    assert event_of(world.step, world.jobs.job, 0.0) == event
