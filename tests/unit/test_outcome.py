"""The account of a failed job with several processes."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from zenml_azureml.azure.jobs.handle import JobHandle
from zenml_azureml.azure.jobs.run_history import RunDetails
from zenml_azureml.azure.logs.tail import LogEnd
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.outcome import (
    account_without_server,
    job_failure,
    overdue,
    publish,
    reason_of_failure,
    status_of,
)
from zenml_azureml.run_store import step_runs

KILLED = (
    "Execution failed. User process 'bash' exited with status code -9. "
    "Please check log file 'user_logs/std_log_process_0.txt' for error details."
)


def conclude(job: JobHandle, step_run: Any, because: str = "") -> AzureMLError | None:
    """Publish the end of a job, as the publisher does."""
    error = reason_of_failure(job, step_run, because)
    if error is not None:
        publish(job, step_run, error, because)
    return error


def what(log_end: LogEnd, error: str, reported: str = "") -> str:
    job = JobHandle("zenml-1", details=RunDetails("Failed", {}, error, "UserError"), log_end=log_end)
    return job_failure("The job", job, reported).summary


def test_rank_0_is_named_as_the_others_are_also_where_it_has_logged_nothing() -> None:
    killed = what(LogEnd((), "node 0 rank 0", is_blamed=True), KILLED)

    assert killed.startswith("The job failed on node 0 rank 0: it was killed (SIGKILL)")


def test_rank_0_is_named_with_what_it_has_reported() -> None:
    log_end = LogEnd(("ValueError: x",), "node 0 rank 0", is_blamed=True)

    assert what(log_end, "", "ValueError: x") == "The job failed on node 0 rank 0: ValueError: x."


def test_no_process_is_named_where_nobody_knows_which_one_failed() -> None:
    assert what(LogEnd(("epoch 7",), "node 0 rank 0"), "", "ValueError: x") == "The job failed: ValueError: x."


def test_what_rank_0_reports_is_not_told_where_another_one_failed() -> None:
    lines = ("Traceback (most recent call last):", "KeyError: 'y'")
    log_end = LogEnd(lines, "node 1 rank 3", is_first=False, is_blamed=True, exception="KeyError: 'y'")

    told = what(log_end, KILLED.replace("-9", "1"), "RuntimeError: the peer is gone")

    assert told == "The job failed on node 1 rank 3: its process ended with exit code 1: KeyError: 'y'."
    assert "the peer is gone" not in what(log_end, "", "RuntimeError: the peer is gone")


@pytest.mark.parametrize("because", ["another step of the run has failed", ""])
def test_a_cancel_from_here_adds_nothing_to_what_the_step_has_reported(
    because: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[str] = []
    monkeypatch.setattr(step_runs, "has_reported", lambda _step_run: True)
    monkeypatch.setattr(step_runs, "add_to_report", lambda _step_run, error: added.append(str(error)))
    job = JobHandle("job", status="Canceled")
    job.settle()
    step_run = cast("Any", SimpleNamespace(id=uuid4(), name="train", config=SimpleNamespace(command=None)))

    error = conclude(job, step_run, because=because)

    assert error is not None
    assert added == ([] if because else [str(error)])


BEGAN, LIMIT = datetime(2026, 1, 1, tzinfo=timezone.utc), timedelta(minutes=5)
STEP_RUN = cast("Any", SimpleNamespace(id=uuid4(), name="train", config=SimpleNamespace(command=None)))


def job_with(status: str, details: RunDetails | None = None, error: AzureMLError | None = None) -> JobHandle:
    job = JobHandle("job", status=status, details=details)
    job.settle(error)
    return job


@pytest.mark.parametrize(
    ("status", "settled", "unsettled"),
    [
        ("", "initializing", "initializing"),
        ("Queued", "provisioning", "provisioning"),
        ("Preparing", "provisioning", "provisioning"),
        ("Running", "running", "running"),
        ("Completed", "completed", "running"),
        ("Failed", "failed", "running"),
        ("Canceled", "stopped", "running"),
    ],
)
def test_an_end_is_that_of_the_step_when_the_log_has_been_read(status: str, settled: str, unsettled: str) -> None:
    held = JobHandle("job", status=status, held_until=BEGAN)
    assert status_of(JobHandle("job", status=status)).value == unsettled
    assert status_of(job_with(status)).value == settled
    assert status_of(job_with(status, error=AzureMLError("It cannot be watched."))).value == "failed"
    assert status_of(held).value == "running"
    held.settle()
    assert status_of(held).value == "failed"


def test_a_job_that_has_used_up_its_time_has_failed_and_one_that_has_ended_itself_was_stopped() -> None:
    late = RunDetails("Canceled", {}, started=BEGAN, ended=BEGAN + LIMIT, time_limit=LIMIT)
    assert status_of(job_with("Canceled", late)).value == "failed"
    assert status_of(job_with("Completed", late)).value == "completed"
    for status, found in (("Failed", "stopped"), ("Completed", "stopped"), ("Running", "running")):
        job = job_with(status)
        job.log_end = LogEnd(ended_itself="its run is stopped")
        assert status_of(job).value == found


@pytest.mark.parametrize(
    ("job", "account"),
    [
        (job_with("Failed", RunDetails("Failed", {}, error="no disk")), "The Azure ML job of step `train` failed"),
        (job_with("Canceled"), "The Azure ML job of step `train` was cancelled."),
        (job_with("Completed"), "The Azure ML job of step `train` has completed."),
        (job_with("Running"), "The Azure ML job of step `train` has the status Running."),
        (job_with(""), "The Azure ML job of step `train` has the status unknown."),
        (job_with("Completed", error=AzureMLError("It is gone.")), "It is gone."),
    ],
)
def test_the_account_of_an_end_needs_no_server(job: JobHandle, account: str) -> None:
    error = account_without_server(job, STEP_RUN, "", "1. preempted")

    assert str(error).startswith(account)
    assert str(error).endswith("\n1. preempted")


@pytest.mark.parametrize(
    ("details", "because", "account"),
    [
        (RunDetails("Canceled", {}), "", "was cancelled before it started."),
        (RunDetails("Canceled", {}, started=BEGAN), "", "was cancelled."),
        (None, "", "was cancelled."),
        (RunDetails("Canceled", {}), "the run was stopped", "was cancelled: the run was stopped."),
    ],
)
def test_a_cancelled_job_says_whether_it_had_started(details: RunDetails | None, because: str, account: str) -> None:
    error = account_without_server(job_with("Canceled", details), STEP_RUN, because)

    assert str(error).splitlines()[0] == f"The Azure ML job of step `train` {account}"


@pytest.mark.parametrize("has_reported", [True, False])
@pytest.mark.parametrize(("status", "published"), [("Failed", "failure"), ("Canceled", "stop")])
def test_an_end_is_published_unless_the_step_has_reported_its_own(
    has_reported: bool, status: str, published: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[tuple[str, str]] = []
    monkeypatch.setattr(step_runs, "has_reported", lambda _step: has_reported)
    monkeypatch.setattr(step_runs, "reported_failure", lambda _id: "")
    for name, what in (("publish_failure", "failure"), ("publish_stopped", "stop"), ("add_to_report", "addition")):
        monkeypatch.setattr(step_runs, name, lambda _step, error, what=what: happened.append((what, str(error))))
    error = conclude(job_with(status), STEP_RUN)

    assert happened == [("addition" if has_reported else published, str(error))]


@pytest.mark.parametrize("command", [None, ["true"]])
@pytest.mark.parametrize("has_reported", [True, False])
def test_a_completed_job_is_a_success_unless_its_function_never_reported_it(
    command: Any, has_reported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[str] = []
    monkeypatch.setattr(step_runs, "has_reported", lambda _step: has_reported)
    monkeypatch.setattr(step_runs, "publish_failure", lambda _step, error: published.append(error.summary))
    step_run = cast("Any", SimpleNamespace(id=uuid4(), name="train", config=SimpleNamespace(command=command)))
    error = conclude(job_with("Completed"), step_run)

    assert (error is None) is (command is not None or has_reported)
    assert published == ([] if error is None else [error.summary])


@pytest.mark.parametrize(
    ("status", "limit", "is_late"),
    [
        ("Queued", 60, True),
        ("Queued", 61, False),
        ("Queued", None, False),
        ("Preparing", 59, True),
        ("Running", 1, False),
    ],
)
def test_a_job_is_overdue_when_it_has_waited_for_its_limit(status: str, limit: int | None, is_late: bool) -> None:
    job = JobHandle("job", status=status, waited=timedelta(seconds=60))

    assert (overdue(job, None if limit is None else timedelta(seconds=limit)) is not None) is is_late
