"""What the commands of docs/jobs.md have to come to after an orchestrator was killed."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.rules.facts import UNFINISHED, by_step_run, gave_up, was_killed
from tests.chaos.rules.statuses import fits
from tests.chaos.trial import Trial


def recovery(trial: Trial) -> Iterator[str]:
    """No job is unfinished, no step and no run, and ZenML knows how each job ended; nothing was submitted."""
    done = trial.recovery
    if done is None:
        if was_killed(trial):
            steps = trial.run.steps if trial.run else ()
            left = [step.name for step in steps if step.status in UNFINISHED]
            if left or (trial.run and trial.run.status in UNFINISHED):
                yield f"{', '.join(left) or 'the run'} was left running, and no recovery command was tried"
        return
    if done.exit_codes and done.exit_codes[-1] != 0:
        yield f"the recovery commands ended with {done.exit_codes}"
    if len(done.jobs) > len(trial.jobs):
        yield "a recovery command submitted a job"
    if done.run is None:
        return
    statuses = {step.id: step for step in done.run.steps}
    for step in done.run.steps:
        if step.status in UNFINISHED:
            yield f"{step.name} is {step.status} after the recovery commands"
    for step_run_id, jobs in by_step_run(done.jobs).items():
        for job in jobs:
            if not job.ended:
                yield f"job {job.name} is {job.status} after the recovery commands"
        job, step_run = jobs[-1], statuses.get(step_run_id)
        if step_run and job.ended and not fits(trial, step_run.status, job) and not gave_up(trial, job):
            yield f"{job.step} is {step_run.status} after the recovery commands, its job {job.status}"
    if done.run.status in UNFINISHED:
        yield f"the run is {done.run.status} after the recovery commands"
