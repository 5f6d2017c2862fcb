"""`zenml-azureml jobs cancel`: selects the jobs, and reports what became of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from zenml_azureml import tags
from zenml_azureml.azure.jobs.status import JobPhase
from zenml_azureml.cli.compute_cleanup import delete_compute_of, delete_left_computes
from zenml_azureml.cli.jobs_list import show_table
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import counted, working
from zenml_azureml.cli.secret_cleanup import delete_left, delete_secret_of
from zenml_azureml.job_admin import run_status
from zenml_azureml.job_admin.cancellation import Cancelled, cancel_all
from zenml_azureml.job_admin.inventory import find_job, is_id, job_name, jobs_in, judged
from zenml_azureml.job_admin.server import ServerView
from zenml_azureml.job_admin.workspaces import in_words
from zenml_azureml.run_store.server_retries import ServerUnavailableError, retrying

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

    from zenml_azureml.azure.jobs.snapshot import JobSnapshot
    from zenml_azureml.job_admin.inventory import FoundAt
    from zenml_azureml.job_admin.workspaces import Place


class Reporter:
    """Prints the result for each job: as sentences at once, or as JSON at the end.

    Args:
        as_json: True for JSON.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._results: list[dict[str, Any]] = []

    def job(self, result: Cancelled) -> None:
        """Report the result for a job."""
        job = result.job
        self._results.append(
            {
                "job": job.name,
                "status": job.status,
                "ended": job.phase.ended and not result.problem,
                "problem": result.problem or None,
            }
        )
        if result.problem:
            echo(result.problem, err=True)
        else:
            self.say(f"The Azure ML job `{job.name}` has ended: {job.status}.")

    def secret(self, url: str, problem: str) -> None:
        """Report the result for a secret in a key vault."""
        self._results.append({"secret": url, "deleted": not problem, "problem": problem or None})
        if problem:
            echo(problem, err=True)
        else:
            self.say(f"Deleted the secret {url}.")

    def missing(self, name: str, places: list[Place]) -> None:
        """Report that there is no such job."""
        problem = f"There is no job `{name}` in {in_words(places)}."
        self._results.append({"job": name, "status": None, "ended": None, "problem": problem})
        echo(problem, err=True)

    def say(self, sentence: str) -> None:
        """Print a sentence: on stderr if the result is JSON."""
        echo(sentence, err=self._as_json)

    def close(self) -> None:
        """Print the results as JSON, if that was asked for."""
        if self._as_json:
            echo(json.dumps(self._results, indent=2))


def cancel_named(
    names: Sequence[str], places: list[Place], timeout: timedelta, reporter: Reporter, *, ask: bool
) -> bool:
    """Cancel jobs by name, or by the id of their step run.

    Args:
        names: Names and ids.
        places: The workspaces to search.
        timeout: Time to wait for all of them to end.
        reporter: Prints the results.
        ask: True to ask for confirmation.

    Returns:
        True if all have ended.
    """
    found: list[FoundAt] = []
    missing = False
    looked_for = ((name, find_job(name, places)) for name in names)
    for name, job_at in counted("Looking for jobs", looked_for, len(names)):
        if job_at is None:
            missing = True
            reporter.missing(job_name(name), places)
        elif job_at[1].phase.ended:
            reporter.job(Cancelled(*job_at))
            delete_secret_of(*job_at, reporter.secret)
            delete_compute_of(*job_at)
        else:
            found.append(job_at)
    return _cancel(found, ServerView(), timeout, reporter, ask=ask) and not missing


def cancel_orphans(
    places: list[Place], key_vault: str | None, timeout: timedelta, reporter: Reporter, *, ask: bool
) -> bool:
    """Cancel the orphans of this ZenML server, and delete the secrets that jobs have left in key vaults.

    Args:
        places: The workspaces to search.
        key_vault: The key vault; None for each workspace's own.
        timeout: Time to wait for all of them to end.
        reporter: Prints the results.
        ask: True to ask for confirmation.

    Returns:
        True if all have ended.
    """
    server = ServerView()
    with working("Listing jobs"):
        unfinished = judged(jobs_in(places), server)
    unclear = Counter(job.judgement.reason for job in unfinished if job.judgement.orphan is None)
    if unclear:
        reasons = ", ".join(f"{reason}: {number}" for reason, number in unclear.items())
        echo(
            f"Skipped {unclear.total()} {'job' if unclear.total() == 1 else 'jobs'}, because it is unknown whether "
            f"{'it is an orphan' if unclear.total() == 1 else 'they are orphans'} ({reasons}). "
            "To list them: zenml-azureml jobs list --orphans",
            err=True,
        )
    orphans = [(job.place, job.job) for job in unfinished if job.judgement.orphan]
    all_ended = True
    if orphans:
        all_ended = _cancel(orphans, server, timeout, reporter, ask=ask)
    else:
        reporter.say("No orphans.")
    all_gone = delete_left_computes(places, server)
    return delete_left(places, key_vault, server, reporter.secret) and all_gone and all_ended


def cancel_run(
    run: str, places: list[Place], key_vault: str | None, timeout: timedelta, reporter: Reporter, *, ask: bool
) -> bool:
    """Cancel the unfinished jobs of a run, delete their secrets from key vaults, and stop the run in ZenML.

    Args:
        run: Name or id of the run.
        places: The workspaces to search.
        key_vault: The key vault; None for each workspace's own.
        timeout: Time to wait for all of them to end.
        reporter: Prints the results.
        ask: True to ask for confirmation.

    Returns:
        True if all have ended.

    Raises:
        click.UsageError: If jobs of several runs have that name.
    """
    server = ServerView()
    with working("Looking for the run and its jobs"):
        known = _known_run(run, server)
        of_run = list(jobs_in(places, finished_too=known is not None, run=run if known is None else str(known.id)))
    found = [(place, job) for place, job in of_run if not job.phase.ended]
    run_ids = {job.tags.get(tags.RUN_ID) for _, job in found}
    if len(run_ids) > 1:
        raise click.UsageError(f"Several runs are named `{run}`. Use an ID: {', '.join(sorted(map(str, run_ids)))}.")
    to_stop = None if known is None or known.status.is_finished else known
    run_id_of_all = next((job.tags.get(tags.RUN_ID, "") for _, job in of_run), "" if known is None else str(known.id))
    if not found and to_stop is None:
        reporter.say(f"The run `{run}` has no unfinished jobs in {in_words(places)}.")
        all_gone = not run_id_of_all or delete_left_computes(places, server, run_id=run_id_of_all)
        return delete_left(places, key_vault, server, reporter.secret, run=run) and all_gone
    all_ended = _cancel(found, server, timeout, reporter, ask=ask, run=to_stop)
    if to_stop is not None:
        run_id, with_job = to_stop.id, {job.tags.get(tags.STEP_RUN_ID, "") for _, job in of_run}
        _tell_server(
            "steps without a job have ended", lambda: run_status.steps_without_job_ended(run_id, places, with_job)
        )
        _end_run(to_stop.id, [job for _, job in of_run if job.phase.ended], server, reporter)
    all_gone = not run_id_of_all or delete_left_computes(places, server, run_id=run_id_of_all)
    return delete_left(places, key_vault, server, reporter.secret, run=run) and all_gone and all_ended


def _cancel(
    found: list[FoundAt],
    server: ServerView,
    timeout: timedelta,
    reporter: Reporter,
    *,
    ask: bool,
    run: PipelineRunResponse | None = None,
) -> bool:
    if ask and (found or run):
        if found:
            with working("Looking for the jobs' step runs"):
                of_server = judged(found, server)
            show_table(of_server)
        asked = [f"cancel {len(found)} {'job' if len(found) == 1 else 'jobs'}"] if found else []
        asked += [f"stop the run `{run.name}`"] if run else []
        click.confirm(f"{' and '.join(asked).capitalize()}?", abort=True)
    if run is not None:
        with retrying(None):  # the jobs are cancelled first, and the server is asked again after that
            _tell_server(f"the run `{run.name}` is to stop", lambda: run_status.ask_to_stop(run))
    results, cancelled = [], []
    doing = "Cancelling the job" if len(found) == 1 else "Cancelling jobs"
    for result in counted(doing, cancel_all(found, timeout), len(found)):
        results.append(result)
        reporter.job(result)
        if not result.problem:
            delete_secret_of(result.place, result.job, reporter.secret)
            delete_compute_of(result.place, result.job)
        # If a job has ended by itself in the meantime, the process that waits for it reports that. If this command
        # stops the run, there may be no such process.
        if not result.problem and (run is not None or result.job.phase is JobPhase.CANCELED):
            cancelled.append(result.job)
    for job in cancelled:  # when all have been cancelled: the server may be unavailable
        _tell_server_of_step(job, server, by_command=True)
    return not any(result.problem for result in results)


def _tell_server_of_step(job: JobSnapshot, server: ServerView, *, by_command: bool) -> None:
    step_run_id = job.tags.get(tags.STEP_RUN_ID, "")
    if not is_id(step_run_id) or server.id is None or job.tags.get(tags.SERVER_ID) != server.id:
        return
    _tell_server(
        f"the job of the step `{job.tags.get(tags.STEP)}` has ended",
        lambda: run_status.publish_step_end(UUID(step_run_id), job, by_command=by_command),
        f"zenml-azureml jobs wait {job.name}",
    )


def _tell_server(what: str, report: Callable[[], None], command: str = "") -> None:
    """Report something to ZenML's server; the jobs are cancelled even if the server cannot be reached.

    Args:
        what: The fact to report, as a clause.
        report: Reports it.
        command: The command that does it later.
    """
    try:
        report()
    except ServerUnavailableError as error:
        later = f" When it is available again, run: {command}" if command else ""
        echo(f"The ZenML server does not know that {what}: {error}{later}", err=True)
    except Exception as error:  # noqa: BLE001 - it fails in as many ways as there are stores and networks
        echo(f"Failed to report to the ZenML server that {what}: {error}", err=True)


def _end_run(run_id: UUID, ended_before: Sequence[JobSnapshot], server: ServerView, reporter: Reporter) -> None:
    for job in ended_before:  # of those that were cancelled now, the server knows
        _tell_server_of_step(job, server, by_command=False)
    command = f"zenml-azureml jobs cancel --run {run_id}"
    _tell_server("the run is stopped", lambda: _stop_run(run_id, reporter), command)


def _stop_run(run_id: UUID, reporter: Reporter) -> None:
    run = run_status.mark_run_stopped(run_id)
    reporter.say(f"The run `{run.name}` is {run.status.value}.")
    if not run.status.is_finished:
        steps = ", ".join(f"`{name}`" for name in run_status.unfinished_steps(run))
        echo(f"Steps of the run that have not ended on the ZenML server: {steps}.", err=True)


def _known_run(run: str, server: ServerView) -> PipelineRunResponse | None:
    """Return the run from ZenML's server; None if unknown or the server is unavailable: the jobs' tags name it too."""
    try:
        return None if server.id is None else run_status.find_run(run)
    except Exception as error:  # noqa: BLE001 - as above
        echo(f"Failed to read the run `{run}` from the ZenML server: {error}", err=True)
        return None
