"""What somebody does about the jobs of a process that was killed: the commands of docs/jobs.md."""

from __future__ import annotations

from collections.abc import Sequence

from tests.chaos.schedule import Schedule

Command = tuple[str, ...]


def commands(
    schedule: Schedule, run_name: str, unfinished: Sequence[str], *, secrets_left: bool = False
) -> list[Command]:
    """The arguments of `zenml-azureml`, of one command after the other.

    Args:
        schedule: What was planned; its number decides between going on with the jobs and ending them.
        run_name: Of the run.
        unfinished: Names of its unfinished jobs.
        secrets_left: Whether there is something in the key vault.
    """
    end: Command = ("jobs", "cancel", "--run", run_name, "--yes")
    if goes_on(schedule) and unfinished:
        return [("jobs", "wait", name, "--patience", "1") for name in unfinished] + [end] * secrets_left
    return [end]


def goes_on(schedule: Schedule) -> bool:
    """Whether the jobs are waited for instead of cancelled: only those that pretend, which do not last long."""
    return schedule.part == "simulated" and schedule.number % 2 == 1 and not schedule.waits_in_vain


def carry_out(command: Command, factor: float) -> None:
    """Carry a command out; the work of a forked process.

    Args:
        command: Arguments of `zenml-azureml`.
        factor: How many times as fast as the machine's the time is.
    """
    from tests.chaos.scaled_time import ScaledTime
    from zenml_azureml.cli import main
    from zenml_azureml.step_operator import AzureMLStepOperator

    time = ScaledTime(factor)
    AzureMLStepOperator.time = time
    time.install()
    main([*command], prog_name="zenml-azureml")
