"""A polled step: its end is published on another thread, and a step past its limits is cancelled before it fails."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from zenml.enums import ExecutionStatus
from zenml.exceptions import RunStoppedException

from tests.unit.lifecycle.world import Clock, World
from zenml_azureml.clock import SYSTEM_TIME
from zenml_azureml.lifecycle import action_executor
from zenml_azureml.lifecycle.observation import event_of
from zenml_azureml.lifecycle.recovery import Limits, RetryReason
from zenml_azureml.lifecycle.state import Event, JobRuns, QueueTimedOut, StepPhase, StepState, StopRequested
from zenml_azureml.lifecycle.transitions import transition
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import ServerUnavailableError


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(SYSTEM_TIME, queue_timeout_minutes=1, max_unreachable_minutes=0.01)
    published = world.jobs.happened.append
    monkeypatch.setattr(step_runs, "publish_failure", lambda *_: published("publish the failure"))
    monkeypatch.setattr(step_runs, "is_stopping", lambda _: False)
    monkeypatch.setattr(step_runs, "save_metadata", lambda *_: None)
    return world


def status(world: World) -> ExecutionStatus:
    """The status when the work in the background is done."""
    for _ in range(600):
        found = world.controller.status(world.step)
        if found is not ExecutionStatus.RUNNING:
            return found
        threading.Event().wait(0.05)
    raise AssertionError("still running")


def test_a_job_past_its_queue_timeout_is_cancelled_before_its_step_fails(world: World) -> None:
    world.jobs.job.status, world.jobs.job.waited = "Queued", timedelta(hours=1)

    assert status(world) is ExecutionStatus.FAILED
    assert world.jobs.happened == ["cancel zenml-1", "publish the failure"]
    assert "`queue_timeout_minutes` is 1" in str(world.step.state.error)


def test_polling_waits_for_no_answer_of_a_server_that_hangs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the server hangs, the answer is that the step runs; when it answers, it is the end."""
    answers = threading.Event()
    threads: list[str] = []

    def reported_status(_step_run: object) -> ExecutionStatus:
        threads.append(threading.current_thread().name)
        answers.wait(60)
        return ExecutionStatus.COMPLETED

    monkeypatch.setattr(step_runs, "reported_status", reported_status)
    world.jobs.end("Completed")

    for _ in range(3):
        assert world.controller.status(world.step) is ExecutionStatus.RUNNING
    answers.set()

    assert status(world) is ExecutionStatus.COMPLETED
    assert threading.current_thread().name not in threads
    assert len(threads) == 1


def test_a_step_keeps_running_while_the_server_is_unavailable_and_its_end_is_published_later(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.jobs.end("Canceled")
    unavailable = True

    def get(*_arguments: object, **_options: object) -> Any:
        if unavailable:
            raise requests.ConnectionError("Connection refused")
        return SimpleNamespace(status=ExecutionStatus.STOPPED, exception_info=None)

    monkeypatch.setattr(step_runs, "Client", lambda: SimpleNamespace(get_run_step=get))
    for _ in range(4):
        assert world.controller.status(world.step) is ExecutionStatus.RUNNING
        if world.step.work is not None:
            world.step.work.future.exception(60)
    shown = [message for message in caplog.messages if "  zenml-azureml jobs wait zenml-1" in message]
    assert len(shown) == 1
    assert "The Azure ML job of step `train` was cancelled" in shown[0]

    unavailable = False
    assert status(world) is ExecutionStatus.STOPPED


def test_a_stop_is_not_lost_if_another_event_comes_at_the_same_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, stopped = threading.Event(), threading.Event()

    def slow(state: StepState, event: Event, limits: Limits) -> Any:
        found = transition(state, event, limits)
        if isinstance(event, JobRuns):
            begun.set()
            stopped.wait(0.2)  # it is not: the stop is applied to the state that follows
        return found

    def stop() -> None:
        assert begun.wait(60)
        world.executor.apply(world.step, StopRequested("another step of the run has failed"))
        stopped.set()

    monkeypatch.setattr(action_executor, "transition", slow)
    stopping = threading.Thread(target=stop)
    stopping.start()
    world.executor.apply(world.step, JobRuns())
    stopping.join(60)

    assert world.step.state.phase is StepPhase.CANCELLING
    assert world.executions.why_stopped(world.step) == "another step of the run has failed"


def test_a_completed_job_whose_step_has_not_reported_its_end_is_a_failed_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_runs, "reported_status", lambda _step_run: ExecutionStatus.RUNNING)
    world.step_run.config.command = None
    world.jobs.end("Completed")

    assert status(world) is ExecutionStatus.FAILED
    assert world.jobs.happened == ["publish the failure"]
    assert world.step.state.phase is StepPhase.FAILED


def test_a_step_that_is_stopped_between_two_jobs_is_published_as_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job before has ended, and the next one is not submitted: nothing is left that could end."""
    published = world.jobs.happened.append
    monkeypatch.setattr(step_runs, "publish_stopped", lambda *_: published("publish the stop"))
    world.step.state = replace(world.step.state, phase=StepPhase.SUBMITTING)
    world.jobs.end("Failed")
    monkeypatch.setattr(world.jobs, "cancel", lambda _step: False)

    def stopped(*_arguments: object) -> None:
        raise RunStoppedException("The pipeline run was stopped.")

    monkeypatch.setattr(world.controller, "_follow", stopped)
    with pytest.raises(RunStoppedException):
        world.controller.wait(world.step)

    assert world.jobs.happened == ["publish the stop"]


class Late:
    """A job with a fallback, queued for too long, which Azure does not cancel."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        fallback = [{"instance_type": "Standard_DS3_v2"}]
        self.world = World(self.clock, queue_timeout_minutes=1, fallback=fallback)
        self.happened: list[tuple[float, str]] = []
        job = self.world.jobs.job
        job.status, job.waited = "Queued", timedelta(hours=1)
        note = self.happened.append
        monkeypatch.setattr(self.world.jobs, "cancel", lambda step: note((self.clock.now, f"cancel {step.job_name}")))
        monkeypatch.setattr(step_runs, "save_metadata", lambda *_: note((self.clock.now, "save")))
        monkeypatch.setattr(step_runs, "is_stopping", lambda _: False)

    def poll(self, now: float) -> ExecutionStatus:
        self.clock.now = now
        found = self.world.controller.status(self.world.step)
        if self.world.step.work is not None:
            self.world.step.work.future.result(60)
        return found


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Late:
    return Late(monkeypatch)


def test_a_cancel_without_effect_is_repeated_after_a_minute(late: Late) -> None:
    moments = (0, 2, 30, 59, 61, 63, 119, 122)
    for now in moments:
        late.poll(now)

    cancelled = [now for now, what in late.happened if what == "cancel zenml-1"]
    assert len(cancelled) == 3
    assert all(after - before >= 60 for before, after in pairwise(cancelled))


def test_the_reason_for_a_cancel_is_saved_once_and_before_the_cancel(late: Late) -> None:
    late.poll(0)
    late.poll(70)

    assert [what for _, what in late.happened] == ["save", "cancel zenml-1", "cancel zenml-1"]
    assert late.world.step.state.attempt.reason is RetryReason.QUEUE_TIMEOUT


def test_a_job_whose_reason_for_a_cancel_cannot_be_saved_is_left_in_its_queue_until_it_can(
    late: Late, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that found a job cancelled without a reason would not submit its step again."""
    save, step, job = step_runs.save_metadata, late.world.step, late.world.jobs.job

    def away(*_arguments: object) -> None:
        raise ServerUnavailableError("ZenML's server is unavailable.")

    def goes_on() -> None:
        event = event_of(step, job, late.clock.now)
        assert isinstance(event, QueueTimedOut)
        late.world.executor.advance(step, event, polled=True)

    monkeypatch.setattr(step_runs, "save_metadata", away)
    with pytest.raises(ServerUnavailableError):
        goes_on()
    assert late.happened == []

    monkeypatch.setattr(step_runs, "save_metadata", save)
    goes_on()
    assert [what for _, what in late.happened] == ["save", "cancel zenml-1"]


def test_a_cancelled_job_stays_so_if_its_time_in_the_queue_starts_again(late: Late) -> None:
    late.poll(0)
    late.world.jobs.job.waited = timedelta()
    late.poll(70)

    assert late.world.step.state.phase is StepPhase.MOVING
    assert [what for _, what in late.happened] == ["save", "cancel zenml-1", "cancel zenml-1"]
    late.world.jobs.job.status = "Running"
    late.poll(140)
    assert len(late.happened) == 3


def test_a_change_that_only_a_status_follows_from_is_carried_out_by_the_poll_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.controller._pool, "start", lambda *_: pytest.fail("another thread is started"))
    world.jobs.job.status = "Queued"
    assert world.controller.status(world.step) is ExecutionStatus.PROVISIONING
    world.jobs.job.status = "Running"
    assert world.controller.status(world.step) is ExecutionStatus.RUNNING
    world.jobs.job.status = "Queued"  # its node was taken away
    found = world.controller.status(world.step)

    assert (found, world.step.state.phase, world.step.work) == (ExecutionStatus.PROVISIONING, StepPhase.QUEUED, None)
