"""What several rules ask of a trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tests.chaos.catalogue import LOG_PHASES, passes
from tests.chaos.schedule import PlannedStep
from tests.chaos.trial import JobRecord, Moment, RunRecord, Trial

UNFINISHED = frozenset({"running", "initializing", "provisioning", "queued", "stopping", "cancelling", "retrying"})

#: What the code of a function step says of its own failure.
CODE_FAILED = "The step's own code failed."

#: States of a job whose command has come to its end.
OVER = frozenset({"Completed", "Failed", "Finalizing"})


def happened(trial: Trial) -> set[str]:
    """Names of the events that happened."""
    return {trial.schedule.events[index].event for index in trial.moments}


def was_killed(trial: Trial) -> bool:
    """Whether the orchestrator is gone without a chance to end anything."""
    return trial.exit_code == -9 and not trial.hung


def was_restarted(trial: Trial) -> bool:
    """Whether a second process has gone on with the run of a killed one."""
    return "restarted" in happened(trial)


def interruptions(trial: Trial) -> Iterator[Moment]:
    """How things stood at each event for which the orchestrator has to stop."""
    for index, moment in sorted(trial.moments.items()):
        event = trial.schedule.events[index].event
        if trial.schedule.stops_for(event) and event != "restarted":
            yield moment


def interrupted(trial: Trial) -> bool:
    """Whether there was one; a process that is started again is not interrupted for good."""
    return any(True for _ in interruptions(trial))


def disturbed(trial: Trial) -> bool:
    """Whether a job may have been ended, or its end have come, while the orchestrator was being interrupted."""
    return interrupted(trial) or was_restarted(trial) or "exception" in happened(trial)


def hits(trial: Trial, event: str) -> list[str]:
    """Names of the jobs that an event happened to."""
    moments = trial.moments.items()
    return [name for index, moment in moments if trial.schedule.events[index].event == event for name in moment.hit]


def final_jobs(trial: Trial) -> Sequence[JobRecord]:
    """The jobs, after the recovery where there was one."""
    return trial.recovery.jobs if trial.recovery is not None else trial.jobs


def final_run(trial: Trial) -> RunRecord | None:
    """The run, after the recovery where there was one."""
    return trial.recovery.run if trial.recovery is not None else trial.run


def jobs_of(jobs: Sequence[JobRecord], step: PlannedStep) -> list[JobRecord]:
    """The jobs of a step, of all of its step runs."""
    return sorted((job for job in jobs if job.step == step.name), key=lambda job: job.created_at)


def by_step_run(jobs: Sequence[JobRecord]) -> Mapping[str, list[JobRecord]]:
    """The jobs of each step run, the first one first."""
    found: dict[str, list[JobRecord]] = {}
    for job in sorted(jobs, key=lambda job: job.created_at):
        found.setdefault(job.step_run_id, []).append(job)
    return found


def may_be_out_of_reach(trial: Trial) -> bool:
    """Whether a fault happened after which Azure cannot be asked, or refuses: the step may be given up."""
    return any(
        trial.fired[index]
        and not (planned.recovery or planned.trap)
        and not passes(planned.phase, planned.fault)
        and planned.phase not in LOG_PHASES - {"workspace"}
        for index, planned in enumerate(trial.schedule.faults)
    )


def log_out_of_reach(trial: Trial) -> bool:
    """Whether a fault happened after which a log need not be read to its end."""
    return any(
        trial.fired[index] and not planned.trap and not passes(planned.phase, planned.fault)
        for index, planned in enumerate(trial.schedule.faults)
    )


def told_how_to_cancel(job: JobRecord, output: str) -> bool:
    """Whether a line names a job and the command to cancel it."""
    return any(job.name in line and " job cancel " in line for line in output.splitlines())


def gave_up(trial: Trial, job: JobRecord) -> bool:
    """Whether a step was given up for good reason while its job may go on."""
    causes = "\n".join(step.cause for step in trial.run.steps) if trial.run else ""
    return may_be_out_of_reach(trial) and told_how_to_cancel(job, f"{trial.output}\n{causes}")


def fails(trial: Trial, step: PlannedStep) -> bool:
    """Whether a step has to fail at its last try, with nothing but what is planned for its job."""
    names = {job.name for job in trial.jobs if job.step == step.name}
    if step.exit_code or cancelled_by_a_user(trial, step) or ended_at_its_limit(trial, step):
        return True
    if trial.schedule.waits_in_vain and not trial.schedule.fallback and step is trial.schedule.steps[0]:
        return trial.schedule.shape != "retries"  # of which only the first job waits in vain
    if trial.schedule.shape == "retries":
        return False
    evictions = len(names & set(hits(trial, "evicted")))
    return bool(names & set(trial.killed_ranks)) or evictions > trial.schedule.max_preemptions


def cancelled_by_a_user(trial: Trial, step: PlannedStep) -> str:
    """The step run whose job a user cancelled before the step had reported its end: it is not tried again; or empty."""
    return _hit_before_its_report(trial, step, "cancelled in Studio")


def ended_at_its_limit(trial: Trial, step: PlannedStep) -> str:
    """The step run whose job Azure ended at its cost limit, likewise: nothing is left for another; or empty."""
    return _hit_before_its_report(trial, step, "limit reached")


def _hit_before_its_report(trial: Trial, step: PlannedStep, event: str) -> str:
    hit = hits(trial, event)
    jobs = [job for job in jobs_of(trial.jobs, step) if job.name in hit and not reported_before_a_hit(trial, job)]
    return jobs[0].step_run_id if jobs else ""


def reports_itself(trial: Trial, job: JobRecord) -> bool:
    """Whether the code of a job's step reports its end: it is a function."""
    return any(step.name == job.step and step.kind == "function" for step in trial.schedule.steps)


def reported_before_a_hit(trial: Trial, job: JobRecord) -> bool:
    """Whether something happened to a job whose step had already reported that it has completed."""
    events = ("evicted", "cancelled in Studio", "limit reached")
    hit = {*(name for event in events for name in hits(trial, event)), *trial.killed_ranks}
    steps = trial.run.steps if trial.run else ()
    completed = any(step.id == job.step_run_id and step.status == "completed" for step in steps)
    return reports_itself(trial, job) and job.name in hit and completed


def is_held(trial: Trial, job: JobRecord) -> bool:
    """Whether a job is, or was, held open: the code of its step has reported its failure."""
    # As it was before the recovery, whose `jobs cancel --run` stops a step that ZenML has left to be retried.
    steps = trial.run.steps if trial.run else ()
    return trial.schedule.holds and any(step.id == job.step_run_id and CODE_FAILED in step.cause for step in steps)
