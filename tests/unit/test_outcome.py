"""The account of a failed job with several processes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from zenml_azureml.azure.jobs.handle import JobHandle
from zenml_azureml.azure.jobs.run_history import RunDetails
from zenml_azureml.azure.logs.tail import LogEnd
from zenml_azureml.lifecycle.outcome import conclude, job_failure
from zenml_azureml.run_store import step_runs

KILLED = (
    "Execution failed. User process 'bash' exited with status code -9. "
    "Please check log file 'user_logs/std_log_process_0.txt' for error details."
)


def what(log_end: LogEnd, error: str, reported: str = "") -> str:
    return job_failure("The job", RunDetails("Failed", {}, error, "UserError"), log_end, reported, "").summary


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
