"""What must hold after every schedule. Pure: from a trial to what broke."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from tests.chaos.catalogue import EVENTS, LOG_PHASES, passes
from tests.chaos.schedule import PROCESSES_PER_NODE, PlannedStep
from tests.chaos.trial import JobRecord, Trial

#: ZenML's statuses of a step run that go with the end of its job; and further ones where the run was interrupted:
#: a job may end just before it is cancelled, and ZenML notes the retry that is then refused.
_STATUSES = {"Completed": {"completed"}, "Failed": {"failed", "retried"}, "Canceled": {"stopped", "failed"}}
_INTERRUPTED = {"Completed": {"stopped", "failed", "retried"}, "Failed": {"stopped"}, "Canceled": {"retried"}}

#: Where a step's log lines are told.
_LINE = re.compile(r"\[(?P<step>[^\]]+)\] (?:\[node \d+ rank (?P<rank>\d+)\] )?simulated line (?P<number>\d+) of \d+")


def broken(trial: Trial) -> list[str]:
    """What does not hold; empty where all is well."""
    rules = (_ends, _jobs, _recovery, _secrets, _statuses, _ranks, _lines, _outcome)
    return [line for rule in rules for line in rule(trial)]


def _ends(trial: Trial) -> Iterator[str]:
    if trial.hung:
        yield "the orchestrator hung"
    if "Exception in thread" in trial.output:
        yield "a thread died of an exception"


def _jobs(trial: Trial) -> Iterator[str]:
    """One job per step run, or one after the other; none unfinished when the orchestrator is gone."""
    for step_run_id, number in Counter(job.step_run_id for job in trial.jobs).items():
        if number > 1 and not _moved(trial):
            yield f"{number} jobs for the step run {step_run_id}"
    for job, following in _neighbours(trial.recovered or trial.jobs):
        if job.ended_at is None or job.ended_at > following.created_at:
            yield f"job {following.name} was made before {job.name} had ended"
    known = {step.id for step in trial.run.steps} if trial.run else set()
    for job in trial.jobs:
        if job.step_run_id not in known:
            yield f"job {job.name} for a step run that ZenML does not know"
    unfinished = [job for job in trial.jobs if not job.ended]
    for job in unfinished:
        if _was_killed(trial):
            continue
        if not _may_be_out_of_reach(trial):
            yield f"job {job.name} is {job.status} and nobody waits for it"
        elif not _told_how_to_cancel(job, trial.output):
            yield f"job {job.name} is {job.status}, and no line names it with the command to cancel it"


def _recovery(trial: Trial) -> Iterator[str]:
    """After the recovery command no job is unfinished, and ZenML knows how each of them ended."""
    if trial.recovered is None or trial.recovered_run is None:
        return
    statuses = {step.id: step.status for step in trial.recovered_run.steps}
    for job in trial.recovered:
        if not job.ended:
            yield f"job {job.name} is {job.status} after the recovery command"
        elif job != _newest(trial.recovered, job.step_run_id):
            continue
        elif not _fits(trial, statuses[job.step_run_id], job) and not _gave_up(trial, job):
            yield f"{job.step} is {statuses[job.step_run_id]} after the recovery command, its job {job.status}"
    with_job = {job.step_run_id for job in trial.recovered}
    if set(statuses) <= with_job and trial.recovered_run.status not in ("stopped", "failed", "completed"):
        yield f"the run is {trial.recovered_run.status} after the recovery command"


def _secrets(trial: Trial) -> Iterator[str]:
    """None is in a definition; none is left in the vault, or a line names it; the recovery command leaves none."""
    if trial.told_secret:
        yield "a job's definition has a secret in it"
    for name in trial.secrets:
        if not _was_killed(trial) and not (_may_be_out_of_reach(trial) and f"/secrets/{name}" in trial.output):
            yield f"the secret {name} is left in the vault"
    for name in trial.recovered_secrets:
        yield f"the secret {name} is in the vault after the recovery command"


def _statuses(trial: Trial) -> Iterator[str]:
    """ZenML's statuses equal the jobs'; nothing is left running there; each step run has its job."""
    if trial.run is None:
        if trial.jobs:
            yield "there are jobs, but no run"
        return
    jobs = {job.step_run_id: job for job in trial.jobs}
    for step in trial.run.steps:
        job = jobs.get(step.id)
        if job is None and step.status == "completed":
            yield f"{step.name} completed without a job"
        if _was_killed(trial):
            continue
        if step.status in ("running", "initializing", "provisioning"):
            yield f"{step.name} is left {step.status}"
        if job is not None and job.ended and not _fits(trial, step.status, job) and not _gave_up(trial, job):
            yield f"{step.name} is {step.status}, its job {job.status}"
        if step.status == "failed" and not step.cause and not _interrupted(trial):
            yield f"{step.name} failed without a cause on the server"
    if trial.run.status in ("running", "initializing", "provisioning") and not _was_killed(trial):
        yield f"the run is left {trial.run.status}"


def _ranks(trial: Trial) -> Iterator[str]:
    """A job of which a process was killed has failed, and its step says of which node and rank."""
    steps = {step.id: step for step in trial.run.steps} if trial.run else {}
    for name, rank in trial.killed_ranks.items():
        job = next(job for job in trial.jobs if job.name == name)
        if _interrupted(trial):  # it may have been cancelled at the same time
            continue
        if job.status != "Failed":
            yield f"job {name} is {job.status}, though its rank {rank} was killed"
        step, known_as = steps.get(job.step_run_id), f"node {rank // PROCESSES_PER_NODE} rank {rank}"
        if (
            step
            and step.status in ("failed", "retried")
            and known_as not in step.cause
            and not _log_out_of_reach(trial)
        ):
            yield f"{step.name} does not say that {known_as} failed"


def _fits(trial: Trial, status: str, job: JobRecord) -> bool:
    return status in _STATUSES[job.status] or (_interrupted(trial) and status in _INTERRUPTED[job.status])


def _lines(trial: Trial) -> Iterator[str]:
    """Each line once and in order; all of them, where the job came to its end and its log could be read."""
    told: dict[tuple[str, int], list[int]] = defaultdict(list)
    for line in _LINE.finditer(trial.output):
        told[line["step"], int(line["rank"] or 0)].append(int(line["number"]))
    for step in trial.schedule.steps:
        jobs = [job for job in trial.jobs if job.step == step.name]
        for rank in range(trial.schedule.ranks):
            yield from _lines_of(trial, step, jobs, told[step.name, rank])


def _lines_of(trial: Trial, step: PlannedStep, jobs: list[JobRecord], told: list[int]) -> Iterator[str]:
    if not trial.schedule.stream_logs:
        if told:
            yield f"{step.name}: log lines, though `stream_logs` is off"
        return
    whole = list(range(1, step.lines + 1))
    excused = _log_out_of_reach(trial) or _interrupted(trial)
    if len(jobs) > 1 and _moved(trial):
        return  # how far each of them came is nobody's plan
    if any(job.name in trial.killed_ranks for job in jobs):  # nor is it here, where each of them has begun anew
        if any(number not in (1, before + 1) for before, number in pairwise([0, *told])):
            yield f"{step.name}: lines {told}, not in order"
        return
    if len(jobs) == 1:
        if told != whole[: len(told)]:
            yield f"{step.name}: lines {told}, not each once and in order"
        elif jobs[0].status in ("Completed", "Failed") and told != whole and not (excused or _evicted(trial)):
            yield f"{step.name}: only the lines {told} of {len(whole)}"
    elif told != whole * len(jobs) and not excused:  # one try after the other
        yield f"{step.name}: lines {told} of {len(jobs)} jobs"


def _outcome(trial: Trial) -> Iterator[str]:
    """Faults that pass change nothing; nobody submits again after an interruption."""
    schedule, run = trial.schedule, trial.run
    if run is None:
        yield "the run was never made"
        return
    if _interrupted(trial):
        if run.status == "completed" and trial.exit_code != 0:
            yield f"the run completed, but its process ended with {trial.exit_code}"
        for step in schedule.steps:
            submitted = _submitted(trial, step)
            # An exception of the runner's own is a failure like any other to ZenML, which then tries again.
            if submitted > 1 and not step.exit_code and not _runner_broke(trial):
                yield f"{step.name} was submitted {submitted} times around an interruption"
        return
    if _studio_cancelled(trial) or _may_be_out_of_reach(trial):
        return
    begins_anew = schedule.shape == "retries"
    fails = any(step.exit_code for step in schedule.steps) or bool(trial.killed_ranks and not begins_anew)
    expected = "failed" if fails else "completed"
    if run.status != expected:
        yield f"the run is {run.status} instead of {expected}"
    if (trial.exit_code == 0) is fails:
        yield f"exit code {trial.exit_code} of a run that {expected}"
    for step in schedule.steps:
        submitted = _submitted(trial, step)
        wanted = 3 if begins_anew and step.exit_code else 1 + len(trial.killed_ranks)
        if submitted != wanted and not fails:
            yield f"{step.name} has {submitted} jobs instead of {wanted}"


def _was_killed(trial: Trial) -> bool:
    return trial.exit_code == -9


def _interrupted(trial: Trial) -> bool:
    return any(EVENTS[trial.schedule.events[index].event].interrupts for index in trial.happened)


def _runner_broke(trial: Trial) -> bool:
    return any(trial.schedule.events[index].event == "exception" for index in trial.happened)


def _studio_cancelled(trial: Trial) -> bool:
    return any(trial.schedule.events[index].event == "cancelled in Studio" for index in trial.happened)


def _evicted(trial: Trial) -> bool:
    return any(trial.schedule.events[index].event == "evicted" for index in trial.happened)


def _moved(trial: Trial) -> bool:
    """Whether a step may have had one job after the other."""
    return _evicted(trial) or trial.schedule.waits_in_vain


def _submitted(trial: Trial, step: PlannedStep) -> int:
    """How often ZenML has had a step submitted; a step run that was moved from job to job counts once."""
    return len({job.step_run_id for job in trial.jobs if job.step == step.name})


def _newest(jobs: Sequence[JobRecord], step_run_id: str) -> JobRecord:
    return [job for job in jobs if job.step_run_id == step_run_id][-1]


def _neighbours(jobs: Sequence[JobRecord]) -> Iterator[tuple[JobRecord, JobRecord]]:
    """Each job of a step run with the next one, which takes its place."""
    for step_run_id in {job.step_run_id for job in jobs}:
        yield from pairwise(job for job in jobs if job.step_run_id == step_run_id)


def _may_be_out_of_reach(trial: Trial) -> bool:
    """Whether a fault happened after which Azure cannot be asked, or refuses: the step may be given up."""
    return any(
        trial.fired[index]
        and not passes(planned.phase, planned.fault)
        and planned.phase not in LOG_PHASES - {"workspace"}
        for index, planned in enumerate(trial.schedule.faults)
    )


def _log_out_of_reach(trial: Trial) -> bool:
    return any(
        trial.fired[index] and not passes(planned.phase, planned.fault)
        for index, planned in enumerate(trial.schedule.faults)
    )


def _told_how_to_cancel(job: JobRecord, output: str) -> bool:
    return any(job.name in line and " job cancel " in line for line in output.splitlines())


def _gave_up(trial: Trial, job: JobRecord) -> bool:
    """Whether the step was given up for good reason while its job may go on."""
    causes = "\n".join(step.cause for step in trial.run.steps) if trial.run else ""
    return _may_be_out_of_reach(trial) and _told_how_to_cancel(job, f"{trial.output}\n{causes}")
