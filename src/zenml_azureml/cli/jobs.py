"""`zenml-azureml jobs`: what pipelines have left in Azure ML, and how it ends."""

from __future__ import annotations

import json
import signal
import sys
import webbrowser
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import click

from zenml_azureml.cli.options import (
    chosen_operators,
    chosen_places,
    click_errors,
    log_to_stderr,
    operator_options,
    place_options,
)
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import working

if TYPE_CHECKING:
    from zenml_azureml.job_admin.inventory import FoundAt


@click.group()
def jobs() -> None:
    """The Azure ML jobs of your pipelines: find them, look into them, end them, wait for them.

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
    """List unfinished jobs, and finished ones whose end ZenML does not know.

    With --run, also what all jobs of the run have cost, by Azure's estimates of prices.
    """
    log_to_stderr()
    from zenml_azureml.cli.jobs_list import show_json, show_table
    from zenml_azureml.job_admin.inventory import ends_unknown_to, jobs_in, judged
    from zenml_azureml.job_admin.server import ServerView
    from zenml_azureml.lifecycle.cost import total_of

    with click_errors():
        places = chosen_places(**where)
        with working("Listing jobs"):
            # Finished ones too: they have cost something, and ZenML's server may not know that they have ended.
            of_run = list(jobs_in(places, finished_too=True, run=run))
            server = ServerView()
            unknown = ends_unknown_to(server, of_run)
            wanted = [at for at in of_run if finished_too or not at[1].phase.ended or at[1].name in unknown]
            found = judged(wanted, server, unknown)
    if orphans:
        found = [job for job in found if job.judgement.orphan is not False]
    if as_json:
        show_json(found)
    elif found:
        show_table(found, costs=run is not None)
    else:
        echo("No such job." if run or finished_too else f"No {'orphans' if orphans else 'unfinished jobs'}.")
    if of_run and run is not None and not as_json:
        echo(total_of([job for _, job in of_run], datetime.now(timezone.utc)).describe())


@jobs.command()
@click.argument("job_or_step_run", metavar="JOB_OR_STEP_RUN")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@place_options
def show(*, job_or_step_run: str, as_json: bool, **where: str | None) -> None:
    """Show one job, and why it failed.

    Its state and times, where it runs, whose it is; for a failure its cause, the end of the log and what to do next.
    """
    log_to_stderr()
    from zenml_azureml.cli import jobs_show

    with click_errors():
        places = chosen_places(**where)
        jobs_show.show(job_or_step_run, places, as_json=as_json)


@jobs.command()
@click.argument("job_or_step_run", metavar="JOB_OR_STEP_RUN")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended. Ctrl+C leaves the job alone.")
@click.option("-n", "--lines", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--json", "as_json", is_flag=True, help="For programs: an object on each line.")
@place_options
def logs(*, job_or_step_run: str, follow: bool, lines: int | None, as_json: bool, **where: str | None) -> None:
    """Print what a job has printed, of all of its processes."""
    if follow and lines is not None:
        raise click.UsageError("--follow and --lines exclude each other.")
    log_to_stderr()
    from zenml_azureml.cli.jobs_logs import follow_log, print_log

    with click_errors():
        place, job = _found(job_or_step_run, **where)
        if follow:
            follow_log(place, job, as_json=as_json)
        else:
            print_log(place, job, lines, as_json=as_json)


@jobs.command("open")
@click.argument("job_or_step_run", metavar="JOB_OR_STEP_RUN")
@click.option("--print", "only_print", is_flag=True, help="Only print the address.")
@click.option("--json", "as_json", is_flag=True, help="Only print it, for programs.")
@place_options
def open_(*, job_or_step_run: str, only_print: bool, as_json: bool, **where: str | None) -> None:
    """Open a job's page in Azure ML Studio, and print its address."""
    log_to_stderr()
    with click_errors():
        _, job = _found(job_or_step_run, **where)
    if not job.studio_url:
        raise click.ClickException(f"Azure ML gave no address in Studio for the job `{job.name}`.")
    echo(json.dumps({"job": job.name, "studio_url": job.studio_url}) if as_json else job.studio_url)
    if not (only_print or as_json or webbrowser.open(job.studio_url)):
        echo("No browser can be opened from here.", err=True)


def _found(job_or_step_run: str, **where: str | None) -> FoundAt:
    """The job that is meant, and where it is.

    Raises:
        AzureMLError: If there is none.
    """
    from zenml_azureml.job_admin.inventory import find_job, job_name
    from zenml_azureml.job_admin.takeover import no_such_job

    places = chosen_places(**where)
    with working("Looking for the job"):
        found = find_job(job_or_step_run, places)
    if found is None:
        raise no_such_job(job_name(job_or_step_run), places)
    return found


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
@click.option(
    "--key-vault",
    metavar="NAME",
    help="With --run or --orphans: the key vault of the setting `key_vault`, in which killed processes may have left "
    "secrets.  [default: the workspace's own]",
)
@click.option("--json", "as_json", is_flag=True, help="For programs; with --yes.")
@place_options
def cancel(
    *,
    names: tuple[str, ...],
    run: str | None,
    orphans: bool,
    yes: bool,
    timeout: float,
    key_vault: str | None,
    as_json: bool,
    **where: str | None,
) -> None:
    """End jobs, see to it that they have ended, and delete what they have in key vaults.

    Exits with 1 if a job may still run; a line on stderr then names it and the command that cancels it by hand.
    """
    if (bool(names), run is not None, orphans).count(True) != 1:
        raise click.UsageError("Say what to cancel: JOB..., --run RUN or --orphans.")
    if as_json and not yes:
        raise click.UsageError("--json does not ask: it needs --yes.")
    log_to_stderr()
    from zenml_azureml.cli.jobs_cancel import Reporter, cancel_named, cancel_orphans, cancel_run
    from zenml_azureml.run_store.server_retries import ServerRetries, retrying

    teller = Reporter(as_json=as_json)
    with click_errors():
        places = chosen_places(**where)
        limit = timedelta(seconds=timeout)
        with retrying(ServerRetries(max(place.server_timeout for place in places))):
            if run is not None:
                all_ended = cancel_run(run, places, key_vault, limit, teller, ask=not yes)
            elif orphans:
                all_ended = cancel_orphans(places, key_vault, limit, teller, ask=not yes)
            else:
                all_ended = cancel_named(names, places, limit, teller, ask=not yes)
    teller.close()
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
@click.option("--json", "as_json", is_flag=True, help="For programs: how it ended. The log goes to stderr.")
@operator_options
def wait(*, job_or_step_run: str, patience: float, as_json: bool, operator: str | None, cloud: str | None) -> None:
    """Wait for a job that nobody waits for any more.

    Shows its log, waits for its end, and tells the ZenML server how the step run ended, and the run if nobody goes on
    with it. Ctrl+C ends the job, as it does where a pipeline runs. Exits with 1 if the step failed.
    """
    # As Ctrl+C: a job that nobody waits for is not left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if as_json:
        log_to_stderr()
    from zenml_azureml.cli.jobs_wait import wait_for

    with click_errors():
        operators = chosen_operators(operator)
        limit = timedelta(seconds=patience)
        sys.exit(0 if wait_for(job_or_step_run, operators, cloud, limit, as_json=as_json) else 1)
