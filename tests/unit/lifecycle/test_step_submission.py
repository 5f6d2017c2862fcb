"""The submission of a step: what is sent and published, and what becomes of a job that no caller would wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ServiceRequestError
from zenml.exceptions import RunInterruptedException, RunStoppedException

from tests.unit.lifecycle.world import Clock, World
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.canceller import SUBMIT_LAG
from zenml_azureml.lifecycle.execution import INTERRUPTED, Guard
from zenml_azureml.lifecycle.recovery import Attempt, RetryReason
from zenml_azureml.lifecycle.state import Event, JobAccepted, NoCapacity, StepPhase, StepState, SubmitFailed
from zenml_azureml.lifecycle.step_submission import StepSubmission
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS, StopSignals
from zenml_azureml.lifecycle.submitter import Request
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import ServerUnavailableError, ask
from zenml_azureml.specs.job import JobOptions, JobSpec

Answer = Callable[[], Event]


def refused(cause: Exception) -> AzureMLError:
    error = AzureMLError("Azure refuses the job.")
    error.__cause__ = cause
    return error


class Submission(World):
    """A step without a job, and what Azure answers to each submission; each answer may raise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Answer, **settings: Any) -> None:
        super().__init__(Clock(), **settings)
        self.answers = list(answers) or [self.accepted]
        self.requests: list[Request] = []
        self.happened = self.jobs.happened
        self.step.state = StepState(StepPhase.QUEUED, (Attempt(0, "zenml-1"),))
        self.earlier: Any = None
        self.ends_earlier: Callable[[], None] = lambda: None
        happened = self.happened.append
        submitter = cast("Any", SimpleNamespace(submit=self._submit))
        earlier_jobs = cast("Any", SimpleNamespace(end=self._end_earlier, note_end=lambda _: happened("note the end")))
        supervisor = cast("Any", SimpleNamespace(watch=self._watch))
        self.executor.submitter, self.executor.earlier_jobs = submitter, earlier_jobs
        self.submission = StepSubmission(self.executor, supervisor)
        watch = self.jobs.watch

        def noted(step: Any, *, quietly: bool = False) -> Any:
            if not quietly:
                happened("watch")
            return watch(step, quietly=quietly)

        monkeypatch.setattr(self.jobs, "watch", noted)
        monkeypatch.setattr(step_runs, "is_stopping", lambda _: False)
        monkeypatch.setattr(step_runs, "publish_failure", lambda _step, error: happened(f"fail: {error.summary}"))
        monkeypatch.setattr(step_runs, "publish_stopped", lambda *_: happened("publish the stop"))

    def accepted(self) -> Event:
        return JobAccepted(Attempt(0, "zenml-1", place="serverless compute"))

    def submit(self, *, is_dynamic: bool = False) -> None:
        builder = cast("Any", SimpleNamespace(build=self._build))
        self.submission.submit(self.step, builder, is_dynamic=is_dynamic)

    @property
    def is_forgotten(self) -> bool:
        return self.executions.of(self.step_run) is not self.step

    def _build(self, _options: JobOptions, checkpoints: str) -> JobSpec:
        return JobSpec("zenml-1", checkpoints, "tests", "image", "true", environment_variables={}, tags={}, own_tag="")

    def _submit(self, _step: Any, target: int, request: Request) -> Event:
        self.happened.append(f"submit to {target}")
        assert self.step.state.phase in (StepPhase.SUBMITTING, StepPhase.CANCELLING)
        self.requests.append(request)
        return self.answers.pop(0)()

    def _end_earlier(self, _step: Any, check: Callable[[], None]) -> Any:
        self.happened.append("end earlier jobs")
        self.ends_earlier()
        check()
        return self.earlier

    def _watch(self) -> None:
        self.happened.append(f"guard: {self.step.guard.name}")


@pytest.fixture
def signals() -> Iterator[StopSignals]:
    before = STOP_SIGNALS.number
    yield STOP_SIGNALS
    STOP_SIGNALS.number = before


@pytest.mark.parametrize(("is_dynamic", "guard"), [(False, Guard.SIGNAL), (True, Guard.RUN)])
def test_a_step_is_guarded_before_its_job_is_sent_and_watched_afterwards(
    is_dynamic: bool, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Submission(monkeypatch)
    world.submit(is_dynamic=is_dynamic)

    assert world.happened == ["end earlier jobs", f"guard: {guard.name}", "submit to 0", "watch"]
    assert world.step.state.phase is StepPhase.QUEUED
    assert world.step.guard is guard
    assert not world.is_forgotten


def test_the_first_job_gets_the_checkpoints_of_earlier_ones_and_the_search_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = Submission(monkeypatch)
    looked: list[str] = []
    world.earlier = SimpleNamespace(checkpoints="azureml://checkpoints", look_again=lambda: looked.append("again"))
    world.submit()

    (request,) = world.requests
    options = JobOptions()
    assert request.build(options, 0).display_name == "azureml://checkpoints"
    assert request.build(options, 0).tags == {}
    assert request.build(options, 2).tags == {"zenml_target": "2"}
    assert looked == []
    assert request.earlier is world.earlier


def test_a_step_that_has_moved_has_a_job_already_and_gets_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Submission(monkeypatch)
    attempts = (Attempt(0, "zenml-1", reason=RetryReason.PREEMPTED), Attempt(0, "zenml-1-2"))
    world.step.state = StepState(StepPhase.QUEUED, attempts)
    world.submit()

    assert world.happened == ["end earlier jobs", "guard: SIGNAL", "watch"]


def test_without_capacity_the_next_target_gets_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    fallback = [{"instance_type": "Standard_DS3_v2"}]
    world = Submission(monkeypatch, fallback=fallback)
    none = NoCapacity(AzureMLError("No quota."), Attempt(0, "", "serverless compute", reason=RetryReason.NO_CAPACITY))
    world.answers = [lambda: none, world.accepted]
    world.submit()

    assert [what for what in world.happened if what.startswith("submit")] == ["submit to 0", "submit to 1"]
    assert world.requests[0] is world.requests[1]
    assert world.step.state.phase is StepPhase.QUEUED


@pytest.mark.parametrize(
    ("error", "is_noted"),
    [
        (refused(HttpResponseError("Bad Request")), True),
        (refused(ServiceRequestError("Connection reset")), False),
    ],
)
def test_a_refusal_is_published_once_and_raised_and_an_open_question_is_remembered_as_one(
    error: AzureMLError, is_noted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_noted:
        error.__cause__.status_code = 400  # type: ignore[union-attr]
    world = Submission(monkeypatch, lambda: SubmitFailed(error))
    with pytest.raises(AzureMLError) as raised:
        world.submit()

    assert raised.value is error
    assert raised.value.__cause__ is error.__cause__
    assert world.happened[2:] == [
        "submit to 0",
        "fail: Azure refuses the job.",
        *(["note the end"] if is_noted else []),
    ]
    assert world.step.guard is Guard.NONE
    assert world.step.state.phase is StepPhase.FAILED


@pytest.mark.parametrize("is_dynamic", [False, True])
def test_a_signal_during_the_submission_cancels_the_job_of_a_static_step_at_once(
    is_dynamic: bool, signals: StopSignals, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Submission(monkeypatch)

    def signalled() -> Event:
        signals.number += 1
        return world.accepted()

    world.answers = [signalled]
    if is_dynamic:  # its supervisor cancels the job
        world.submit(is_dynamic=True)
        assert "cancel zenml-1" not in world.happened
        return
    with pytest.raises(RunInterruptedException):
        world.submit()
    assert world.happened[2:] == ["submit to 0", "watch", "cancel zenml-1"]
    assert world.executions.stopped_runs == {world.step.run_id: INTERRUPTED}
    assert world.is_forgotten


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), SystemExit(143)])
def test_an_interruption_whose_job_may_exist_looks_for_it_and_cancels_it(
    interruption: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> Event:
        raise interruption

    world = Submission(monkeypatch, interrupted)
    appears = [False, False, True]
    cancel = world.jobs.cancel
    monkeypatch.setattr(world.jobs, "cancel", lambda step: appears.pop(0) and cancel(step))
    with pytest.raises(type(interruption)):
        world.submit()

    assert world.happened[2:] == ["submit to 0", "cancel zenml-1"]
    assert 0 < world.time.now <= SUBMIT_LAG.total_seconds()
    assert world.executions.why_stopped(world.step) == INTERRUPTED
    assert world.step.guard is Guard.NONE
    assert world.is_forgotten


def test_a_job_that_the_server_does_not_know_of_is_cancelled_and_the_command_that_repairs_it_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away() -> Event:
        raise ServerUnavailableError("ZenML's server was unavailable for 5 minutes (saving the job): refused")

    world = Submission(monkeypatch, away)
    with pytest.raises(ServerUnavailableError) as raised:
        world.submit()

    assert "\n  zenml-azureml jobs wait zenml-1" in str(raised.value)
    assert raised.value.explained
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert "cancel zenml-1" in world.happened
    assert world.is_forgotten
    assert not [what for what in world.happened if what.startswith(("fail", "publish"))]


def test_an_end_that_could_not_be_published_needs_no_cancel_since_there_is_no_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = Submission(monkeypatch, lambda: SubmitFailed(refused(HttpResponseError("Bad Request"))))

    def away(*_arguments: Any) -> None:
        raise ServerUnavailableError("ZenML's server was unavailable for 5 minutes (saving the end): refused")

    monkeypatch.setattr(step_runs, "publish_failure", away)
    with pytest.raises(ServerUnavailableError, match="zenml-azureml jobs wait"):
        world.submit()

    assert "cancel zenml-1" not in world.happened
    assert world.step.guard is Guard.NONE


@pytest.mark.parametrize("is_dynamic", [False, True])
def test_nothing_is_submitted_of_a_run_that_this_process_has_stopped(
    is_dynamic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Submission(monkeypatch)
    world.executions.stop([world.step], "the run was stopped")
    with pytest.raises(RunStoppedException, match="the run was stopped"):
        world.submit(is_dynamic=is_dynamic)

    assert world.happened == ["publish the stop"]


def test_nothing_is_submitted_of_a_run_that_was_stopped_on_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Submission(monkeypatch)
    monkeypatch.setattr(world.checks._stopping, "answer", lambda run_id: run_id == world.step.run_id)
    with pytest.raises(RunStoppedException, match="was stopped"):
        world.submit()

    assert world.happened == ["end earlier jobs", "publish the stop"]


def test_a_stop_that_comes_while_earlier_jobs_are_ended_submits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Submission(monkeypatch)

    def stopped() -> None:
        raise RunStoppedException("The run was stopped.")

    world.ends_earlier = stopped
    with pytest.raises(RunStoppedException):
        world.submit()

    assert world.happened == ["end earlier jobs", "publish the stop"]


def test_an_earlier_job_that_does_not_end_fails_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Submission(monkeypatch)

    def keeps_running() -> None:
        raise AzureMLError("The job before has not ended.")

    world.ends_earlier = keeps_running
    with pytest.raises(AzureMLError, match="has not ended"):
        world.submit()

    assert world.happened == ["end earlier jobs", "fail: The job before has not ended."]


def test_ctrl_c_while_earlier_jobs_are_ended_allows_no_further_job_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Submission(monkeypatch)

    def interrupted() -> None:
        raise KeyboardInterrupt

    world.ends_earlier = interrupted
    with pytest.raises(KeyboardInterrupt):
        world.submit()

    assert world.executions.stopped_runs == {world.step.run_id: INTERRUPTED}
    assert world.happened == ["end earlier jobs"]


def test_a_server_that_is_unavailable_before_the_submission_leaves_the_step_unpublished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = Submission(monkeypatch)

    def away() -> None:
        raise ServerUnavailableError("ZenML's server was unavailable.")

    world.ends_earlier = away
    with pytest.raises(ServerUnavailableError):
        world.submit()

    assert world.happened == ["end earlier jobs"]


def test_an_error_that_zenml_would_take_for_a_missing_method_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Event:
        raise NotImplementedError("no such thing")

    world = Submission(monkeypatch, missing)
    with pytest.raises(AzureMLError, match="no such thing"):
        world.submit()


def test_a_step_that_was_stopped_before_it_was_sent_stays_so_and_its_job_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = Submission(monkeypatch)
    world.step.state = StepState(StepPhase.CANCELLING, (Attempt(0, "zenml-1"),))
    world.submit()

    assert "cancel zenml-1" in world.happened


def test_the_server_that_hangs_is_not_waited_for_longer_than_the_step_may(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Submission(monkeypatch, max_unreachable_minutes=1)

    def refuses() -> Event:
        def request() -> Event:
            raise requests.ConnectionError("Connection refused")

        return ask("saving the job", request)

    world.answers = [refuses]
    with pytest.raises(ServerUnavailableError, match="for 1 minutes"):
        world.submit()
    assert "cancel zenml-1" in world.happened
