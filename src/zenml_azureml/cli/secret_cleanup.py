"""`zenml-azureml jobs cancel`: deletes the secrets that jobs have left in key vaults."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from zenml_azureml import tags
from zenml_azureml.cli.output import echo
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.job_admin.inventory import is_id
from zenml_azureml.job_admin.orphans import NoStepRun
from zenml_azureml.job_admin.stale_secrets import SecretFacts, is_left
from zenml_azureml.safe_text import one_line

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.snapshot import JobSnapshot
    from zenml_azureml.azure.keyvault.client import ListedSecret
    from zenml_azureml.job_admin.server import ServerView
    from zenml_azureml.job_admin.workspaces import Place

#: Called for each secret that was to be deleted, with its URL and a problem; the problem is empty on success.
Report = Callable[[str, str], None]


def delete_secret_of(place: Place, job: JobSnapshot, report: Report) -> bool:
    """Delete the secret of a job that has ended, if it has one. Return True if none is left."""
    url = job.tags.get(tags.VAULT_SECRET, "")
    return not url or _delete(place, url, report)


def delete_left(
    places: Iterable[Place], key_vault: str | None, server: ServerView, report: Report, *, run: str = ""
) -> bool:
    """Delete the secrets that no job needs any more.

    Args:
        places: The workspaces whose jobs they were for.
        key_vault: Their key vault; None for each workspace's own.
        server: The ZenML server.
        report: Called for each secret.
        run: Name or id of a run that has been stopped, to delete its secrets only; empty for all runs.

    Returns:
        True if all secrets that were found are deleted.
    """
    all_gone = True
    for place in places:
        try:
            # Deleted after all are listed: the list must not change while it is read.
            left = [
                secret for secret in place.workspace.secrets.left(key_vault) if _is_left(place, secret, server, run)
            ]
        except AzureMLError as error:
            echo(f"Skipped the search for stale secrets in a key vault: {error}", err=True)
            continue
        for secret in left:
            all_gone = _delete(place, secret.url, report) and all_gone
    return all_gone


def _is_left(place: Place, secret: ListedSecret, server: ServerView, run: str) -> bool:
    if run and run != secret.tags.get(tags.RUN) and run.lower() != secret.tags.get(tags.RUN_ID):
        return False
    job = place.workspace.find_job(secret.tags.get(tags.JOB, ""))
    facts = SecretFacts(secret.tags, secret.created, None if job is None else job.phase.ended)
    step_run_id = secret.tags.get(tags.STEP_RUN_ID, "")
    known = job is None and not run and is_id(step_run_id) and server.id == secret.tags.get(tags.SERVER_ID)
    step_run = server.step_run(step_run_id) if known else NoStepRun.NOT_TOLD
    return is_left(facts, server.id, step_run, datetime.now(timezone.utc), run_stopped=bool(run))


def _delete(place: Place, url: str, report: Report) -> bool:
    problem = ""
    try:
        place.workspace.secrets.delete(url)
    except AzureMLError as error:
        problem = one_line(str(error))
    report(url, problem)
    return not problem
