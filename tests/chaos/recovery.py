"""What the user does about the jobs of a process that was killed: the commands of docs/jobs.md."""

from __future__ import annotations

from collections.abc import Sequence

from tests.chaos.schedule import Schedule

Command = tuple[str, ...]


def commands(schedule: Schedule, unfinished: Sequence[str]) -> list[Command]:
    """The arguments of `zenml-azureml`, of one command after the other.

    Args:
        schedule: What was planned; its number decides between going on with the jobs and ending them.
        unfinished: Names of its unfinished jobs.
    """
    waits = [("jobs", "wait", name, "--patience", "1") for name in unfinished if goes_on(schedule)]
    # What is left then: steps that never had a job, and those that would have come after.
    return [*waits, ("jobs", "cancel", "--run", schedule.run_name, "--yes")]


def goes_on(schedule: Schedule) -> bool:
    """Whether the jobs are waited for, which are let go then, instead of cancelled."""
    return schedule.number % 2 == 1 and not schedule.waits_in_vain
