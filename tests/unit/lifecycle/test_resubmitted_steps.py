"""Steps that get a further job, or none: after a preemption, without capacity, after a stop, and after an error."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from zenml.exceptions import RunStoppedException

from tests.unit.lifecycle.ending import ERROR, Ending
from zenml_azureml.azure.jobs.run_history import RunDetails
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.attempts import ATTEMPTS_KEY
from zenml_azureml.lifecycle.observation import event_of
from zenml_azureml.lifecycle.recovery import Attempt, RetryReason
from zenml_azureml.lifecycle.state import (
    Event,
    GiveUp,
    JobAccepted,
    JobEnded,
    NoCapacity,
    QueueTimedOut,
    StepPhase,
    StepState,
    SubmitFailed,
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Ending:
    return Ending(monkeypatch)


def ended(reason: RetryReason, *, may_resubmit: bool = True) -> JobEnded:
    return JobEnded(Attempt(0, "zenml-1", "serverless compute", reason=reason), StepPhase.FAILED, may_resubmit)


def test_a_preempted_step_is_submitted_again_and_the_job_before_released(
    world: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.answers = [lambda: JobAccepted(Attempt(0, "zenml-1-2", "serverless compute"))]
    world.executor.advance(world.step, ended(RetryReason.PREEMPTED))

    assert world.happened == ["build the next", "submit to 0", "release zenml-1"]
    assert world.step.state.phase is StepPhase.QUEUED


def test_a_job_that_cannot_be_released_is_said_and_changes_nothing(
    world: Ending, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_name: str) -> None:
        raise ERROR

    monkeypatch.setattr(world.jobs, "workspace", lambda *_: SimpleNamespace(release=refuse))
    world.answers = [lambda: JobAccepted(Attempt(0, "zenml-1-2", "serverless compute"))]
    world.executor.advance(world.step, ended(RetryReason.PREEMPTED))

    assert world.step.state.phase is StepPhase.QUEUED
    assert caplog.messages == ["Azure refuses it."]


def test_without_capacity_the_next_target_is_said_and_tried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = Ending(monkeypatch, fallback=[{"instance_type": "Standard_DS3_v2"}])
    refused = Attempt(1, "", "there", reason=RetryReason.NO_CAPACITY, says="no quota")
    world.answers = [lambda: NoCapacity(ERROR, refused)]
    world.step.state = replace(world.step.state, phase=StepPhase.QUEUED)
    world.executor.advance(world.step, ended(RetryReason.NO_CAPACITY))

    assert world.happened == ["build the next", "submit to 1", "release zenml-1", "fail: Azure refuses it."]
    assert world.step.state.phase is StepPhase.FAILED

    again = Ending(monkeypatch, fallback=[{"instance_type": "Standard_DS3_v2"}])
    again.step.state = StepState(StepPhase.SUBMITTING, (Attempt(0, ""),))
    again.answers = [lambda: JobAccepted(Attempt(1, "zenml-1", "there"))]
    caplog.clear()
    again.executor.advance(again.step, NoCapacity(ERROR, replace(refused, target=0)))
    assert again.happened == ["build the next", "submit to 1"]
    assert caplog.messages == ["No capacity for step `train`; trying fallback 1: no quota"]


@pytest.mark.parametrize("is_for_capacity", [True, False], ids=["no capacity", "another refusal"])
def test_a_step_that_waited_in_vain_fails_with_the_refusal_of_its_fallback_and_why_it_was_moved(
    is_for_capacity: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Ending(monkeypatch, fallback=[{"instance_type": "Standard_DS3_v2"}], queue_timeout_minutes=1)
    refusal = AzureMLError("Azure refuses the job.", azure_message="Quota of family DSv2: 0", hint="Request more.")
    refused = (
        Attempt(1, "", "the fallback", reason=RetryReason.NO_CAPACITY) if is_for_capacity else Attempt(1, "zenml-2")
    )
    world.answers = [lambda: (NoCapacity if is_for_capacity else SubmitFailed)(refusal, refused)]
    world.jobs.job.status, world.jobs.job.waited = "Queued", timedelta(minutes=2)
    world.jobs.job.details = RunDetails("Canceled", {})

    with pytest.raises(AzureMLError) as raised:
        world.wait()

    assert "submit to 1" in world.happened
    said = str(raised.value)
    assert said.startswith("Azure refuses the job.\nAzure: Quota of family DSv2: 0\nNext steps: Request more.")
    assert "  1. serverless compute, job `zenml-1`: queue timeout" in said.splitlines()


def test_another_process_knows_why_a_job_is_cancelled_before_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Ending(monkeypatch, fallback=[{"instance_type": "Standard_DS3_v2"}], queue_timeout_minutes=1)
    world.jobs.job.status, world.jobs.job.waited = "Queued", timedelta(minutes=2)
    known: list[Any] = []
    monkeypatch.setattr(world.jobs, "cancel", lambda _step: known.extend(world.saved))
    event = event_of(world.step, world.jobs.job, world.time.monotonic())
    assert isinstance(event, QueueTimedOut)
    world.executor.advance(world.step, event)

    assert [attempt["reason"] for attempt in known[0][ATTEMPTS_KEY]] == ["queue timeout"]


def test_a_further_job_asks_the_server_whether_the_run_was_stopped(world: Ending) -> None:
    world.is_stopping = True
    with pytest.raises(RunStoppedException):
        world.executor.advance(world.step, ended(RetryReason.PREEMPTED))

    assert world.happened == []


def test_a_run_that_is_stopped_while_a_job_is_submitted_ends_that_job(world: Ending) -> None:
    def accepted() -> Event:
        world.executions.stop([world.step], "the run was stopped")
        return JobAccepted(Attempt(0, "zenml-1-2", "serverless compute"))

    world.answers = [accepted]
    world.executor.advance(world.step, ended(RetryReason.PREEMPTED))

    assert "cancel zenml-1-2" in world.happened
    assert world.step.state.stop_reason == "the run was stopped"


def test_a_step_that_was_stopped_before_its_job_was_accepted_ends_that_job_once(world: Ending) -> None:
    world.step.state = StepState(StepPhase.CANCELLING, (Attempt(0, "zenml-1"),))
    world.executions.stop([world.step], "the run was stopped")
    world.executor.advance(world.step, JobAccepted(Attempt(0, "zenml-1", "serverless compute")))

    assert [what for what in world.happened if what.startswith("cancel")] == ["cancel zenml-1"]


def test_a_step_that_is_given_up_is_cancelled_before_its_failure_is_published(world: Ending) -> None:
    world.executor.advance(world.step, GiveUp(ERROR))

    assert world.happened == ["cancel zenml-1", "drop the secret", "fail: Azure refuses it."]
    assert world.step.state.phase is StepPhase.FAILED


def test_an_error_while_a_job_is_concluded_gives_the_step_up(world: Ending, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any) -> Any:
        raise ERROR

    monkeypatch.setattr(world.publisher, "conclude", refuse)
    world.jobs.end("Completed")
    with pytest.raises(AzureMLError, match="Azure refuses it"):
        world.wait()

    assert world.happened[-1] == "fail: Azure refuses it."
