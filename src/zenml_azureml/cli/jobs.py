"""`zenml-azureml jobs`: commands for the Azure ML jobs of pipelines."""

from __future__ import annotations

import json
import signal
import sys
import webbrowser
from datetime import datetime, timedelta, timezone

import click

from zenml_azureml.cli.jobs_shell import shell
from zenml_azureml.cli.options import (
    chosen_operators,
    chosen_places,
    click_errors,
    found_job,
    log_to_stderr,
    operator_options,
    place_options,
)
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import working


@click.group(short_help="List, inspect, cancel and wait for jobs.")
def jobs() -> None:
    """List, inspect, cancel and wait for the Azure ML jobs of your pipelines.

    An orphan is an unfinished job of this ZenML server whose step run is finished or deleted. A job whose step run is
    still running is no orphan, even if its orchestrator was killed: `jobs wait JOB` reattaches to it, and
    `jobs cancel --run RUN` cancels it.
    """


jobs.add_command(shell)


@jobs.command("list", short_help="List unfinished jobs.")
@click.option("--run", metavar="RUN", help="Only jobs of this run, by name or ID.")
@click.option("--orphans", is_flag=True, help="Only orphans, and jobs that may be orphans.")
@click.option("--all", "finished_too", is_flag=True, help="Include finished jobs.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@place_options
def list_(*, run: str | None, orphans: bool, finished_too: bool, as_json: bool, **where: str | None) -> None:
    """List unfinished jobs, and finished jobs that ZenML still considers to be running.

    The column Since shows when a job started to run, or when it was submitted if it has not started. With --run, also
    shows the cost of each job and of the run, estimated from Azure's prices. A run that neither ZenML nor the workspace
    knows is an error.
    """
    log_to_stderr()
    from zenml_azureml.cli.jobs_list import show_json, show_table
    from zenml_azureml.job_admin.inventory import ends_unknown_to, jobs_in, judged
    from zenml_azureml.job_admin.run_status import check_run
    from zenml_azureml.job_admin.server import ServerView
    from zenml_azureml.lifecycle.cost import total_of

    with click_errors():
        places = chosen_places(**where)
        with working("Listing jobs"):
            # Finished ones too: they have cost something, and ZenML's server may not know that they have ended.
            of_run = list(jobs_in(places, finished_too=True, run=run))
            server = ServerView()
            if run is not None and not of_run:
                check_run(run, places)
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
        echo("No jobs found." if run or finished_too else f"No {'orphans' if orphans else 'unfinished jobs'}.")
    if of_run and run is not None and not as_json:
        echo(total_of([job for _, job in of_run], datetime.now(timezone.utc)).describe())


@jobs.command(short_help="Show one job, and why it failed.")
@click.argument("job_or_step_run", metavar="JOB_OR_STEP_RUN")
@click.option("--plot", is_flag=True, help="Print a plot (SVG) of its resource use; at a terminal, save it.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@place_options
def show(*, job_or_step_run: str, plot: bool, as_json: bool, **where: str | None) -> None:
    """Show one job, and why it failed.

    Prints its status, times, compute, run, step and use of resources. If the job failed, also the cause, the end of its
    log and the next steps. `--plot` prints only a plot of its use, e.g. `jobs show JOB --plot > use.svg`. At a terminal
    it saves JOB.svg in the current folder.
    """
    if plot and as_json:
        raise click.UsageError("--plot and --json cannot be combined.")
    log_to_stderr()
    from zenml_azureml.cli import jobs_show

    with click_errors():
        places = chosen_places(**where)
        if plot:
            jobs_show.plot(job_or_step_run, places)
        else:
            jobs_show.show(job_or_step_run, places, as_json=as_json)


@jobs.command(short_help="Print the log of a job.")
@click.argument("job_or_step_run", metavar="JOB_OR_STEP_RUN")
@click.option("-f", "--follow", is_flag=True, help="Follow the log until the job ends. Ctrl+C does not cancel the job.")
@click.option("-n", "--lines", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--json", "as_json", is_flag=True, help="Print each line as a JSON object.")
@place_options
def logs(*, job_or_step_run: str, follow: bool, lines: int | None, as_json: bool, **where: str | None) -> None:
    """Print the log of a job, with the lines of all its processes."""
    if follow and lines is not None:
        raise click.UsageError("--follow and --lines cannot be combined.")
    log_to_stderr()
    from zenml_azureml.cli.jobs_logs import follow_log, print_log

    with click_errors():
        place, job = found_job(job_or_step_run, chosen_places(**where))
        if follow:
            follow_log(place, job, as_json=as_json)
        else:
            print_log(place, job, lines, as_json=as_json)


@jobs.command("open", short_help="Open a job in Azure ML Studio.")
@click.argument("job_or_step_run", metavar="JOB_OR_STEP_RUN")
@click.option("--print", "only_print", is_flag=True, help="Print the URL without opening a browser.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON without opening a browser.")
@place_options
def open_(*, job_or_step_run: str, only_print: bool, as_json: bool, **where: str | None) -> None:
    """Open the page of a job in Azure ML Studio, and print its URL."""
    log_to_stderr()
    with click_errors():
        _, job = found_job(job_or_step_run, chosen_places(**where))
    if not job.studio_url:
        raise click.ClickException(f"Azure ML returned no Studio URL for the job `{job.name}`.")
    echo(json.dumps({"job": job.name, "studio_url": job.studio_url}) if as_json else job.studio_url)
    if not (only_print or as_json or webbrowser.open(job.studio_url)):
        echo("Failed to open a browser.", err=True)


_timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Time to wait for jobs to stop.",
)


@jobs.command(short_help="Cancel jobs, and confirm that they ended.")
@click.argument("names", metavar="[JOB...]", nargs=-1)
@click.option("--run", metavar="RUN", help="Run to stop, with its jobs, by name or ID.")
@click.option("--orphans", is_flag=True, help="Cancel all orphans of this ZenML server.")
@click.option("--yes", "-y", is_flag=True, help="Skip the confirmation prompt.")
@_timeout_option
@click.option(
    "--key-vault",
    metavar="NAME",
    help="Key vault in which to delete stale secrets, with --run or --orphans.  [default: the workspace's key vault]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON. Requires --yes.")
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
    """Cancel jobs, wait until they have ended, and delete their secrets from key vaults.

    With --run and --orphans, also delete the computes that were to be deleted after runs that are over. Exit code 1 if
    a job may still be running; a line on stderr then names it and the command that cancels it.
    """
    if (bool(names), run is not None, orphans).count(True) != 1:
        raise click.UsageError("Specify what to cancel: JOB..., --run RUN or --orphans.")
    if as_json and not yes:
        raise click.UsageError("--json requires --yes, because it shows no confirmation prompt.")
    log_to_stderr()
    from zenml_azureml.cli.jobs_cancel import Reporter, cancel_named, cancel_orphans, cancel_run
    from zenml_azureml.run_store.server_retries import ServerRetries, retrying

    reporter = Reporter(as_json=as_json)
    with click_errors():
        places = chosen_places(**where)
        limit = timedelta(seconds=timeout)
        with retrying(ServerRetries(max(place.server_timeout for place in places))):
            if run is not None:
                all_ended = cancel_run(run, places, key_vault, limit, reporter, ask=not yes)
            elif orphans:
                all_ended = cancel_orphans(places, key_vault, limit, reporter, ask=not yes)
            else:
                all_ended = cancel_named(names, places, limit, reporter, ask=not yes)
    reporter.close()
    sys.exit(0 if all_ended else 1)


@jobs.command(short_help="End jobs that are held open.")
@click.argument("names", metavar="JOB...", nargs=-1, required=True)
@_timeout_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@place_options
def release(*, names: tuple[str, ...], timeout: float, as_json: bool, **where: str | None) -> None:
    """End jobs that are held open after the failure of their steps.

    Cancels them in Azure ML, and deletes their secrets and the computes that were kept for them. Their
    steps remain failed. For a held job that has ended by itself, only deletes what was kept for it. Exit code 1 if a
    job is not held open, or may still be running.
    """
    log_to_stderr()
    from zenml_azureml.cli import jobs_release
    from zenml_azureml.cli.jobs_cancel import Reporter

    reporter = Reporter(as_json=as_json)
    with click_errors():
        places = chosen_places(**where)
        all_ended = jobs_release.release(names, places, timedelta(seconds=timeout), reporter)
    reporter.close()
    sys.exit(0 if all_ended else 1)


@jobs.command(short_help="Reattach to a job without orchestrator.")
@click.argument("job_or_step_run", metavar="JOB_OR_STEP_RUN")
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="Time to wait for the original orchestrator to report the result first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON. The log goes to stderr.")
@operator_options
def wait(*, job_or_step_run: str, patience: float, as_json: bool, operator: str | None, cloud: str | None) -> None:
    """Reattach to a job whose orchestrator is gone.

    Streams its log, waits for it to finish and updates the step and the run in ZenML. Ctrl+C cancels the job, as it
    does in a pipeline run. Exit code 1 if the step failed.
    """
    # As with Ctrl+C: no job is left running that no process waits for.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if as_json:
        log_to_stderr()
    from zenml_azureml.cli.jobs_wait import wait_for

    with click_errors():
        operators = chosen_operators(operator)
        limit = timedelta(seconds=patience)
        sys.exit(0 if wait_for(job_or_step_run, operators, cloud, limit, as_json=as_json) else 1)
