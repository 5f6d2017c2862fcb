"""How often steps are tried, what becomes of the run, and what its process says of that."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.rules.facts import (
    OVER,
    by_step_run,
    cancelled_by_a_user,
    disturbed,
    ended_at_its_limit,
    fails,
    gave_up,
    happened,
    hits,
    interruptions,
    jobs_of,
    may_be_out_of_reach,
    reported_before_a_hit,
    reports_itself,
    was_killed,
    was_restarted,
)
from tests.chaos.schedule import TRIES, PlannedStep
from tests.chaos.trial import Trial


def tries(trial: Trial) -> Iterator[str]:
    """A step is tried as often as its retries say, and no more often."""
    if may_be_out_of_reach(trial):
        most = TRIES if trial.schedule.shape == "retries" else 1
        for step in trial.schedule.steps:
            if len(_tried(trial, step)) > most:
                yield f"{step.name} was tried {len(_tried(trial, step))} times instead of {most} at the most"
        return
    if disturbed(trial):
        return
    failed = False
    for step in trial.schedule.steps:
        if failed and trial.schedule.shape != "concurrent":
            wanted = 0
        else:
            wanted = _wanted(trial, step)
            failed = failed or fails(trial, step)
        found = len(_tried(trial, step))
        if found != wanted and not (trial.schedule.shape == "concurrent" and found < wanted and _any_fails(trial)):
            yield f"{step.name} was tried {found} times instead of {wanted}"
        jobs = by_step_run(trial.jobs)
        for step_run_id in _tried(trial, step):
            evicted = sum(job.name in hits(trial, "evicted") for job in jobs[step_run_id])
            further = min(evicted, trial.schedule.max_preemptions)
            further += trial.schedule.waits_in_vain and trial.schedule.fallback and _waited(trial, step_run_id)
            if reported_before_a_hit(trial, jobs[step_run_id][-1]):
                continue
            if len(jobs[step_run_id]) != 1 + further and not _any_fails(trial):
                yield f"{step.name} had {len(jobs[step_run_id])} jobs after {evicted} evictions"


def outcome(trial: Trial) -> Iterator[str]:
    """A run completes, or fails, as its jobs were planned to; faults that pass change nothing."""
    if trial.run is None:
        yield "the run was never made"
        return
    if was_killed(trial):
        if trial.run.status == "completed" and not _all_over(trial):
            yield "the run completed, though its process was killed before its jobs had ended"
        return
    for moment in interruptions(trial):
        over = {job.step for job in moment.jobs if job.status in OVER}
        missing = [step.name for step in trial.schedule.steps if step.name not in over]
        if missing and trial.run.status == "completed":
            yield f"the run completed, though it was interrupted before {', '.join(missing)} had ended"
    if may_be_out_of_reach(trial) or (was_restarted(trial) and trial.schedule.shape != "retries"):
        if trial.run.status == "completed" and not _all_over(trial):
            yield "the run completed, though not all of its jobs did"
        return
    if any(True for _ in interruptions(trial)):
        return
    expected = "failed" if _any_fails(trial) else "completed"
    accepted = (
        {expected, "stopped"} if expected == "failed" and "cancelled in Studio" in happened(trial) else {expected}
    )
    if trial.run.status not in accepted:
        yield f"the run is {trial.run.status} instead of {expected}"


def exit_code(trial: Trial) -> Iterator[str]:
    """A process says by its exit code whether its run has completed."""
    if trial.run is None or trial.hung or was_killed(trial):
        return
    if (
        trial.exit_code == 0
        and trial.run.status != "completed"
        and not (trial.schedule.is_dynamic and trial.run.status in ("stopped", "stopping"))
        and not _stopped_at_its_end(trial)
    ):
        yield f"exit code 0 of a run that is {trial.run.status}"
    if trial.exit_code != 0 and trial.run.status == "completed" and not disturbed(trial) and not _ended_unseen(trial):
        yield f"exit code {trial.exit_code} of a run that completed"


def _stopped_at_its_end(trial: Trial) -> bool:
    """Whether the run was stopped on the server when all of its jobs had completed: nothing was left to stop."""
    return trial.run is not None and trial.run.status == "stopped" and _all_over(trial)


def _ended_unseen(trial: Trial) -> bool:
    """Whether a step was given up for good reason, whose own code then reported that it has completed."""
    return any(reports_itself(trial, job) and gave_up(trial, job) for job in trial.jobs)


def _tried(trial: Trial, step: PlannedStep) -> list[str]:
    """The step runs of a step that had a job."""
    return list(dict.fromkeys(job.step_run_id for job in jobs_of(trial.jobs, step)))


def _wanted(trial: Trial, step: PlannedStep) -> int:
    if trial.schedule.shape != "retries":
        return 1
    if last := cancelled_by_a_user(trial, step) or ended_at_its_limit(trial, step):
        return _tried(trial, step).index(last) + 1
    if step.exit_code:
        return TRIES
    stopped = len(trial.killed_ranks)
    lost = max(0, len(hits(trial, "evicted")) - trial.schedule.max_preemptions)
    waited = trial.schedule.waits_in_vain and not trial.schedule.fallback
    return min(TRIES, 1 + stopped + lost + waited)


def _waited(trial: Trial, step_run_id: str) -> bool:
    """Whether a step run's first job is the one that waited: the first of all."""
    first = min(trial.jobs, key=lambda job: job.created_at)
    return first.step_run_id == step_run_id


def _any_fails(trial: Trial) -> bool:
    return any(fails(trial, step) for step in trial.schedule.steps)


def _all_over(trial: Trial) -> bool:
    return {job.step for job in trial.jobs if job.status == "Completed"} >= {s.name for s in trial.schedule.steps}
