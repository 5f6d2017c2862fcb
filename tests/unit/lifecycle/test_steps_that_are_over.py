"""What remains of a step that is over: its release, and what is saved of its job."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.lifecycle.ending import AWAY, ERROR, NOW, Ending
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.canceller import PROCESS_ENDED
from zenml_azureml.lifecycle.execution import INTERRUPTED, Guard
from zenml_azureml.lifecycle.recovery import Attempt
from zenml_azureml.lifecycle.state import (
    StepPhase,
)
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import ServerUnavailableError


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Ending:
    return Ending(monkeypatch)


def test_a_step_that_is_over_is_released_and_forgotten(world: Ending) -> None:
    world.step.guard = Guard.SIGNAL
    world.executor.clean_up(world.step)

    assert world.happened == ["drop the secret", "release all"]
    assert world.step.guard is Guard.NONE
    assert world.is_forgotten


def test_a_step_is_forgotten_although_its_compute_cannot_be_deleted(
    world: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_step: Any) -> None:
        raise ERROR

    monkeypatch.setattr(world.jobs, "release", refuse)
    with pytest.raises(AzureMLError):
        world.executor.clean_up(world.step)

    assert world.is_forgotten


def test_a_step_whose_job_is_to_be_cancelled_at_exit_is_released_and_remembered(world: Ending) -> None:
    world.step.guard = Guard.EXIT
    world.executor.clean_up(world.step)

    assert world.happened == ["drop the secret", "release all"]
    assert world.step.guard is Guard.EXIT
    assert not world.is_forgotten


@pytest.mark.parametrize(("reason", "is_published"), [(PROCESS_ENDED, True), (INTERRUPTED, False), ("it was", False)])
def test_the_end_of_the_process_publishes_the_stops_of_its_steps_and_no_other_end_does(
    reason: str, is_published: bool, world: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bool] = []
    monkeypatch.setattr(
        world.canceller, "end_unless_finishing", lambda _steps, *, interrupted: given.append(interrupted)
    )
    world.controller.stop([world.step], reason)

    assert (world.happened == ["publish the stop"]) is is_published
    assert given == [reason == INTERRUPTED]
    assert world.executions.why_stopped(world.step) == reason
    assert world.step.state.phase is StepPhase.CANCELLING


def test_a_steps_cost_and_metrics_are_saved_with_what_is_known_of_its_job(
    world: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.jobs, "metrics", lambda _step: {"loss": 0.5})
    attempt = Attempt(0, "zenml-1", "serverless compute", usd_per_hour=2.0, started=NOW, ended=NOW + timedelta(hours=1))
    world.step.state = replace(world.step.state, attempts=(attempt,))
    world.jobs.job.studio_url = "https://studio/1"
    world.jobs.end("Completed")
    world.publisher.conclude(world.step, world.jobs.job)

    (saved,) = world.saved
    assert saved == {
        "azureml_job_name": "zenml-1",
        "azureml_compute": "serverless",
        "azureml_studio_url": "https://studio/1",
        "azureml_usd_per_hour_all_nodes": 2.0,
        "azureml_metrics": {"loss": 0.5},
        "azureml_cost_usd": 2.0,
    }
    world.step_run.run_metadata[step_runs.JOB_NAME_KEY] = "zenml-1"
    world.publisher.conclude(world.step, world.jobs.job)
    assert world.saved[1] == {"azureml_metrics": {"loss": 0.5}, "azureml_cost_usd": 2.0}


def test_a_cost_that_cannot_be_saved_is_said_unless_the_server_is_away(
    world: Ending, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = [ValueError("no JSON"), AWAY]

    def fail(*_arguments: Any) -> None:
        raise errors.pop(0)

    monkeypatch.setattr(step_runs, "save_metadata", fail)
    world.jobs.end("Completed")
    assert world.publisher.conclude(world.step, world.jobs.job) is None
    assert caplog.messages == ["Could not save the cost, the metrics and the outputs of the step `train`: no JSON"]
    with pytest.raises(ServerUnavailableError, match="zenml-azureml jobs wait"):
        world.publisher.conclude(world.step, world.jobs.job)


def test_the_end_of_a_job_that_does_not_end_by_itself_is_watched_quietly(
    world: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched: list[bool] = []
    monkeypatch.setattr(step_runs, "reported_ends", lambda _run: {world.step.id})

    def watch(_step: Any, *, quietly: bool = False) -> Any:
        watched.append(quietly)
        return world.jobs.job

    monkeypatch.setattr(world.jobs, "watch", watch)
    world.canceller.end_unless_finishing([world.step], interrupted=False)

    assert len(watched) > 2
    assert all(watched)
