"""ZenML's account of the steps: it is that of their jobs, and says why."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.rules.facts import (
    CODE_FAILED,
    UNFINISHED,
    disturbed,
    gave_up,
    interrupted,
    log_out_of_reach,
    reported_before_a_hit,
    reports_itself,
    was_killed,
    was_restarted,
)
from tests.chaos.schedule import PROCESSES_PER_NODE
from tests.chaos.trial import JobRecord, StepRecord, Trial

#: ZenML's statuses of a step run that go with the end of its job; and further ones where the run was interrupted:
#: a job may end just before it is cancelled, and ZenML notes the retry that is then refused.
_STATUSES = {"Completed": {"completed"}, "Failed": {"failed", "retried"}, "Canceled": {"stopped", "failed", "retried"}}
_INTERRUPTED = {"Completed": {"stopped", "failed", "retried"}, "Failed": {"stopped"}, "Canceled": {"retried"}}


def statuses(trial: Trial) -> Iterator[str]:
    """They equal the jobs'; nothing is left running there; each step run that completed has its job."""
    if trial.run is None:
        if trial.jobs:
            yield "there are jobs, but no run"
        return
    killed = was_killed(trial) or (was_restarted(trial) and trial.schedule.shape != "retries")
    jobs = {job.step_run_id: job for job in trial.jobs}
    for step in trial.run.steps:
        job = jobs.get(step.id)
        if step.status == "completed" and (job is None or job.status in ("Canceled", "Failed")):
            if job is not None and reports_itself(trial, job) and (disturbed(trial) or _another_failed(trial)):
                continue  # it was cancelled after its code had reported its end
            if job is not None and reported_before_a_hit(trial, job):
                continue
            yield f"{step.name} completed, its job {job.status if job else 'was never made'}"
        if killed:
            continue
        if step.status == "retrying" and trial.schedule.holds and interrupted(trial):
            continue  # ZenML refuses the retry in a run that was stopped, and leaves the step run so
        if step.status in UNFINISHED:
            yield f"{step.name} is left {step.status}"
        elif job is not None and job.ended and not fits(trial, step.status, job) and not gave_up(trial, job):
            yield f"{step.name} is {step.status}, its job {job.status}"
    if trial.run.status in UNFINISHED and not killed:
        yield f"the run is left {trial.run.status}"
    if trial.run.status == "completed" and any(s.status in ("failed", "stopped") for s in trial.run.steps):
        yield "the run completed, though a step of it did not"


def _another_failed(trial: Trial) -> bool:
    return trial.run is not None and any(step.status in ("failed", "stopped") for step in trial.run.steps)


def _other_failed(trial: Trial, step: StepRecord) -> bool:
    return trial.run is not None and any(other.status == "failed" and other != step for other in trial.run.steps)


def causes(trial: Trial) -> Iterator[str]:
    """The server knows why a step failed."""
    if trial.run is None or was_killed(trial) or was_restarted(trial):
        return
    jobs = {job.step_run_id: job for job in trial.jobs}
    for step in trial.run.steps:
        if step.status in ("failed", "retried") and not step.cause and not disturbed(trial):
            yield f"{step.name} is {step.status} without a cause on the server"
        job = jobs.get(step.id)
        named = job is None or job.name in step.cause or step.id in step.cause
        if job is not None and job.status == "Canceled" and reports_itself(trial, job) and _other_failed(trial, step):
            # Its code failed while it was being cancelled because of the other: that is its cause, and all of it.
            named |= CODE_FAILED in step.cause
        if step.status == "failed" and step.cause and not disturbed(trial) and not named:
            yield f"the cause of {step.name} does not name its job"


def ranks(trial: Trial) -> Iterator[str]:
    """A job of which a process was killed has failed, and its step says of which node and rank."""
    steps = {step.id: step for step in trial.run.steps} if trial.run else {}
    for name, rank in trial.killed_ranks.items():
        job = next((job for job in trial.jobs if job.name == name), None)
        if job is None or disturbed(trial):  # it may have been cancelled at the same time
            continue
        if job.status != "Failed":
            yield f"job {name} is {job.status}, though its rank {rank} was killed"
        step, known_as = steps.get(job.step_run_id), f"node {rank // PROCESSES_PER_NODE} rank {rank}"
        reported = step is not None and step.status in ("failed", "retried")
        if step and reported and known_as not in step.cause and not log_out_of_reach(trial):
            yield f"{step.name} does not say that {known_as} failed"


def fits(trial: Trial, status: str, job: JobRecord) -> bool:
    """Whether ZenML's status of a step run goes with the end of its newest job."""
    return status in _STATUSES[job.status] or (disturbed(trial) and status in _INTERRUPTED[job.status])
