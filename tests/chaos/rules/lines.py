"""What is shown of the jobs' logs."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.chaos.rules.facts import gave_up, interrupted, jobs_of, log_out_of_reach, was_killed, was_restarted
from tests.chaos.schedule import PlannedStep
from tests.chaos.trial import JobRecord, Trial

_LINE = re.compile(
    r"\[(?P<step>[^\]]+)\] (?:\[node \d+ rank (?P<rank>\d+)\] )?line (?P<number>\d+) of \d+ of (?P<job>\S+)"
)


def lines(trial: Trial) -> Iterator[str]:
    """Each line of each job once, in order, under its step's name; all of them where the log could be read."""
    shown: dict[tuple[str, str, int], list[int]] = defaultdict(list)
    order: dict[str, list[str]] = defaultdict(list)
    for line in _LINE.finditer(trial.output):
        shown[line["step"], line["job"], int(line["rank"] or 0)].append(int(line["number"]))
        order[line["step"]].append(line["job"])
    if not trial.schedule.stream_logs:
        if shown:
            yield "log lines, though `stream_logs` is off"
        return
    planned = {step.name for step in trial.schedule.steps}
    names = {(job.step, job.name) for job in trial.jobs}
    for step_name, job_name, _ in shown:
        if step_name not in planned or (step_name, job_name) not in names:
            yield f"lines of the job {job_name} under the name of {step_name}"
    for step in trial.schedule.steps:
        for before, following in pairwise(_runs(order[step.name])):
            if before in _runs(order[step.name])[_runs(order[step.name]).index(following) :]:
                yield f"{step.name}: lines of {before} and {following} are mixed"
        for job in jobs_of(trial.jobs, step):
            for rank in range(trial.schedule.ranks):
                yield from _of_job(trial, step, job, rank, shown[step.name, job.name, rank])


def _of_job(trial: Trial, step: PlannedStep, job: JobRecord, rank: int, shown: list[int]) -> Iterator[str]:
    if shown != list(range(1, len(shown) + 1)):
        yield f"{step.name}: lines {shown} of {job.name}, not each once and in order"
        return
    written = trial.written.get((job.name, rank), step.lines if job.status == "Completed" else 0)
    if len(shown) >= written or not job.ended:
        return
    # After a second try to reach what cannot be, or a signal, the rest of a log is worth no more time.
    excused = log_out_of_reach(trial) or interrupted(trial) or was_killed(trial) or was_restarted(trial)
    if not excused and not gave_up(trial, job):
        yield f"{step.name}: only {len(shown)} of the {written} lines of {job.name}, rank {rank}"


def _runs(names: list[str]) -> list[str]:
    """The names without those that equal the one before."""
    return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]
