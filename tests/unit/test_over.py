"""Which runs are over for the jobs of their unfinished steps: a table of every status, mode and kind of run."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zenml.enums import ExecutionMode, ExecutionStatus

from zenml_azureml.job_admin.over import RunFacts, why_run_is_over, why_step_run_is_over

ENDED_BY_OTHERS = {
    ExecutionStatus.RETRIED,
    ExecutionStatus.STOPPING,
    ExecutionStatus.STOPPED,
    ExecutionStatus.CANCELLING,
    ExecutionStatus.CANCELLED,
}
modes = st.sampled_from(ExecutionMode)


@pytest.mark.parametrize("status", ExecutionStatus)
def test_a_step_run_is_over_if_another_replaced_it_or_it_is_stopped(status: ExecutionStatus) -> None:
    assert bool(why_step_run_is_over(status)) is (status in ENDED_BY_OTHERS)


@given(st.sampled_from(ExecutionStatus), st.booleans(), modes, st.booleans())
def test_every_run_that_is_stopped_is_over(
    status: ExecutionStatus, dynamic: bool, mode: ExecutionMode, has_failed_step: bool
) -> None:
    assert why_run_is_over(RunFacts(status, "the run was stopped", dynamic, mode, has_failed_step))


@given(st.sampled_from(ExecutionStatus), modes, st.booleans())
def test_a_dynamic_run_is_over_when_its_runner_has_ended(
    status: ExecutionStatus, mode: ExecutionMode, has_failed_step: bool
) -> None:
    run = RunFacts(status, "", dynamic=True, mode=mode, has_failed_step=has_failed_step)

    assert bool(why_run_is_over(run)) is status.is_finished


@pytest.mark.parametrize("status", ExecutionStatus)
@pytest.mark.parametrize("mode", ExecutionMode)
@pytest.mark.parametrize("has_failed_step", [True, False])
def test_a_static_run_that_failed_by_one_of_its_steps_is_over_in_one_mode_only(
    status: ExecutionStatus, mode: ExecutionMode, has_failed_step: bool
) -> None:
    run = RunFacts(status, "", dynamic=False, mode=mode, has_failed_step=has_failed_step)

    failed = status is ExecutionStatus.FAILED
    assert bool(why_run_is_over(run)) is (failed and (mode is ExecutionMode.FAIL_FAST or not has_failed_step))


def test_a_step_run_that_started_after_its_run_had_failed_is_not_over() -> None:
    """ZenML accepts the step run of a restarted orchestrator in a run that its client has failed."""
    failed = datetime(2026, 11, 29, 12)
    run = RunFacts(
        ExecutionStatus.FAILED,
        stopped="",
        dynamic=False,
        mode=ExecutionMode.CONTINUE_ON_FAILURE,
        has_failed_step=False,
        ended_at=failed,
    )

    assert why_run_is_over(run, failed - timedelta(minutes=1))
    assert not why_run_is_over(run, failed + timedelta(seconds=1))
