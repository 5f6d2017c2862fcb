"""How a step that is waited for, or polled, comes to its end: what is cancelled, published, released and remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast

import pytest
from zenml.enums import ExecutionStatus
from zenml.exceptions import RunInterruptedException, RunStoppedException

from tests.unit.lifecycle.world import Clock, World
from zenml_azureml.azure.jobs.run_history import RunDetails
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.canceller import PROCESS_ENDED
from zenml_azureml.lifecycle.execution import INTERRUPTED, Guard
from zenml_azureml.lifecycle.outcome import StoppedStepError
from zenml_azureml.lifecycle.recovery import Attempt, RetryReason
from zenml_azureml.lifecycle.state import (
    Event,
    GiveUp,
    JobAccepted,
    JobEnded,
    NoCapacity,
    StepPhase,
    StepState,
    StopRequested,
    SubmitFailed,
)
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS, StopSignals
from zenml_azureml.lifecycle.submitter import Request
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import ServerUnavailableError, ask

ERROR = AzureMLError("Azure refuses it.")
AWAY = ServerUnavailableError("ZenML's server was unavailable for 5 minutes (saving the job): refused")
HOUR = timedelta(hours=1)
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
AT_ITS_LIMIT = RunDetails("Canceled", {}, started=NOW, ended=NOW + HOUR, time_limit=HOUR)


class Ending(World):
    """A step with a running job, and a note of everything that happens to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        super().__init__(Clock(), max_unreachable_minutes=0.01, **settings)
        self.happened = self.jobs.happened
        self.answers: list[Callable[[], Event]] = []
        self.saved: list[dict[str, Any]] = []
        self.reported = ExecutionStatus.RUNNING
        self.controller.submitter = cast("Any", SimpleNamespace(submit=self._submit, next_request=self._next_request))
        self.controller.earlier_jobs = cast("Any", SimpleNamespace(note_end=lambda _: self.note("note the end")))
        self.is_stopping = False
        monkeypatch.setattr(self.checks._stopping, "answer", lambda _run: self.is_stopping)
        monkeypatch.setattr(self.jobs, "drop_secret", self._drop_secret)
        monkeypatch.setattr(self.jobs, "release", lambda _step: self.note("release all"))
        monkeypatch.setattr(step_runs, "publish_failure", lambda _step, error: self.note(f"fail: {error.summary}"))
        monkeypatch.setattr(step_runs, "publish_stopped", lambda *_: self.note("publish the stop"))
        monkeypatch.setattr(step_runs, "publish_completed", lambda *_: self.note("publish the success"))
        monkeypatch.setattr(step_runs, "reported_status", lambda _step: self.reported)
        monkeypatch.setattr(step_runs, "reported_failure", lambda _id: "")
        monkeypatch.setattr(step_runs, "add_to_report", lambda _step, _error: self.note("add to the report"))
        monkeypatch.setattr(step_runs, "save_metadata", lambda _step, _id, metadata: self.saved.append(metadata))

    def note(self, what: str) -> None:
        self.happened.append(what)

    def wait(self) -> ExecutionStatus:
        return self.controller.wait(self.step)

    def status(self) -> ExecutionStatus:
        """The status when the work in the background is done."""
        for _ in range(20):
            found = self.controller.status(self.step)
            if self.step.work is None:
                return found
            self.step.work.future.exception(60)
        raise AssertionError("the work has no end")

    def at(self, seconds: float, what: Callable[[], object]) -> None:
        def happens(now: float) -> None:
            if now >= seconds:
                self.time.happens = lambda _now: None
                what()

        self.time.happens = happens

    @property
    def is_forgotten(self) -> bool:
        return self.executions.of(self.step_run) is not self.step

    def _drop_secret(self, _step: Any, *, in_background: bool = False) -> None:
        self.note("drop the secret" + (" in the background" if in_background else ""))

    def _submit(self, _step: Any, target: int, _request: Request) -> Event:
        self.note(f"submit to {target}")
        return self.answers.pop(0)()

    def _next_request(self, _step: Any, check: Callable[[], None]) -> Request:
        check()
        self.note("build the next")
        return Request(cast("Any", None), check)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Ending:
    return Ending(monkeypatch)


@pytest.fixture
def signals() -> Iterator[StopSignals]:
    before = STOP_SIGNALS.number
    yield STOP_SIGNALS
    STOP_SIGNALS.number = before


# A caller that waits.


def test_a_step_whose_job_completes_succeeds(world: Ending) -> None:
    world.step.guard = Guard.EXIT
    world.at(5, lambda: world.jobs.end("Completed"))

    assert world.wait() is ExecutionStatus.COMPLETED
    assert world.happened == ["drop the secret", "note the end"]
    assert world.step.guard is Guard.NONE


def test_a_step_whose_job_fails_fails_with_the_error_that_is_published(world: Ending) -> None:
    world.jobs.end("Failed")
    with pytest.raises(AzureMLError, match="The Azure ML job of step `train` failed") as raised:
        world.wait()

    assert not isinstance(raised.value, StoppedStepError)
    assert world.happened == ["drop the secret", f"fail: {raised.value.summary}", "note the end"]


@pytest.mark.parametrize("polled", [False, True])
@pytest.mark.parametrize("details", [RunDetails("Canceled", {}), AT_ITS_LIMIT])
def test_a_step_whose_function_has_reported_its_success_succeeds_although_its_job_is_then_cut_short(
    world: Ending, details: RunDetails, polled: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world.step_run.config.command, world.reported = None, ExecutionStatus.COMPLETED
    world.jobs.job.details = details
    world.jobs.end("Canceled")

    assert (world.status() if polled else world.wait()) is ExecutionStatus.COMPLETED
    assert world.happened == ["drop the secret" + (" in the background" if polled else ""), "note the end"]
    assert "was cut short (Canceled) after the step had reported its success" in caplog.text


def test_a_step_whose_job_is_cancelled_elsewhere_is_stopped(world: Ending) -> None:
    world.jobs.end("Canceled")
    with pytest.raises(StoppedStepError, match="was cancelled"):
        world.wait()

    assert "publish the stop" in world.happened
    assert world.step.state.phase is StepPhase.STOPPED


def test_a_job_that_can_no_longer_be_watched_fails_the_step_and_may_still_run(world: Ending) -> None:
    world.jobs.job.settle(AzureMLError("The job is gone."))
    with pytest.raises(AzureMLError, match="The job is gone"):
        world.wait()

    assert world.happened == ["drop the secret", "fail: The job is gone."]
    assert world.saved == []


@pytest.mark.parametrize("fallback", [[], [{"instance_type": "Standard_DS3_v2"}]])
def test_a_job_that_is_queued_for_too_long_is_cancelled_while_a_caller_waits(
    fallback: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Ending(monkeypatch, queue_timeout_minutes=1, fallback=fallback)
    world.jobs.job.status, world.jobs.job.waited = "Queued", timedelta(hours=1)
    world.jobs.job.details = RunDetails("Canceled", {})
    world.answers = [lambda: SubmitFailed(ERROR)]
    with pytest.raises(AzureMLError) as raised:
        world.wait()

    expected = ["Azure refuses it", "job `zenml-1`: queue timeout"] if fallback else ["`queue_timeout_minutes` is 1"]
    assert all(words in str(raised.value) for words in expected)
    assert "cancel zenml-1" in world.happened
    assert ("submit to 1" in world.happened) is bool(fallback)


def test_a_signal_cancels_the_job_of_a_caller_that_waits(world: Ending, signals: StopSignals) -> None:
    world.at(5, lambda: setattr(signals, "number", signals.number + 1))
    with pytest.raises(RunInterruptedException):
        world.wait()

    assert world.happened == ["cancel zenml-1", "drop the secret"]
    assert world.executions.why_stopped(world.step) == INTERRUPTED
    assert 5 <= world.time.now < 60


def test_a_run_that_is_stopped_on_the_server_cancels_the_job_and_publishes_the_stop(world: Ending) -> None:
    world.at(5, lambda: setattr(world, "is_stopping", True))
    with pytest.raises(RunStoppedException):
        world.wait()

    assert world.happened == ["cancel zenml-1", "drop the secret", "publish the stop"]


def test_a_stop_after_the_end_of_the_job_cancels_publishes_and_says_nothing(
    world: Ending, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.jobs.end("Completed")

    def stopped(*_arguments: Any, **_options: Any) -> None:
        raise RunStoppedException("The pipeline run was stopped.")

    monkeypatch.setattr(world.controller, "_carry_out", stopped)
    with pytest.raises(RunStoppedException):
        world.wait()

    assert world.happened == []
    assert caplog.messages == []


def test_ctrl_c_cancels_the_job_and_publishes_nothing_by_itself(world: Ending, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(world.controller, "_follow", interrupted)
    with pytest.raises(KeyboardInterrupt):
        world.wait()

    assert world.happened == ["cancel zenml-1", "drop the secret"]
    assert world.executions.stopped_runs == {world.step.run_id: INTERRUPTED}


def test_an_end_that_the_server_does_not_learn_of_is_an_error_with_the_command_that_repairs_it(
    world: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_arguments: Any) -> None:
        raise AWAY

    monkeypatch.setattr(step_runs, "publish_failure", away)
    world.jobs.end("Failed")
    with pytest.raises(ServerUnavailableError, match="zenml-azureml jobs wait zenml-1") as raised:
        world.wait()

    assert "cancel zenml-1" not in world.happened
    assert "failed" in str(raised.value)
    assert world.step.state.phase is not StepPhase.FAILED, "so that the end comes again"


def test_a_wait_that_ends_because_the_server_stays_away_says_so_once(
    world: Ending, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(_step: Any) -> ExecutionStatus:
        def request() -> ExecutionStatus:
            raise ConnectionError("refused")

        return ask("looking up the status", request)

    monkeypatch.setattr(step_runs, "reported_status", away)
    world.jobs.end("Completed")
    with pytest.raises(ServerUnavailableError, match="zenml-azureml jobs wait zenml-1"):
        world.wait()

    assert [message for message in caplog.messages if "jobs wait" in message] == []


def test_an_interruption_while_the_server_is_away_says_what_it_does_not_know(
    world: Ending, signals: StopSignals, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(_step: Any) -> ExecutionStatus:
        def request() -> ExecutionStatus:
            signals.number += 1
            raise ConnectionError("refused")

        return ask("looking up the status", request)

    monkeypatch.setattr(step_runs, "reported_status", away)
    world.jobs.end("Completed")
    with pytest.raises(RunInterruptedException):
        world.wait()

    assert "cancel zenml-1" not in world.happened
    (shown,) = [message for message in caplog.messages if "zenml-azureml jobs wait zenml-1" in message]
    assert "has completed" in shown


# A caller that polls.


def test_a_polled_step_drops_its_secret_in_the_background_and_is_guarded_until_its_end_is_published(
    world: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    guards: list[Guard] = []
    monkeypatch.setattr(world.publisher, "conclude", lambda step, _job: guards.append(step.guard))
    assert world.controller.status(world.step) is ExecutionStatus.RUNNING
    world.jobs.end("Completed")

    assert world.status() is ExecutionStatus.COMPLETED
    assert world.happened == ["drop the secret in the background", "note the end"]
    assert guards == [Guard.RUN]
    assert world.step.guard is Guard.NONE


def test_the_error_of_a_polled_step_whose_job_may_still_run_is_logged(
    world: Ending, caplog: pytest.LogCaptureFixture
) -> None:
    world.jobs.job.settle(AzureMLError("The job is gone."))

    assert world.status() is ExecutionStatus.FAILED
    assert caplog.messages == ["The job is gone."]


def test_a_polled_step_whose_job_fails_is_not_logged_too(world: Ending, caplog: pytest.LogCaptureFixture) -> None:
    world.jobs.end("Failed")

    assert world.status() is ExecutionStatus.FAILED
    assert caplog.messages == []


def test_a_stopped_step_whose_job_azure_does_not_cancel_is_published_as_stopped(world: Ending) -> None:
    world.executions.stop([world.step], "the run was stopped")
    world.controller.apply(world.step, StopRequested("the run was stopped"))
    assert world.status() is ExecutionStatus.RUNNING, "the job may still end"
    world.step.is_refused = True

    assert world.status() is ExecutionStatus.STOPPED
    assert world.happened == ["publish the stop"]
    assert "could not be cancelled" in str(world.step.state.error)


def test_a_job_that_azure_did_not_cancel_keeps_the_step_of_a_run_that_goes_on_running(world: Ending) -> None:
    world.controller.apply(world.step, StopRequested("another step has failed"))
    world.step.is_refused = True

    assert world.status() is ExecutionStatus.RUNNING
    assert world.happened == []


def test_a_polled_step_that_is_stopped_while_it_is_submitted_again_is_published_as_stopped(world: Ending) -> None:
    world.is_stopping = True
    preempted(world)

    assert world.status() is ExecutionStatus.STOPPED
    assert "publish the stop" in world.happened
    assert not [what for what in world.happened if what.startswith("submit")]


# Further jobs.


def preempted(world: Ending) -> None:
    """The job ends as Azure ends it when it takes its machine away."""
    world.jobs.job.details = RunDetails("Failed", {}, error="The node was preempted.", started=NOW, ended=NOW)
    world.jobs.end("Failed")


def ended(reason: RetryReason, *, may_resubmit: bool = True) -> JobEnded:
    return JobEnded(Attempt(0, "zenml-1", "serverless compute", reason=reason), StepPhase.FAILED, may_resubmit)


def test_a_preempted_step_is_submitted_again_and_the_job_before_released(
    world: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.answers = [lambda: JobAccepted(Attempt(0, "zenml-1-2", "serverless compute"))]
    world.controller.advance(world.step, ended(RetryReason.PREEMPTED))

    assert world.happened == ["build the next", "submit to 0", "release zenml-1"]
    assert world.step.state.phase is StepPhase.QUEUED


def test_a_job_that_cannot_be_released_is_said_and_changes_nothing(
    world: Ending, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_name: str) -> None:
        raise ERROR

    monkeypatch.setattr(world.jobs, "workspace", lambda *_: SimpleNamespace(release=refuse))
    world.answers = [lambda: JobAccepted(Attempt(0, "zenml-1-2", "serverless compute"))]
    world.controller.advance(world.step, ended(RetryReason.PREEMPTED))

    assert world.step.state.phase is StepPhase.QUEUED
    assert caplog.messages == ["Azure refuses it."]


def test_without_capacity_the_next_target_is_said_and_tried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = Ending(monkeypatch, fallback=[{"instance_type": "Standard_DS3_v2"}])
    refused = Attempt(1, "", "there", reason=RetryReason.NO_CAPACITY, says="no quota")
    world.answers = [lambda: NoCapacity(ERROR, refused)]
    world.step.state = replace(world.step.state, phase=StepPhase.QUEUED)
    world.controller.advance(world.step, ended(RetryReason.NO_CAPACITY))

    assert world.happened == ["build the next", "submit to 1", "release zenml-1", "fail: Azure refuses it."]
    assert world.step.state.phase is StepPhase.FAILED

    again = Ending(monkeypatch, fallback=[{"instance_type": "Standard_DS3_v2"}])
    again.step.state = StepState(StepPhase.SUBMITTING, (Attempt(0, ""),))
    again.answers = [lambda: JobAccepted(Attempt(1, "zenml-1", "there"))]
    caplog.clear()
    again.controller.advance(again.step, NoCapacity(ERROR, replace(refused, target=0)))
    assert again.happened == ["build the next", "submit to 1"]
    assert caplog.messages == ["No capacity for step `train`; trying fallback 1: no quota"]


def test_a_further_job_asks_the_server_whether_the_run_was_stopped(world: Ending) -> None:
    world.is_stopping = True
    with pytest.raises(RunStoppedException):
        world.controller.advance(world.step, ended(RetryReason.PREEMPTED))

    assert world.happened == []


def test_a_run_that_is_stopped_while_a_job_is_submitted_ends_that_job(world: Ending) -> None:
    def accepted() -> Event:
        world.executions.stop([world.step], "the run was stopped")
        return JobAccepted(Attempt(0, "zenml-1-2", "serverless compute"))

    world.answers = [accepted]
    world.controller.advance(world.step, ended(RetryReason.PREEMPTED))

    assert "cancel zenml-1-2" in world.happened
    assert world.step.state.stop_reason == "the run was stopped"


def test_a_step_that_was_stopped_before_its_job_was_accepted_ends_that_job_once(world: Ending) -> None:
    world.step.state = StepState(StepPhase.CANCELLING, (Attempt(0, "zenml-1"),))
    world.executions.stop([world.step], "the run was stopped")
    world.controller.advance(world.step, JobAccepted(Attempt(0, "zenml-1", "serverless compute")))

    assert [what for what in world.happened if what.startswith("cancel")] == ["cancel zenml-1"]


def test_a_step_that_is_given_up_is_cancelled_before_its_failure_is_published(world: Ending) -> None:
    world.controller.advance(world.step, GiveUp(ERROR))

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


# What is left.


def test_a_step_that_is_over_is_released_and_forgotten(world: Ending) -> None:
    world.step.guard = Guard.SIGNAL
    world.controller.clean_up(world.step)

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
        world.controller.clean_up(world.step)

    assert world.is_forgotten


def test_a_step_whose_job_is_to_be_cancelled_at_exit_is_released_and_remembered(world: Ending) -> None:
    world.step.guard = Guard.EXIT
    world.controller.clean_up(world.step)

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
