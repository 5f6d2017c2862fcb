"""Steps as this process knows them: also those that another process has submitted."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.unit.lifecycle.world import Clock, World
from zenml_azureml import AzureMLStepOperatorSettings
from zenml_azureml.lifecycle.attempts import history_as_metadata
from zenml_azureml.lifecycle.execution import Executions, state_from
from zenml_azureml.lifecycle.recovery import Attempt, RetryReason
from zenml_azureml.lifecycle.state import StepPhase
from zenml_azureml.run_store import job_names
from zenml_azureml.settings.step_plan import StepPlan, plan_of

ATTEMPT = Attempt(0, "zenml-1", "serverless compute")


@pytest.mark.parametrize("reason", list(RetryReason))
@pytest.mark.parametrize("goes_on", [False, True])
def test_a_step_of_another_process_is_being_moved_if_its_last_job_was_queued_for_too_long(
    reason: RetryReason, goes_on: bool
) -> None:
    """Its job was cancelled for that, and the next one follows when it has ended."""
    attempts = (replace(ATTEMPT, reason=reason), *([Attempt(1, "zenml-2")] if goes_on else []))
    step_run: Any = World(Clock()).step_run
    step_run.run_metadata.update(history_as_metadata(attempts))
    state = state_from(step_run)

    is_moving = reason is RetryReason.QUEUE_TIMEOUT and not goes_on
    assert state.phase is (StepPhase.MOVING if is_moving else StepPhase.QUEUED)
    assert state.attempts == attempts


def test_a_step_of_which_nothing_is_recorded_may_have_its_first_job() -> None:
    step_run = World(Clock()).step_run
    state = state_from(step_run)

    assert (state.phase, state.attempt.job) == (StepPhase.QUEUED, job_names.job_name_of(step_run.id))


def test_a_stopped_run_gets_no_further_job_and_is_forgotten_after_many_others() -> None:
    world = World(Clock())
    executions, step = world.executions, world.step
    executions.note_interruption(step, KeyboardInterrupt())
    executions.stop([step], "the run was stopped")
    assert executions.why_stopped(step) == "the run was stopped"

    for _ in range(1000):
        other: Any = World(Clock()).step
        executions.stop([other], "the run was stopped")
        executions.note_interruption(other, KeyboardInterrupt())
        assert executions.why_stopped(other) == "the run was stopped"

    assert len(executions.stopped_runs) < 1000
    assert executions.why_stopped(step) == ""


def test_threads_that_come_to_a_step_at_once_get_the_same_one() -> None:
    """What one of them notes, such as a job to be cancelled, would be unknown to the others."""
    step_run, together = World(Clock()).step_run, threading.Barrier(2)

    def plan(_step_run: object) -> StepPlan:
        together.wait(60)
        return plan_of(AzureMLStepOperatorSettings())

    executions = Executions(cast("Any", SimpleNamespace(plan=plan)))
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(executions.of, [step_run, step_run])

    assert first is second
    assert executions.of_run(step_run.pipeline_run_id) == [first]
