"""What becomes of the report of a job on what it has used: it is saved, or missing, and changes nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.rules.facts import disturbed, log_out_of_reach, was_killed
from tests.chaos.trial import Trial
from zenml_azureml.contract.usage import MARK


def usage(trial: Trial) -> Iterator[str]:
    """No output has the report. A step whose job has completed has it in its metadata, if it is whole and was read."""
    if MARK in trial.output:
        yield "the report of a job is in the output"
    if trial.run is None:
        return
    another_ended_it = any(step.status in ("failed", "stopped") for step in trial.run.steps)
    completed = {job.step_run_id for job in trial.jobs if job.status == "Completed"}
    for step in trial.run.steps:
        # Jobs that are processes sample what they use.
        if step.has_usage and trial.schedule.usage != "whole" and trial.schedule.part == "simulated":
            yield f"{step.name} has used something, though its job does not say so"
        unread = not trial.schedule.stream_logs or log_out_of_reach(trial) or disturbed(trial) or was_killed(trial)
        unread |= another_ended_it
        if step.id in completed and trial.schedule.usage == "whole" and not unread and not step.has_usage:
            yield f"the use of {step.name} is lost"
