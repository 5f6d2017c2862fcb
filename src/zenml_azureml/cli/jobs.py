"""`zenml-azureml jobs`: what pipelines have left in Azure ML, and how it ends."""

from __future__ import annotations

import signal
import sys
from datetime import timedelta

import click

from zenml_azureml.cli.places import (
    chosen_operators,
    chosen_places,
    errors_told,
    keep_stdout_clean,
    operator_options,
    place_options,
)


@click.group()
def jobs() -> None:
    """The Azure ML jobs of your pipelines: find them, end them, wait for them.

    An orphan is an unfinished job of this ZenML server whose step run is finished or gone. A job whose step run is
    still running there is none, even if the process that waited for it was killed: `jobs wait JOB` waits in its place,
    `jobs cancel --run RUN` ends it.
    """


@jobs.command("list")
@click.option("--run", metavar="RUN", help="Only the jobs of this run, by its name or id.")
@click.option("--orphans", is_flag=True, help="Only orphans, and jobs that cannot be told from orphans from here.")
@click.option("--all", "finished_too", is_flag=True, help="Finished jobs too.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@place_options
def list_(*, run: str | None, orphans: bool, finished_too: bool, as_json: bool, **where: str | None) -> None:
    """List unfinished jobs."""
    keep_stdout_clean()
    from zenml_azureml.cli.job_table import show_json, show_table
    from zenml_azureml.jobs.inventory import jobs_in, judged
    from zenml_azureml.jobs.server import ServerView

    with errors_told():
        found = judged(jobs_in(chosen_places(**where), finished_too=finished_too, run=run), ServerView())
    if orphans:
        found = [job for job in found if job.judgement.orphan is not False]
    if as_json:
        show_json(found)
    elif found:
        show_table(found)
    else:
        click.echo("No such job." if run or finished_too else f"No {'orphans' if orphans else 'unfinished jobs'}.")


@jobs.command()
@click.argument("names", metavar="[JOB...]", nargs=-1)
@click.option("--run", metavar="RUN", help="The jobs of this run, by its name or id, and the run itself.")
@click.option("--orphans", is_flag=True, help="All orphans of this ZenML server.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long the jobs may take to end.",
)
@place_options
def cancel(
    *, names: tuple[str, ...], run: str | None, orphans: bool, yes: bool, timeout: float, **where: str | None
) -> None:
    """End jobs, and see to it that they have ended.

    Exits with 1 if a job may still run; a line on stderr then names it and the command that cancels it by hand.
    """
    if (bool(names), run is not None, orphans).count(True) != 1:
        raise click.UsageError("Say what to cancel: JOB..., --run RUN or --orphans.")
    keep_stdout_clean()
    from zenml_azureml.cli.job_cancelling import cancel_named, cancel_orphans, cancel_run

    with errors_told():
        places = chosen_places(**where)
        limit = timedelta(seconds=timeout)
        if run is not None:
            all_ended = cancel_run(run, places, limit, ask=not yes)
        elif orphans:
            all_ended = cancel_orphans(places, limit, ask=not yes)
        else:
            all_ended = cancel_named(names, places, limit, ask=not yes)
    sys.exit(0 if all_ended else 1)


@jobs.command()
@click.argument("job_or_step_run", metavar="JOB_OR_STEP_RUN")
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="How long to leave the last word to the run's own orchestrator, should it still be there.",
)
@operator_options
def wait(*, job_or_step_run: str, patience: float, operator: str | None, cloud: str | None) -> None:
    """Wait for a job that nobody waits for any more.

    Shows its log, waits for its end, and tells the ZenML server how the step run ended, and the run if nobody goes on
    with it. Ctrl+C ends the job, as it does where a pipeline runs. Exits with 1 if the step failed.
    """
    # As Ctrl+C: a job that nobody waits for is not left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from zenml_azureml.cli.job_waiting import wait_for

    with errors_told():
        operators = chosen_operators(operator)
        sys.exit(0 if wait_for(job_or_step_run, operators, cloud, timedelta(seconds=patience)) else 1)
