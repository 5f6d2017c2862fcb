"""How a job that waits in vain is cancelled, and how often a preempted one is submitted again."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from zenml_azureml import AzureMLStepOperatorSettings
from zenml_azureml.azure.jobs.handle import JobHandle
from zenml_azureml.lifecycle.attempts import Attempts
from zenml_azureml.lifecycle.recovery import Attempt, Limits, RetryReason, closed, next_target
from zenml_azureml.lifecycle.submitter import StepSubmitter
from zenml_azureml.run_store import step_runs
from zenml_azureml.settings.step_plan import plan_of


class Clock:
    """Time that a test sets."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class World:
    """One step whose first job waits for its compute for longer than it may, and what happens to the job."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.happened: list[tuple[float, str]] = []
        self.step_run = cast("Any", SimpleNamespace(id=uuid4(), pipeline_run_id=uuid4(), name="train", run_metadata={}))
        self.job = JobHandle("zenml-1", status="Queued", waited=timedelta(hours=1))
        settings = AzureMLStepOperatorSettings(queue_timeout_minutes=1)
        workspace = SimpleNamespace(cancel=lambda name: self.happened.append((self.clock.now, f"cancel {name}")))
        operator = SimpleNamespace(id=uuid4(), plan=lambda _: plan_of(settings), workspace=lambda _: workspace)
        self.attempts = Attempts()
        self.attempts.put(self.step_run, [Attempt(0, "zenml-1", place="serverless")])
        self.moves = StepSubmitter(cast("Any", operator), self.attempts, cast("Any", self.clock))

        def save(step_run: Any, component_id: Any, metadata: Any) -> None:
            self.happened.append((self.clock.now, "save"))

        monkeypatch.setattr(step_runs, "save_metadata", save)

    def end_waiting(self, now: float) -> None:
        self.clock.now = now
        assert self.moves.waits_too_long(self.step_run, self.job)
        self.moves.end_waiting(self.step_run, self.job)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_cancel_without_effect_is_asked_for_again_after_a_minute(world: World) -> None:
    for now in (0, 2, 30, 59, 60, 62, 119, 120):
        world.end_waiting(now)

    assert [now for now, what in world.happened if what == "cancel zenml-1"] == [0, 60, 120]


def test_why_a_job_is_cancelled_is_saved_once_and_before_the_cancel(world: World) -> None:
    world.end_waiting(0)
    world.end_waiting(60)

    assert [what for _, what in world.happened] == ["save", "cancel zenml-1", "cancel zenml-1"]
    assert world.attempts.of(world.step_run)[-1].reason is RetryReason.QUEUE_TIMEOUT


def test_a_job_that_was_given_up_for_its_wait_stays_so_when_the_wait_is_counted_from_the_start(world: World) -> None:
    world.end_waiting(0)
    world.job.waited = timedelta()

    assert world.moves.waits_too_long(world.step_run, world.job)
    world.job.status = "Running"
    assert not world.moves.waits_too_long(world.step_run, world.job)


@pytest.mark.parametrize("limit", [0, 1, 2, 5])
@pytest.mark.parametrize("knows_its_reason", [False, True], ids=["its reason follows", "it knows its reason"])
def test_a_preempted_job_is_submitted_again_as_often_as_the_setting_says(limit: int, *, knows_its_reason: bool) -> None:
    attempts: tuple[Attempt, ...] = (Attempt(0, "job-1"),)
    resubmitted = 0
    while True:
        asked = closed(attempts, RetryReason.PREEMPTED) if knows_its_reason else attempts
        if next_target(asked, RetryReason.PREEMPTED, Limits(1, limit)) is None:
            break
        resubmitted += 1
        attempts = (*closed(attempts, RetryReason.PREEMPTED), Attempt(0, f"job-{resubmitted + 1}"))

    assert resubmitted == limit


def test_preemptions_at_another_target_do_not_count() -> None:
    attempts = (
        Attempt(0, "a", reason=RetryReason.PREEMPTED),
        Attempt(1, "b", reason=RetryReason.NO_CAPACITY),
        Attempt(1, "c"),
    )

    assert next_target(attempts, RetryReason.PREEMPTED, Limits(2, 1)) == 1
