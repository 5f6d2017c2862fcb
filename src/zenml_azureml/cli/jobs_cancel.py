"""`zenml-azureml jobs cancel`: what is chosen, what is told of it."""

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
from zenml_azureml.cli.jobs_list import show_table
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import counted, working
from zenml_azureml.cli.secret_cleanup import delete_left, delete_secret_of
from zenml_azureml.job_admin import run_status
from zenml_azureml.job_admin.cancellation import Cancelled, cancel_all
from zenml_azureml.job_admin.inventory import find_job, is_id, job_name, jobs_in, judged
from zenml_azureml.job_admin.server import ServerView
from zenml_azureml.job_admin.takeover import in_words
from zenml_azureml.run_store.server_retries import ServerUnavailableError, retrying

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

    from zenml_azureml.azure.jobs.listing import ListedJob
    from zenml_azureml.job_admin.inventory import FoundAt
    from zenml_azureml.job_admin.workspaces import Place


class Reporter:
    """Tells what becomes of jobs: people at once, programs all together at the end.

    Args:
        as_json: Whether it is for a program.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._told: list[dict[str, Any]] = []

    def job(self, result: Cancelled) -> None:
        """What became of a job."""
        job = result.job
        self._told.append(
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
        """What became of a secret in a key vault."""
        self._told.append({"secret": url, "deleted": not problem, "problem": problem or None})
        if problem:
            echo(problem, err=True)
        else:
            self.say(f"The secret {url} is deleted.")

    def missing(self, name: str, places: list[Place]) -> None:
        """That there is no such job."""
        problem = f"There is no job `{name}` in {in_words(places)}."
        self._told.append({"job": name, "status": None, "ended": None, "problem": problem})
        echo(problem, err=True)

    def say(self, sentence: str) -> None:
        """Something for people."""
        echo(sentence, err=self._as_json)

    def close(self) -> None:
        """All has been told."""
        if self._as_json:
            echo(json.dumps(self._told, indent=2))


def cancel_named(names: Sequence[str], places: list[Place], timeout: timedelta, teller: Reporter, *, ask: bool) -> bool:
    """Cancel jobs by name, or by the id of their step run.

    Args:
        names: Names and ids.
        places: Where they are looked for.
        timeout: How long they may take to end.
        teller: Who is told.
        ask: Whether to ask before.

    Returns:
        Whether all have ended.
    """
    found: list[FoundAt] = []
    missing = False
    looked_for = ((name, find_job(name, places)) for name in names)
    for name, job_at in counted("Looking for jobs", looked_for, len(names)):
        if job_at is None:
            missing = True
            teller.missing(job_name(name), places)
        elif job_at[1].phase.ended:
            teller.job(Cancelled(*job_at))
            delete_secret_of(*job_at, teller.secret)
        else:
            found.append(job_at)
    return _cancel(found, ServerView(), timeout, teller, ask=ask) and not missing


def cancel_orphans(
    places: list[Place], key_vault: str | None, timeout: timedelta, teller: Reporter, *, ask: bool
) -> bool:
    """Cancel the orphans of this ZenML server, and delete what jobs have left in key vaults.

    Args:
        places: Where they are looked for.
        key_vault: The key vault; None for each workspace's own.
        timeout: How long they may take to end.
        teller: Who is told.
        ask: Whether to ask before.

    Returns:
        Whether all have ended.
    """
    server = ServerView()
    with working("Listing jobs"):
        unfinished = judged(jobs_in(places), server)
    untold = Counter(job.judgement.reason for job in unfinished if job.judgement.orphan is None)
    if untold:
        reasons = ", ".join(f"{reason}: {number}" for reason, number in untold.items())
        echo(
            f"Left alone, because it cannot be told from here whether they are orphans: {untold.total()} "
            f"({reasons}). `zenml-azureml jobs list --orphans` shows them.",
            err=True,
        )
    orphans = [(job.place, job.job) for job in unfinished if job.judgement.orphan]
    all_ended = True
    if orphans:
        all_ended = _cancel(orphans, server, timeout, teller, ask=ask)
    else:
        teller.say("No orphans.")
    return delete_left(places, key_vault, server, teller.secret) and all_ended


def cancel_run(
    run: str, places: list[Place], key_vault: str | None, timeout: timedelta, teller: Reporter, *, ask: bool
) -> bool:
    """Cancel the unfinished jobs of a run, delete what they have in key vaults, and have ZenML's server know of it.

    Args:
        run: Its name or id.
        places: Where its jobs are looked for.
        key_vault: The key vault; None for each workspace's own.
        timeout: How long they may take to end.
        teller: Who is told.
        ask: Whether to ask before.

    Returns:
        Whether all have ended.

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
        raise click.UsageError(f"Several runs are named `{run}`; give an id: {', '.join(sorted(map(str, run_ids)))}.")
    to_stop = None if known is None or known.status.is_finished else known
    if not found and to_stop is None:
        teller.say(f"The run `{run}` has no unfinished jobs in {in_words(places)}.")
        return delete_left(places, key_vault, server, teller.secret, run=run)
    all_ended = _cancel(found, server, timeout, teller, ask=ask, run=to_stop)
    if to_stop is not None:
        run_id, with_job = to_stop.id, {job.tags.get(tags.STEP_RUN_ID, "") for _, job in of_run}
        _tell_server(
            "steps without a job have ended", lambda: run_status.steps_without_job_ended(run_id, places, with_job)
        )
        _end_run(to_stop.id, [job for _, job in of_run if job.phase.ended], server, teller)
    return delete_left(places, key_vault, server, teller.secret, run=run) and all_ended


def _cancel(
    found: list[FoundAt],
    server: ServerView,
    timeout: timedelta,
    teller: Reporter,
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
    doing = "Ending the job" if len(found) == 1 else "Ending jobs"
    for result in counted(doing, cancel_all(found, timeout), len(found)):
        results.append(result)
        teller.job(result)
        if not result.problem:
            delete_secret_of(result.place, result.job, teller.secret)
        # Whoever waits for a job that has ended by itself in the meantime tells of it; nobody may, where the run is
        # ended from here.
        if not result.problem and (run is not None or result.job.phase is JobPhase.CANCELED):
            cancelled.append(result.job)
    for job in cancelled:  # when all have been cancelled: the server may be unavailable
        _tell_server_of_step(job, server, by_command=True)
    return not any(result.problem for result in results)


def _tell_server_of_step(job: ListedJob, server: ServerView, *, by_command: bool) -> None:
    step_run_id = job.tags.get(tags.STEP_RUN_ID, "")
    if not is_id(step_run_id) or server.id is None or job.tags.get(tags.SERVER_ID) != server.id:
        return
    _tell_server(
        f"the job of the step `{job.tags.get(tags.STEP)}` has ended",
        lambda: run_status.publish_step_end(UUID(step_run_id), job, by_command=by_command),
        f"zenml-azureml jobs wait {job.name}",
    )


def _tell_server(what: str, tell: Callable[[], None], command: str = "") -> None:
    """Report something to ZenML's server; the jobs are cancelled even if the server cannot be reached.

    Args:
        what: The fact to report, as a clause.
        tell: Reports it.
        command: The command that does it later.
    """
    try:
        tell()
    except ServerUnavailableError as error:
        later = f" When it is available again, run: {command}" if command else ""
        echo(f"The ZenML server does not know that {what}: {error}{later}", err=True)
    except Exception as error:  # noqa: BLE001 - it fails in as many ways as there are stores and networks
        echo(f"Failed to report to the ZenML server that {what}: {error}", err=True)


def _end_run(run_id: UUID, ended_before: Sequence[ListedJob], server: ServerView, teller: Reporter) -> None:
    for job in ended_before:  # of those that were cancelled now, the server knows
        _tell_server_of_step(job, server, by_command=False)
    command = f"zenml-azureml jobs cancel --run {run_id}"
    _tell_server("the run is stopped", lambda: _stop_run(run_id, teller), command)


def _stop_run(run_id: UUID, teller: Reporter) -> None:
    run = run_status.mark_run_stopped(run_id)
    teller.say(f"The run `{run.name}` is {run.status.value}.")
    if not run.status.is_finished:
        steps = ", ".join(f"`{name}`" for name in run_status.unfinished_steps(run))
        echo(f"On the ZenML server these steps of it have not ended: {steps}.", err=True)


def _known_run(run: str, server: ServerView) -> PipelineRunResponse | None:
    """The run as ZenML's server knows it; None also where it does not tell: the tags of the jobs name it too."""
    try:
        return None if server.id is None else run_status.find_run(run)
    except Exception as error:  # noqa: BLE001 - as above
        echo(f"The ZenML server does not tell of the run `{run}`: {error}", err=True)
        return None
