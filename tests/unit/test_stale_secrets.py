"""Which secrets of key vaults no job needs any more."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from zenml_azureml import tags
from zenml_azureml.job_admin.orphans import NoStepRun, StepRunFacts
from zenml_azureml.job_admin.stale_secrets import SUBMIT_TIME, SecretFacts, is_left

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
JUST_NOW, LONG_AGO = NOW - timedelta(minutes=1), NOW - timedelta(days=1)
RUNNING = StepRunFacts("running", finished=False, successful=False, ended_at=None)
FINISHED = StepRunFacts("completed", finished=True, successful=True, ended_at=LONG_AGO)


def left(
    step_run: StepRunFacts | NoStepRun = RUNNING,
    *,
    created: datetime | None = JUST_NOW,
    job_ended: bool | None = None,
    server: str | None = "ours",
    run_stopped: bool = False,
) -> bool:
    secret = SecretFacts({tags.SERVER_ID: "ours"}, created, job_ended)
    return is_left(secret, server, step_run, NOW, run_stopped=run_stopped)


@pytest.mark.parametrize("job_ended", [True, False])
@pytest.mark.parametrize("run_stopped", [True, False])
@pytest.mark.parametrize("server", ["ours", "another", None])
@pytest.mark.parametrize("step_run", [RUNNING, FINISHED, NoStepRun.GONE])
def test_as_long_as_there_is_a_job_only_its_end_counts(
    job_ended: bool, run_stopped: bool, server: str | None, step_run: StepRunFacts | NoStepRun
) -> None:
    found = left(step_run, created=LONG_AGO, job_ended=job_ended, server=server, run_stopped=run_stopped)

    assert found is job_ended


@pytest.mark.parametrize("server", ["ours", "another", None])
def test_a_run_that_this_process_has_stopped_gets_no_further_job(server: str | None) -> None:
    assert left(server=server, run_stopped=True)


@pytest.mark.parametrize("server", ["another", None])
@pytest.mark.parametrize("step_run", [FINISHED, NoStepRun.GONE, NoStepRun.NOT_TOLD])
def test_nothing_is_known_of_the_secrets_of_another_server(
    server: str | None, step_run: StepRunFacts | NoStepRun
) -> None:
    assert not left(step_run, created=LONG_AGO, server=server)


@pytest.mark.parametrize(
    ("step_run", "over"), [(RUNNING, False), (FINISHED, True), (NoStepRun.GONE, True), (NoStepRun.NOT_TOLD, False)]
)
def test_a_step_that_is_over_gets_no_further_job(step_run: StepRunFacts | NoStepRun, over: bool) -> None:
    assert left(step_run) is over
    assert left(step_run, created=None) is over


@pytest.mark.parametrize("step_run", [RUNNING, NoStepRun.NOT_TOLD])
def test_a_secret_without_a_job_is_left_after_the_longest_time_of_a_submission(
    step_run: StepRunFacts | NoStepRun,
) -> None:
    assert not left(step_run, created=NOW - SUBMIT_TIME)
    assert left(step_run, created=NOW - SUBMIT_TIME - timedelta(microseconds=1))
