"""What the lifecycle sends to Azure: each operation goes to the workspace of the step, about its newest job."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from zenml.config import ResourceSettings
from zenml.exceptions import RunInterruptedException, RunStoppedException

from tests.unit.lifecycle.world import Clock, World
from zenml_azureml import tags
from zenml_azureml.azure.client import PlacedJob
from zenml_azureml.azure.compute.placement import ANYWHERE, Placement
from zenml_azureml.azure.jobs.handle import JobHandle
from zenml_azureml.azure.jobs.submitter import SubmittedJob
from zenml_azureml.exceptions import AzureMLError, NoCapacityError
from zenml_azureml.lifecycle.azure_jobs import AzureJobs
from zenml_azureml.lifecycle.cost_guard import CostGuard
from zenml_azureml.lifecycle.execution import Reservation
from zenml_azureml.lifecycle.recovery import Attempt, RetryReason
from zenml_azureml.lifecycle.state import (
    Event,
    GiveUp,
    JobAccepted,
    NoCapacity,
    StepPhase,
    StepState,
    SubmitFailed,
)
from zenml_azureml.lifecycle.submitter import Request, StepSubmitter
from zenml_azureml.run_store import job_names, step_runs
from zenml_azureml.run_store.server_retries import ServerUnavailableError
from zenml_azureml.secrets.known_values import masked, remember
from zenml_azureml.specs.job import JobOptions, JobSpec


class Workspace:
    """A workspace that notes what it is asked for; `answer` answers the submissions, or raises."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.options: Any = None
        self.answer: Any = None
        self.previous: Any = None

    def watch(self, job: str, options: Any) -> str:
        self.options = options
        return f"the handle of {job}"

    def cancel(self, job: str) -> bool:
        self.calls.append(("cancel", job))
        return job == "zenml-2"

    def how_to_cancel(self, job: str) -> str:
        return f"To cancel it: {job}"

    def drop_secret(self, job: str, recorded: str, *, in_background: bool) -> None:
        self.calls.append(("drop", job, recorded, in_background))

    def metrics(self, job: str) -> dict[str, float]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return {job: 1.0}

    def release(self, job: str) -> None:
        self.calls.append(("release", job))

    @contextmanager
    def placed(self, wanted: JobSpec, *rest: Any, **options: Any) -> Iterator[PlacedJob]:
        self.options = (rest, options)
        self.calls.append(("place", wanted.name))
        yield PlacedJob(wanted, ANYWHERE, options["patience"], options["check"])

    def with_secrets_delivered(self, job: PlacedJob) -> PlacedJob:
        self.calls.append(("deliver", job.request.name))
        return job

    def send(self, job: PlacedJob) -> SubmittedJob:
        self.calls.append(("send", job.request.name))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return cast("SubmittedJob", self.answer)

    def spec_from_job(self, job: str, own_tag: str, **options: Any) -> JobSpec:
        self.calls.append(("read", job, own_tag))
        self.options = options
        return cast("JobSpec", self.previous)


class Azure:
    """A step with two targets in two workspaces, and its second job."""

    def __init__(self, **settings: Any) -> None:
        fallback = [{"instance_type": "Standard_NC8as_T4_v3"}]
        self.world = World(Clock(), fallback=fallback, max_unreachable_minutes=7, **settings)
        self.step = self.world.step
        self.world.step_run.config.resource_settings = ResourceSettings()
        self.step.state = StepState(
            StepPhase.RUNNING,
            (Attempt(0, "zenml-1", reason=RetryReason.PREEMPTED), Attempt(0, "zenml-2", studio_url="https://studio/")),
        )
        self.first, self.second = Workspace(), Workspace()
        self.jobs = AzureJobs(cast("Any", SimpleNamespace(workspace=self._workspace)))
        costs = CostGuard(cast("Any", None), self.jobs, Clock())
        self.submitter = StepSubmitter(uuid4(), self.jobs, costs)

    def _workspace(self, settings: Any) -> Workspace:
        return self.second if settings.instance_type == "Standard_NC8as_T4_v3" else self.first


def test_each_target_has_the_workspace_of_its_settings() -> None:
    azure = Azure()

    assert cast("Any", azure.jobs.workspace(azure.step)) is azure.first
    assert cast("Any", azure.jobs.workspace(azure.step, 1)) is azure.second


@pytest.mark.parametrize("stream_logs", [True, False])
@pytest.mark.parametrize("quietly", [True, False])
def test_the_newest_job_is_watched_and_its_log_shown_if_that_is_wanted(
    stream_logs: bool, quietly: bool, caplog: pytest.LogCaptureFixture
) -> None:
    azure = Azure(stream_logs=stream_logs)

    assert cast("Any", azure.jobs.watch(azure.step, quietly=quietly)) == "the handle of zenml-2"
    options = azure.first.options
    assert options.tag == tags.of_run(azure.step.run_id)
    assert options.patience.total_seconds() == 7 * 60
    assert options.studio_url == "https://studio/"
    is_shown = stream_logs and not quietly
    assert (options.on_line is not None, options.on_progress is not None) == (is_shown, is_shown)
    if is_shown:
        with caplog.at_level(logging.INFO):
            options.on_line("epoch 1")
        assert caplog.messages == ["[train] epoch 1"]


def test_the_newest_job_is_cancelled() -> None:
    azure = Azure()

    assert azure.jobs.cancel(azure.step) is True
    assert azure.first.calls == [("cancel", "zenml-2")]
    assert azure.jobs.how_to_cancel(azure.step) == "To cancel it: zenml-2"
    azure.step.state = StepState(StepPhase.RUNNING, (Attempt(0, "zenml-1"),))
    assert azure.jobs.cancel(azure.step) is False


@pytest.mark.parametrize("in_background", [True, False])
def test_the_secret_that_is_recorded_is_deleted(in_background: bool) -> None:
    azure = Azure()
    azure.world.step_run.run_metadata[step_runs.VAULT_SECRET_KEY] = "https://vault/secrets/one"
    azure.jobs.drop_secret(azure.step, in_background=in_background)

    assert azure.first.calls == [("drop", "zenml-2", "https://vault/secrets/one", in_background)]


def test_metrics_are_read_if_the_settings_ask_for_them() -> None:
    azure = Azure(metrics_as_metadata=True)

    assert azure.jobs.metrics(azure.step) == {"zenml-2": 1.0}
    without = Azure(metrics_as_metadata=False)
    assert without.jobs.metrics(without.step) == {}


@pytest.mark.parametrize("status", ["Completed", "Failed"])
def test_a_job_without_outputs_has_written_nothing(status: str) -> None:
    azure = Azure()

    assert azure.jobs.written_data(azure.step, JobHandle("zenml-2", status)) == {}
    assert azure.first.calls == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AzureMLError("A summary.", azure_message="Azure's\nmessage"), "Azure's message"),
        (AzureMLError("A summary."), "A summary."),
        (ValueError("no number"), "ValueError('no number')"),
    ],
)
def test_metrics_that_cannot_be_read_are_said_and_fail_nothing(
    error: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    azure = Azure(metrics_as_metadata=True)
    azure.first.answer = error

    assert azure.jobs.metrics(azure.step) == {}
    assert caplog.messages == [f"Could not read the metrics of step `train`: {reason}"]


def test_every_job_of_a_step_is_released_once() -> None:
    azure = Azure()
    azure.step.state = replace(
        azure.step.state, attempts=(*azure.step.state.attempts, Attempt(1, "", reason=RetryReason.NO_CAPACITY))
    )
    azure.jobs.release(azure.step)
    assert sorted(azure.first.calls) == [("release", "zenml-1"), ("release", "zenml-2")]

    unsent = Azure()
    unsent.step.state = StepState(StepPhase.QUEUED, (Attempt(0, ""),))
    unsent.jobs.release(unsent.step)
    assert unsent.first.calls == [("release", job_names.job_name_of(unsent.step.id))]


# The submitter.


def spec(name: str = "zenml-3", **more: Any) -> JobSpec:
    return JobSpec(
        name, "train", "tests", "image", "true", environment_variables={}, tags={}, own_tag="zenml_step_run_id", **more
    )


def accepted(name: str, job_tags: dict[str, str] | None = None) -> SubmittedJob:
    placement = Placement(ANYWHERE.target, "Standard_DS3_v2", price_per_hour=0.5, nodes=2)
    return SubmittedJob(name, f"/jobs/{name}", "https://studio/3", placement, job_tags or {"zenml_step": "train"})


def builds(wanted: JobSpec) -> Any:
    """What builds a step's first job."""
    return SimpleNamespace(build=lambda _options, _checkpoints: wanted)


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(step_runs, "save_metadata", lambda _step, _component, metadata: found.append(metadata))
    return found


class Checks:
    """A check that notes when it is called."""

    def __init__(self, calls: list[tuple[Any, ...]]) -> None:
        self.calls = calls

    def __call__(self) -> None:
        self.calls.append(("check",))


def test_a_job_is_checked_for_sent_and_recorded_with_its_history_in_one_request(saved: list[dict[str, Any]]) -> None:
    azure = Azure()
    azure.first.answer = accepted("zenml-3")
    check = Checks(azure.first.calls)
    earlier: Any = SimpleNamespace(checkpoints="", look_again=lambda: azure.first.calls.append(("look again",)))
    azure.step.state = replace(azure.step.state, attempts=(Attempt(0, "zenml-2", reason=RetryReason.PREEMPTED),))
    event = azure.submitter.submit(azure.step, 0, Request(builds(spec()), check, earlier))

    assert azure.first.calls == [
        ("check",),
        ("place", "zenml-3"),
        ("deliver", "zenml-3"),
        ("look again",),
        ("send", "zenml-3"),
    ]
    assert azure.first.options[1]["patience"].total_seconds() == 7 * 60
    assert azure.first.options[1]["check"] is check
    assert isinstance(event, JobAccepted)
    assert event.attempt == Attempt(
        0,
        "zenml-3",
        place="serverless compute (Standard_DS3_v2)",
        size="Standard_DS3_v2",
        usd_per_hour=1.0,
        studio_url="https://studio/3",
    )
    assert [attempt.job for attempt in azure.step.state.attempts] == ["zenml-2", "zenml-3"]
    (metadata,) = saved
    assert metadata[step_runs.JOB_NAME_KEY] == "zenml-3"
    assert metadata["azureml_usd_per_hour_all_nodes"] == 1.0
    assert [attempt["job"] for attempt in metadata["azureml_attempts"]] == ["zenml-2", "zenml-3"]


@pytest.mark.parametrize(
    ("target", "tags_before", "tag"),
    [
        (0, {}, None),
        (1, {}, "1"),
        (0, {tags.TARGET: ""}, "0"),
        (0, {tags.TARGET: "1"}, "0"),
        (2, {tags.TARGET: "1"}, "2"),
    ],
)
def test_a_job_is_tagged_with_its_target_unless_it_is_the_first_one_at_the_first_target(
    target: int, tags_before: dict[str, str], tag: str | None
) -> None:
    like = replace(spec(), tags=tags_before)
    for source in (like, builds(like)):
        assert Request(source, lambda: None).build(JobOptions(), target).tags.get(tags.TARGET) == tag


@pytest.mark.parametrize("answer", [NoCapacityError("There is no quota."), AzureMLError("Azure refuses it.")])
def test_a_job_reserves_nothing_before_it_is_placed_and_after_it_is_refused(answer: AzureMLError) -> None:
    azure, reserved = Azure(), list[Reservation | None]()
    azure.first.answer = answer
    azure.step.reservation = Reservation("zenml-2", 5.0)  # of the job before

    def check() -> None:
        reserved.append(azure.step.reservation)
        azure.step.reservation = Reservation("zenml-3", 5.0)

    azure.submitter.submit(azure.step, 0, Request(builds(spec()), check))

    assert reserved == [None]
    assert azure.step.reservation is None


@pytest.mark.parametrize("phase", [StepPhase.SUBMITTING, StepPhase.CANCELLING])
@pytest.mark.parametrize(
    ("found", "event"),
    [
        (None, JobAccepted),
        (AzureMLError("Together they exceed the limit."), GiveUp),
        (RunStoppedException("The run was stopped."), JobAccepted),
        (RunInterruptedException("A signal."), JobAccepted),
    ],
)
def test_a_job_that_exceeds_a_limit_with_others_is_given_up_unless_it_is_cancelled_anyway(
    found: Exception | None,
    event: type[Event],
    phase: StepPhase,
    saved: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    azure, checked = Azure(), list[int]()
    azure.first.answer = accepted("zenml-3")
    azure.step.state = replace(azure.step.state, phase=phase)

    def check_again(_step: Any, target: int, _check: Any) -> None:
        checked.append(target)
        if found is not None:
            raise found

    monkeypatch.setattr(azure.submitter._costs, "check_again", check_again)
    answer = azure.submitter.submit(azure.step, 0, Request(builds(spec()), lambda: None))

    is_cancelled = phase is StepPhase.CANCELLING
    assert type(answer) is (JobAccepted if is_cancelled else event)
    assert checked == ([] if is_cancelled else [0])
    assert len(saved) == 1, "it exists, so it is recorded"


def test_a_secret_that_a_job_prints_is_masked_in_the_log_that_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    azure = Azure(stream_logs=True)
    azure.jobs.watch(azure.step)
    remember(["a-secret-of-the-job"])

    with caplog.at_level(logging.INFO):
        azure.first.options.on_line("signed in with a-secret-of-the-job")

    (shown,) = caplog.messages
    assert shown.startswith("[train] signed in with ")
    assert "a-secret-of-the-job" not in shown


def test_the_secrets_of_a_job_that_is_sent_are_masked_from_then_on(saved: list[dict[str, Any]]) -> None:
    azure, value = Azure(), f"pass-{uuid4().hex}"
    azure.first.answer = accepted("zenml-3")
    names = frozenset({"DB_PASSWORD"})
    secret = replace(
        spec(), environment_variables={"DB_PASSWORD": value}, secret_names=names, certain_secret_names=names
    )
    assert masked(value) == value
    azure.submitter.submit(azure.step, 0, Request(builds(secret), lambda: None))

    assert value not in masked(f"signed in with {value}")


def test_the_job_that_is_being_sent_is_the_one_that_a_stop_would_cancel(saved: list[dict[str, Any]]) -> None:
    azure = Azure()
    azure.first.answer = KeyboardInterrupt()
    azure.step.state = replace(azure.step.state, attempts=(Attempt(0, "zenml-2", reason=RetryReason.PREEMPTED),))
    with pytest.raises(KeyboardInterrupt):
        azure.submitter.submit(azure.step, 0, Request(builds(spec()), lambda: None))

    assert azure.step.job_name == "zenml-3"
    assert saved == []


def test_a_job_that_existed_already_is_at_the_target_of_its_own_tags(saved: list[dict[str, Any]]) -> None:
    azure = Azure()
    azure.first.answer = accepted("zenml-3", {"zenml_target": "1", "zenml_usd_per_hour_all_nodes": "4.5"})
    event = azure.submitter.submit(azure.step, 0, Request(builds(spec()), lambda: None))

    assert isinstance(event, JobAccepted)
    assert (event.attempt.target, event.attempt.usd_per_hour) == (1, 4.5)
    assert event.attempt.place == "serverless compute (Standard_NC8as_T4_v3)"
    assert saved[0][step_runs.VM_SIZE_KEY] == "Standard_NC8as_T4_v3"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NoCapacityError("There is no quota.", azure_message="NotEnoughQuota"), "NotEnoughQuota"),
        (NoCapacityError("There is no quota."), "There is no quota."),
    ],
)
def test_a_lack_of_capacity_is_an_attempt_without_a_job(error: NoCapacityError, says: str) -> None:
    azure = Azure(instance_type="Standard_DS3_v2")
    azure.first.answer = error
    event = azure.submitter.submit(azure.step, 0, Request(builds(spec()), lambda: None))

    where = "serverless compute (Standard_DS3_v2)"
    assert event == NoCapacity(error, Attempt(0, "", where, reason=RetryReason.NO_CAPACITY, says=says))


def test_a_refusal_is_an_event_and_an_unavailable_server_is_none() -> None:
    azure = Azure()
    refusal = azure.first.answer = AzureMLError("Azure refuses it.")
    request = Request(builds(spec()), lambda: None)
    expected = SubmitFailed(refusal, Attempt(0, "zenml-3", place="serverless compute"))
    assert azure.submitter.submit(azure.step, 0, request) == expected

    azure.first.answer = ServerUnavailableError("ZenML's server is unavailable.")
    with pytest.raises(ServerUnavailableError):
        azure.submitter.submit(azure.step, 0, request)


def test_a_secret_in_a_public_field_is_refused_before_anything_is_sent() -> None:
    azure = Azure()
    public = replace(
        spec(),
        environment_variables={"DB_PASSWORD": "hunter2-hunter2"},
        certain_secret_names=frozenset({"DB_PASSWORD"}),
        secret_names=frozenset({"DB_PASSWORD"}),
        command="login hunter2-hunter2",
    )
    event = azure.submitter.submit(azure.step, 0, Request(builds(public), lambda: None))

    assert isinstance(event, SubmitFailed)
    assert event.attempt == Attempt(0, "", place="serverless compute"), "it never had a job"
    assert azure.first.calls == []


def test_a_further_job_is_like_the_one_before_and_linked_to_it(caplog: pytest.LogCaptureFixture) -> None:
    azure = Azure()
    azure.step.state = replace(azure.step.state, attempts=(Attempt(0, "zenml-2", reason=RetryReason.PREEMPTED),))
    azure.first.previous = replace(
        spec("zenml-2"),
        tags={"zenml_usd_per_hour_all_nodes": "1", "mine": "kept", "zenml_attempt": "1"},
        secret_names=frozenset({"A"}),
        certain_secret_names=frozenset({"B"}),
    )
    check = Checks(azure.first.calls)
    request = azure.submitter.next_request(azure.step, check)

    assert azure.first.calls == [("check",), ("read", "zenml-2", "zenml_step_run_id")]
    assert azure.first.options["patience"].total_seconds() == 7 * 60
    assert azure.first.options["check"] is request.check is check
    assert caplog.messages == ["The Azure ML job `zenml-2` of the step `train` has ended: preempted."]
    built = request.build(JobOptions(secret_variables=frozenset({"C"})), 1)
    assert built.name == job_names.job_name_of(azure.step.id, 2)
    assert built.tags == {"mine": "kept", "zenml_attempt": "2", "zenml_previous_job": "zenml-2", "zenml_target": "1"}
    assert built.price_tag == "zenml_usd_per_hour_all_nodes"
    assert built.secret_names == {"A", "C"}
    assert built.certain_secret_names == {"B", "C"}
    assert built.command == "true"
