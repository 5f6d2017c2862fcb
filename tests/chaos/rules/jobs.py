"""How many jobs there are, when, and of which steps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tests.chaos.rules.facts import (
    by_step_run,
    disturbed,
    final_jobs,
    final_run,
    happened,
    hits,
    interruptions,
    is_held,
    jobs_of,
    may_be_out_of_reach,
    told_how_to_cancel,
    was_killed,
    was_restarted,
)
from tests.chaos.trial import Trial


def one_job(trial: Trial) -> Iterator[str]:
    """Of a step of a run, never two unfinished jobs: not of one step run, and not of several."""
    for step in trial.schedule.steps:
        for job, following in pairwise(jobs_of(final_jobs(trial), step)):
            if is_held(trial, job):
                continue
            if job.ended_at is None or job.ended_at > following.created_at:
                yield f"job {following.name} of {step.name} was made before {job.name} had ended"
    if trial.schedule.is_dynamic:
        return
    for step, after in pairwise(trial.schedule.steps):
        before = jobs_of(final_jobs(trial), step)
        for job in jobs_of(final_jobs(trial), after):
            if any(other.ended_at is None or other.ended_at > job.created_at for other in before):
                yield f"job {job.name} of {after.name} was made before those of {step.name} had ended"


def no_job_too_many(trial: Trial) -> Iterator[str]:
    """A step run has one job, and a further one for each that was evicted or has waited in vain; each is a step's."""
    evicted = set(hits(trial, "evicted"))
    run = final_run(trial)
    known = {step.id for step in run.steps} if run else set()
    for step_run_id, jobs in by_step_run(final_jobs(trial)).items():
        if step_run_id not in known:
            yield f"job {jobs[0].name} for a step run that ZenML does not know"
        moved = sum(job.name in evicted for job in jobs)
        waited = trial.schedule.waits_in_vain and trial.schedule.fallback
        if len(jobs) > 1 + min(moved, trial.schedule.max_preemptions) + waited:
            yield f"{len(jobs)} jobs for the step run {step_run_id} after {moved} evictions"
    if waited_jobs := [job for job in final_jobs(trial) if job.step not in {s.name for s in trial.schedule.steps}]:
        yield f"jobs of steps that are not planned: {waited_jobs}"


def no_job_left(trial: Trial) -> Iterator[str]:
    """None is unfinished when the orchestrator is gone, or a line names it and the command to cancel it."""
    if was_killed(trial) or (was_restarted(trial) and _zenml_refused(trial)):
        return
    for job in trial.jobs:
        if job.ended or is_held(trial, job):
            continue
        if not may_be_out_of_reach(trial):
            yield f"job {job.name} is {job.status} and no process waits for it"
        elif not told_how_to_cancel(job, trial.output):
            yield f"job {job.name} is {job.status}, and no line names it with the command to cancel it"


def none_after_interruption(trial: Trial) -> Iterator[str]:
    """After an interruption nothing is submitted of a step that had not begun, and none is tried again."""
    for moment in interruptions(trial):
        begun = {step.id for step in moment.run.steps} if moment.run else set()
        for job in final_jobs(trial):
            if job.step_run_id not in begun and not trial.schedule.is_dynamic:
                yield f"job {job.name} of {job.step} was made after the run was interrupted"
            if job.step_run_id not in begun and trial.schedule.is_dynamic and _ended_runs(moment.run):
                yield f"job {job.name} of {job.step} was made after another step's end and an interruption"


def _ended_runs(run: object) -> bool:
    steps = getattr(run, "steps", ())
    return any(step.status in ("completed", "failed", "stopped") for step in steps)


def _zenml_refused(trial: Trial) -> bool:
    """Without retries ZenML takes no second step run of a step: the operator is never called."""
    return "EntityExistsError" in trial.output and trial.schedule.shape != "retries"


def watched(trial: Trial) -> Iterator[str]:
    """A job that watches a server ends itself when its step is over there, and never else."""
    if trial.by_itself is None:
        return
    stopped = "killed and stopped" in happened(trial)
    for job in trial.by_itself:
        if stopped and not job.ended:
            yield f"job {job.name} is {job.status}, though its run was stopped and its orchestrator is gone"
        if not stopped and job.status != "Running":
            yield f"job {job.name} is {job.status}, though its step is not over"


def kept(trial: Trial) -> Iterator[str]:
    """A job that is held open is ended by no process: not by a retry, not by the end of the run."""
    if disturbed(trial) or was_killed(trial):
        return  # it may have been ended before its step had failed
    let_go = {*hits(trial, "released"), *hits(trial, "hold over")}
    for job in trial.jobs:
        if is_held(trial, job) and job.status != "Running" and job.name not in let_go:
            yield f"job {job.name} is {job.status}, though it is held open"
