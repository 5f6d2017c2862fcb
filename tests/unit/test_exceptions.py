"""The errors that users see: their parts, their kinds, and what becomes of the parts when an error changes."""

from __future__ import annotations

import copy
import pickle

import pytest

import zenml_azureml
from zenml_azureml import (
    AuthenticationError,
    AzureMLError,
    AzureMLSettingsError,
    CostLimitError,
    JobCancelledError,
    JobFailedError,
    NoCapacityError,
    QueueTimeoutError,
    ServerUnavailableError,
    exceptions,
)

KINDS = (
    AuthenticationError,
    AzureMLSettingsError,
    CostLimitError,
    JobCancelledError,
    JobFailedError,
    NoCapacityError,
    QueueTimeoutError,
    ServerUnavailableError,
)


def failure() -> JobFailedError:
    return JobFailedError(
        "The job failed: the node ran out of memory.",
        azure_message="exit code 137",
        log_tail=("epoch 1", "Killed"),
        log_source="node 1 rank 3",
        studio_url="https://ml.azure.com/runs/x",
        hint="Ask for more memory.",
        job_name="zenml-1",
        cause="out-of-memory",
    )


def test_the_text_has_a_line_with_the_cause_and_labelled_lines_after_it() -> None:
    assert str(failure()).splitlines() == [
        "The job failed: the node ran out of memory.",
        "Azure: exit code 137",
        "Log of node 1 rank 3:",
        "  epoch 1",
        "  Killed",
        "Studio: https://ml.azure.com/runs/x",
        "Next steps: Ask for more memory.",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_an_error_of_azure_ml_and_can_be_built_from_its_message(kind: type[AzureMLError]) -> None:
    error = kind("The reason.")

    assert isinstance(error, AzureMLError)
    assert (str(error), error.summary, error.hint) == ("The reason.", "The reason.", "")
    assert getattr(zenml_azureml, kind.__name__) is kind
    assert kind.__name__ in (exceptions.__doc__ or ""), "the tree shows every kind"


def test_an_error_with_a_history_and_one_of_another_kind_keep_all_parts() -> None:
    longer = failure().with_history("Attempts before it:\n  1. preempted")
    other = longer.as_kind(NoCapacityError)

    for error in (longer, other, copy.copy(longer)):
        assert error.log_tail == ("epoch 1", "Killed")
        assert (error.azure_message, error.hint) == ("exit code 137", "Ask for more memory.")
        assert str(error) == f"{failure()}\nAttempts before it:\n  1. preempted"
    assert (longer.job_name, longer.cause) == ("zenml-1", "out-of-memory")
    assert isinstance(longer, JobFailedError)
    assert isinstance(other, NoCapacityError)


def test_a_log_that_the_user_has_seen_is_in_the_report_alone() -> None:
    error = JobFailedError("It failed.", log_tail=("Killed",), hint="Ask for more memory.", log_shown=True)

    assert str(error) == "It failed.\nNext steps: Ask for more memory."
    assert error.report == "It failed.\nLog:\n  Killed\nNext steps: Ask for more memory."
    assert error.with_history("Before: none").report == f"{error.report}\nBefore: none"
    assert error.log_tail == ("Killed",)


def test_an_error_with_a_history_keeps_the_cause_that_shows_if_a_retry_may_help() -> None:
    error = AzureMLError("Azure cannot be reached.")
    error.__cause__ = ConnectionResetError()

    assert error.with_history("2 attempts were made:").__cause__ is error.__cause__


def test_an_error_survives_the_way_to_another_process() -> None:
    error = pickle.loads(pickle.dumps(failure()))

    assert str(error) == str(failure())
    assert (error.job_name, error.log_tail) == ("zenml-1", ("epoch 1", "Killed"))
