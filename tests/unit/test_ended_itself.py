"""A job that has ended itself is stopped, with the reason: no failure, no eviction, and not submitted again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from zenml.enums import ExecutionStatus

from zenml_azureml.azure.failures.classifier import FailedJob, cause_of
from zenml_azureml.azure.jobs.handle import JobHandle
from zenml_azureml.azure.jobs.run_history import RunDetails
from zenml_azureml.azure.logs.tail import LogEnd, LogTail
from zenml_azureml.contract.own_end import EXIT_CODES, line_for, reason_in
from zenml_azureml.lifecycle.observation import reason_of_end
from zenml_azureml.lifecycle.outcome import account_without_server, ended_itself, job_failure, status_of
from zenml_azureml.lifecycle.recovery import Attempt, RetryReason

REASON = "its run is stopped"
ENDED = (
    "Execution failed. User process 'python' exited with status code {}. Please check log file 'user_logs/std_log.txt'"
)
PREEMPTED = "The job was preempted: low priority node taken away."


def job(status: str, message: str = "", reason: str = "", *, is_named: bool = True) -> JobHandle:
    found = JobHandle(
        "zenml-1",
        status=status,
        details=RunDetails(status, {}, error=message),
        log_end=LogEnd(("epoch 3",), ended_itself=reason, is_named=is_named),
    )
    found.settle()
    return found


def test_the_line_says_the_reason_wherever_it_stands() -> None:
    assert reason_in(line_for(REASON)) == REASON
    assert reason_in(f"50 %{line_for(REASON)}  ") == REASON
    assert reason_in("zenml-azureml: rank 1 of 2, on node 0, failed at 2026") == ""
    assert reason_in("The step is over") == ""


def test_a_log_keeps_the_reason_however_much_follows() -> None:
    tail = LogTail()
    tail.add(line_for(REASON))
    for number in range(500):
        tail.add(f"saving {number}")

    assert tail.ended_itself == REASON
    assert line_for(REASON) not in tail.lines


@pytest.mark.parametrize(
    ("ended", "itself"),
    [
        (job("Failed", ENDED.format(-50), REASON), True),
        (job("Failed", ENDED.format(178), REASON), True),
        (job("Failed", ENDED.format(178)), True),  # its log was cut off
        (job("Failed", ENDED.format(-50)), True),
        (job("Failed", ENDED.format(143), REASON), True),  # after its own handler for SIGTERM
        (job("Failed", ENDED.format(1), REASON), True),
        (job("Completed", "", REASON), True),  # by a handler that ends well
        (job("Failed", PREEMPTED, REASON), True),
        (job("Failed", ENDED.format(178), is_named=False), False),
        (job("Failed", ENDED.format(137)), False),
        (job("Failed", ENDED.format(50)), False),
        (job("Failed", PREEMPTED), False),
        (job("Completed"), False),
        (job("Canceled", "", REASON), False),
        (job("Running", "", REASON), False),
    ],
)
def test_what_counts_as_an_end_of_its_own(ended: JobHandle, itself: bool) -> None:
    assert ended_itself(ended) is itself
    if itself:
        assert status_of(ended) is ExecutionStatus.STOPPED
        assert reason_of_end(ended, Attempt(0, "zenml-1")) is None


def test_an_eviction_is_one_still() -> None:
    assert reason_of_end(job("Failed", PREEMPTED), Attempt(0, "zenml-1")) is RetryReason.PREEMPTED


@pytest.mark.parametrize("exit_code", [*EXIT_CODES, 137, 143, 1])
def test_the_cause_is_the_reason_and_no_lack_of_memory(exit_code: int) -> None:
    found = FailedJob(ENDED.format(exit_code), "UserError", ("MemoryError",), ended_itself=REASON)

    cause = cause_of(found)

    assert cause.name == "ended-itself"
    assert cause.what == f"it ended itself, because its step was over on the ZenML server: {REASON}"


def test_without_the_line_the_exit_code_is_the_cause() -> None:
    assert cause_of(FailedJob(ENDED.format(178), "UserError")).what.endswith("its step was over on the ZenML server")


def test_an_account_says_stopped_and_blames_no_rank() -> None:
    end = LogEnd(("epoch 3",), "rank 0", is_blamed=True, ended_itself=REASON)

    account = job_failure("The Azure ML job of step `train`", JobHandle("zenml-1", log_end=end))

    assert account.summary == (
        "The Azure ML job of step `train` was stopped: it ended itself, because its step was over on the ZenML server: "
        f"{REASON}."
    )


def test_without_the_server_too_a_job_that_has_ended_itself_is_said_to_have_done_so() -> None:
    step_run: Any = SimpleNamespace(name="train", config=SimpleNamespace(command=None))
    account = account_without_server(job("Failed", ENDED.format(178), REASON), step_run)

    assert account.summary.startswith("The Azure ML job of step `train` was stopped: it ended itself")
    assert account.summary.endswith(f"{REASON}.")
