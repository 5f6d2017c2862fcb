"""What becomes of a step whose job Azure has ended at its cost limit."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.rules.facts import disturbed, ended_at_its_limit, jobs_of, was_killed
from tests.chaos.trial import Trial

#: In the cause that the server knows; a job that ran for its own time limit has another one.
REACHED = "it reached its cost limit (`max_usd="


def limits(trial: Trial) -> Iterator[str]:
    """The step has failed for that reason, and gets no further job: nothing is left."""
    for step in trial.schedule.steps:
        ended = ended_at_its_limit(trial, step)
        if not ended:
            continue
        jobs = [job.step_run_id for job in jobs_of(trial.jobs, step)]
        if jobs[-1] != ended or jobs.count(ended) > 1:
            yield f"{step.name} got a further job after its cost limit"
        if trial.run is None or was_killed(trial) or disturbed(trial):
            continue
        causes = [record.cause for record in trial.run.steps if record.id == ended]
        if not causes or REACHED not in causes[0]:
            yield f"{step.name} does not say that it reached its cost limit"
