"""When a job of an earlier step run may still appear, and when one is cancelled: over all that can be known of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.azure.jobs.status import FINALIZING
from zenml_azureml.lifecycle.canceller import CANCEL_AGAIN, FINISHING
from zenml_azureml.lifecycle.predecessors import Predecessor, superseded_for

predecessors = st.builds(
    lambda jobs, reported, by_code: Predecessor(
        uuid4(), cast("Any", None), jobs, until=0.0, reported=reported or by_code, reported_by_code=by_code
    ),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
)
unfinished = st.sampled_from(["NotStarted", "Queued", "Running", "CancelRequested", "NotResponding", "SomethingNew"])
ended = st.sampled_from(["Completed", "Failed", "Canceled"])
seconds = st.floats(0, 3600)


@given(predecessors, st.none() | ended, st.booleans())
def test_no_job_appears_after_one_that_ended_for_good(
    predecessor: Predecessor, status: str | None, cancelled: bool
) -> None:
    predecessor.status, predecessor.was_cancelled = status, cancelled
    expected = predecessor.may_have_another

    if cancelled or predecessor.reported_by_code or status == "Completed":
        assert not expected
    elif status is None:
        assert expected  # its process may have been killed at the PUT
    else:
        assert expected is (not predecessor.reported)  # the next job of a step that was being moved


@given(predecessors, unfinished, seconds)
def test_a_job_is_cancelled_at_once_unless_its_step_has_reported_its_end(
    predecessor: Predecessor, status: str, waited: float
) -> None:
    predecessor.status = status

    assert predecessor.is_cancel_due(waited) is (not predecessor.reported or waited >= FINISHING.total_seconds())


@given(predecessors, unfinished, seconds, seconds)
def test_a_cancel_without_effect_is_requested_again(
    predecessor: Predecessor, status: str, asked_at: float, now: float
) -> None:
    predecessor.status, predecessor.asked_at = status, asked_at

    assert predecessor.is_cancel_due(now) is (now - asked_at >= CANCEL_AGAIN.total_seconds())


@given(predecessors, seconds, st.none() | seconds)
def test_a_job_that_is_finalizing_is_left_to_end_by_itself(
    predecessor: Predecessor, now: float, asked_at: float | None
) -> None:
    predecessor.status, predecessor.asked_at = FINALIZING, asked_at

    assert not predecessor.is_cancel_due(now)


def test_the_age_of_a_step_run_is_that_of_the_one_that_followed_it() -> None:
    now = datetime(2026, 1, 1)

    assert superseded_for(now, now - timedelta(seconds=30)) == timedelta(seconds=30)
    assert superseded_for(now, now) == timedelta()
    assert superseded_for(now, now + timedelta(seconds=30)) == timedelta()  # clocks of two machines
    assert superseded_for(None, now) == superseded_for(now, None) == timedelta()
