"""What becomes of a shell that a user opens in a job: it ends with the job, and the job does not care."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.rules.facts import disturbed, hits, was_killed
from tests.chaos.trial import Trial

#: Events that end the jobs that they hit.
_ENDING = ("released", "hold over", "cancelled in Studio", "evicted", "limit reached")


def shells(trial: Trial) -> Iterator[str]:
    """A shell ends with its job, and not before; it keeps no job from its end, and ends none."""
    jobs = {job.name: job for job in trial.jobs}
    for shell in trial.shells:
        if shell.lost:
            yield f"the shell in job {shell.job} ended, though nobody left it and the job went on"
        if shell.outlived:
            yield f"{shell.outlived} of the shell in job {shell.job}: still there after its end"
        job, endings = jobs[shell.job], {event for event in _ENDING if shell.job in hits(trial, event)}
        if endings & {"released", "hold over"} and not job.ended:
            yield f"job {shell.job} is {job.status}, though it is no longer held open: a shell has kept it"
        alone = not (endings or disturbed(trial) or was_killed(trial))
        if alone and job.status == "Canceled":
            yield f"job {shell.job} is cancelled, and nothing has happened to it but a shell"
