"""Which jobs are orphans: over all that can be known of a job and its step run."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zenml.enums import ExecutionStatus

from zenml_azureml.azure.jobs.status import phase_of
from zenml_azureml.job_admin import server
from zenml_azureml.job_admin.orphans import LEAVING_TIME, JobFacts, NoStepRun, StepRunFacts, judge

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
SERVER = "this server"

jobs = st.builds(
    lambda status, server_id: JobFacts(status, phase_of(status).ended, server_id),
    st.sampled_from(["Queued", "Running", "Finalizing", "CancelRequested", "Completed", "Failed", "Canceled", "New"]),
    st.sampled_from([SERVER, "another server", ""]),
)
step_runs = st.one_of(
    st.sampled_from(NoStepRun),
    st.builds(
        lambda status, ago, over: StepRunFacts(
            status.value,
            status.is_finished,
            status.is_successful,
            NOW - ago if status.is_finished and ago else None,
            "" if status.is_finished else over,
        ),
        st.sampled_from(ExecutionStatus),
        st.one_of(st.none(), st.timedeltas(timedelta(seconds=-60), timedelta(days=1))),
        st.sampled_from(["", "the run was stopped"]),
    ),
)
server_ids = st.sampled_from([SERVER, None])


@given(jobs, server_ids, step_runs)
def test_an_orphan_is_unfinished_and_this_servers_and_its_step_run_is_finished_over_or_gone(
    job: JobFacts, server_id: str | None, step_run: StepRunFacts | NoStepRun
) -> None:
    judgement = judge(job, server_id, step_run, NOW)

    if judgement.orphan:
        assert not job.ended
        assert job.server_id == server_id
        assert step_run is NoStepRun.GONE or (
            isinstance(step_run, StepRunFacts) and (step_run.finished or step_run.over)
        )


@given(jobs, server_ids, step_runs)
def test_what_cannot_be_told_is_never_an_orphan_and_says_why(
    job: JobFacts, server_id: str | None, step_run: StepRunFacts | NoStepRun
) -> None:
    judgement = judge(job, server_id, step_run, NOW)

    known = server_id is not None and job.server_id == server_id and step_run is not NoStepRun.NOT_TOLD
    assert (judgement.orphan is None) == (not job.ended and not known)
    if judgement.orphan is not False:
        assert judgement.reason


@given(jobs.filter(lambda job: job.server_id == SERVER and not job.ended), step_runs)
def test_a_job_of_this_server_that_nobody_needs_is_an_orphan_unless_it_is_about_to_end(
    job: JobFacts, step_run: StepRunFacts | NoStepRun
) -> None:
    judgement = judge(job, SERVER, step_run, NOW)

    if isinstance(step_run, StepRunFacts):
        just_now = step_run.successful and step_run.ended_at is not None and NOW - step_run.ended_at < LEAVING_TIME
        needed = not (step_run.finished or step_run.over) or just_now
    else:
        needed = step_run is NoStepRun.NOT_TOLD
    assert judgement.orphan is True or needed or job.status == "Finalizing"


@pytest.mark.parametrize(("ago", "orphan"), [(timedelta(seconds=1), False), (LEAVING_TIME, True)])
def test_a_job_may_outlive_its_success_for_a_moment(ago: timedelta, orphan: bool) -> None:
    running = JobFacts("Running", ended=False, server_id=SERVER)

    for status, expected in (("completed", orphan), ("failed", True)):
        step_run = StepRunFacts(status, finished=True, successful=status == "completed", ended_at=NOW - ago)
        assert judge(running, SERVER, step_run, NOW).orphan is expected


@given(jobs, server_ids, step_runs.filter(lambda step_run: isinstance(step_run, StepRunFacts) and step_run.finished))
def test_a_job_that_is_held_open_is_no_orphan_and_says_until_when(
    job: JobFacts, server_id: str | None, step_run: StepRunFacts
) -> None:
    held = judge(job, server_id, replace(step_run, held_until=NOW), NOW)

    assert held.orphan is not True
    if server_id is not None and job.server_id == server_id and not job.ended and job.status != "Finalizing":
        assert held.reason == "held open until 2026-01-01 00:00:00 UTC"


@pytest.mark.parametrize(
    ("answering", "known"),
    [(SERVER, NoStepRun.GONE), ("another server", NoStepRun.NOT_TOLD), ("", NoStepRun.NOT_TOLD)],
)
def test_a_step_run_is_gone_only_if_its_own_server_answers(
    answering: str, known: NoStepRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in front of a server that is away answers 404 to everything."""

    def no_such_step_run(*_: object, **__: object) -> None:
        raise KeyError("404")

    def settings() -> SimpleNamespace:
        if not answering:
            raise KeyError("404")
        return SimpleNamespace(server_id=answering)

    client = SimpleNamespace(get_run_step=no_such_step_run, zen_store=SimpleNamespace(get_server_settings=settings))
    monkeypatch.setattr(server, "Client", lambda: client)
    monkeypatch.setattr(server, "server_id", lambda: SERVER)

    assert server.ServerView().step_run(str(uuid4())) is known
