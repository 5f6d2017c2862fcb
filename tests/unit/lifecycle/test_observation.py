"""What a job means for its step, as the operator observes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from zenml.enums import ExecutionStatus

from tests.unit.lifecycle.world import Clock, World
from zenml_azureml.azure.jobs.run_history import RunDetails
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.canceller import CANCEL_AGAIN
from zenml_azureml.lifecycle.observation import event_of, event_of_end
from zenml_azureml.lifecycle.recovery import RetryReason
from zenml_azureml.lifecycle.state import (
    CancelHadNoEffect,
    Event,
    JobEnded,
    JobLost,
    JobOver,
    JobQueued,
    JobRuns,
    StepPhase,
    StepState,
)
from zenml_azureml.run_store import step_runs

BEGAN = datetime(2026, 1, 1, tzinfo=timezone.utc)


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


@pytest.mark.parametrize(("waited", "event"), [(-0.001, None), (0.0, CancelHadNoEffect()), (1.0, CancelHadNoEffect())])
def test_a_cancel_is_without_effect_after_a_minute(waited: float, event: Event | None) -> None:
    world = World(Clock())
    world.step.state = StepState(StepPhase.MOVING, world.step.state.attempts)
    world.step.cancelled_at = 1000.0
    world.jobs.job.status = "Queued"

    assert event_of(world.step, world.jobs.job, 1000.0 + CANCEL_AGAIN.total_seconds() + waited) == event


def end_of(world: World, details: RunDetails | None, status: str = "Failed", *, is_stopped: bool = False) -> JobEnded:
    world.jobs.job.details = details
    world.jobs.end(status)
    event = event_of_end(world.step, world.jobs.job, is_stopped=is_stopped)
    assert isinstance(event, JobEnded)
    return event


def reports(monkeypatch: pytest.MonkeyPatch, status: ExecutionStatus) -> None:
    monkeypatch.setattr(step_runs, "reported_status", lambda _step_run: status)


PREEMPTED = RunDetails("Failed", {}, error="The node was preempted.", started=BEGAN, ended=BEGAN + timedelta(hours=1))


@pytest.mark.parametrize("max_preemptions", [0, 1])
@pytest.mark.parametrize("is_stopped", [True, False])
@pytest.mark.parametrize("has_reported", [True, False])
def test_a_preempted_step_may_be_submitted_again_unless_it_is_stopped_or_has_reported_its_end(
    max_preemptions: int, is_stopped: bool, has_reported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports(monkeypatch, ExecutionStatus.FAILED if has_reported else ExecutionStatus.RUNNING)
    event = end_of(World(Clock(), max_preemptions=max_preemptions), PREEMPTED, is_stopped=is_stopped)

    assert event.may_resubmit is (max_preemptions > 0 and not is_stopped and not has_reported)
    assert event.attempt.reason is RetryReason.PREEMPTED
    assert event.attempt.says == "The node was preempted."
    assert (event.attempt.started, event.attempt.ended) == (PREEMPTED.started, PREEMPTED.ended)
    assert event.phase is StepPhase.FAILED


HOUR = timedelta(hours=1)
AT_ITS_LIMIT = RunDetails("Canceled", {}, started=BEGAN, ended=BEGAN + HOUR, time_limit=HOUR)


@pytest.mark.parametrize(
    ("details", "status", "phase"),
    [
        (PREEMPTED, "Failed", StepPhase.FAILED),
        (AT_ITS_LIMIT, "Canceled", StepPhase.FAILED),
        (RunDetails("Canceled", {}, started=BEGAN), "Canceled", StepPhase.STOPPED),
    ],
    ids=["preempted", "limit", "cancelled in Studio"],
)
@pytest.mark.parametrize(
    ("change", "reported", "succeeds"),
    [
        ("", ExecutionStatus.COMPLETED, True),
        ("", ExecutionStatus.FAILED, False),
        ("", ExecutionStatus.RUNNING, False),
        ("outputs", ExecutionStatus.COMPLETED, False),
        ("command", ExecutionStatus.COMPLETED, False),
        ("stopped", ExecutionStatus.COMPLETED, False),
    ],
)
def test_a_job_that_is_cut_short_after_its_function_has_reported_its_success_is_a_success(
    details: RunDetails,
    status: str,
    phase: StepPhase,
    change: str,
    reported: ExecutionStatus,
    succeeds: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reports(monkeypatch, reported)
    world = World(Clock(), max_preemptions=0, outputs={"model": {}} if change == "outputs" else None)
    world.step_run.config.command = ["true"] if change == "command" else None
    event = end_of(world, details, status, is_stopped=change == "stopped")

    assert event.phase is (StepPhase.SUCCEEDED if succeeds else phase)
    assert not event.may_resubmit


def test_an_end_that_is_no_reason_to_submit_again_costs_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_runs, "reported_status", lambda _step_run: pytest.fail("the server is asked"))

    event = end_of(World(Clock()), RunDetails("Failed", {}, error="ValueError: no number"))
    assert (event.attempt.reason, event.may_resubmit) == (None, False)
    event = end_of(World(Clock()), None, "Completed")
    assert (event.phase, event.attempt.ended) == (StepPhase.SUCCEEDED, None)


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [(None, RetryReason.QUEUE_TIMEOUT), (119, RetryReason.QUEUE_TIMEOUT), (120, None), (3600, None)],
)
def test_a_job_that_ran_for_long_before_it_was_cancelled_was_cancelled_by_another_client(
    seconds: int | None, reason: RetryReason | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports(monkeypatch, ExecutionStatus.RUNNING)
    world = World(Clock())
    world.step.state = replace(
        world.step.state, attempts=(replace(world.step.state.attempt, reason=RetryReason.QUEUE_TIMEOUT),)
    )
    began = None if seconds is None else BEGAN
    ended = BEGAN + timedelta(seconds=seconds or 0)
    event = end_of(world, RunDetails("Canceled", {}, started=began, ended=ended), "Canceled")

    assert event.attempt.reason is reason
    assert event.phase is StepPhase.STOPPED


def test_a_cancelled_job_that_was_not_late_is_no_reason_to_submit_again() -> None:
    event = end_of(World(Clock()), RunDetails("Canceled", {}), "Canceled")

    assert event.attempt.reason is None


def test_a_job_that_can_no_longer_be_watched_is_lost() -> None:
    world, error = World(Clock()), AzureMLError("It is gone.")
    world.jobs.job.settle(error)

    assert event_of_end(world.step, world.jobs.job, is_stopped=False) == JobLost(error)
