"""How a step that is waited for, or polled, comes to its end: what is cancelled and published."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from zenml.enums import ExecutionStatus
from zenml.exceptions import RunInterruptedException, RunStoppedException

from tests.unit.lifecycle.ending import AT_ITS_LIMIT, AWAY, ERROR, Ending, preempted
from zenml_azureml.azure.jobs.run_history import RunDetails
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.execution import INTERRUPTED, Guard
from zenml_azureml.lifecycle.outcome import StoppedStepError
from zenml_azureml.lifecycle.state import (
    StepPhase,
    StopRequested,
    SubmitFailed,
)
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS, StopSignals
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import ServerUnavailableError, ask


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
    world.executor.apply(world.step, StopRequested("the run was stopped"))
    assert world.status() is ExecutionStatus.RUNNING, "the job may still end"
    world.step.is_refused = True

    assert world.status() is ExecutionStatus.STOPPED
    assert world.happened == ["publish the stop"]
    assert "could not be cancelled" in str(world.step.state.error)


def test_a_job_that_azure_did_not_cancel_keeps_the_step_of_a_run_that_goes_on_running(world: Ending) -> None:
    world.executor.apply(world.step, StopRequested("another step has failed"))
    world.step.is_refused = True

    assert world.status() is ExecutionStatus.RUNNING
    assert world.happened == []


def test_a_polled_step_that_is_stopped_while_it_is_submitted_again_is_published_as_stopped(world: Ending) -> None:
    world.is_stopping = True
    preempted(world)

    assert world.status() is ExecutionStatus.STOPPED
    assert "publish the stop" in world.happened
    assert not [what for what in world.happened if what.startswith("submit")]
