"""`zenml-azureml jobs show`: one job, and the cause of its failure."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zenml_azureml import tags
from zenml_azureml.azure.jobs.handle import JobHandle
from zenml_azureml.azure.jobs.status import JobPhase
from zenml_azureml.azure.sizes.advice import in_words
from zenml_azureml.cli.jobs_list import job_as_json, moment
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import working
from zenml_azureml.cli.tables import show_facts
from zenml_azureml.contract.usage import Usage, merged, usages_in
from zenml_azureml.exceptions import AzureMLError, JobFailedError
from zenml_azureml.job_admin.inventory import FoundJob, find_job, is_id, job_name, judged
from zenml_azureml.job_admin.orphans import NoStepRun
from zenml_azureml.job_admin.server import ServerView
from zenml_azureml.job_admin.takeover import no_such_job
from zenml_azureml.job_admin.usage_plot import usage_svg
from zenml_azureml.lifecycle.cost import in_usd, usd_of
from zenml_azureml.lifecycle.outcome import job_failure
from zenml_azureml.lifecycle.right_size import Machine
from zenml_azureml.run_store import step_runs

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.details import JobDetails
    from zenml_azureml.azure.jobs.snapshot import JobSnapshot
    from zenml_azureml.job_admin.workspaces import Place


def show(job_or_step_run: str, places: list[Place], *, as_json: bool) -> None:
    """Print the details of a job.

    Args:
        job_or_step_run: Name of the job, or id of its step run.
        places: The workspaces to search.
        as_json: True to print JSON.

    Raises:
        AzureMLError: If there is no such job.
    """
    with working("Reading the job"):
        place, account = _described(job_or_step_run, places)
        server = ServerView()
        (found,) = judged([(place, account.job)], server)
        failure = _failure(account, server, place)
        usage = merged(_usages(account, server))
    if as_json:
        echo(json.dumps(_as_json(found, account, failure, usage), indent=2))
        return
    show_facts([*_facts(found, account), *([("Use", in_words(usage))] if usage else [])])
    if failure is not None:
        echo()
        echo(str(failure))


def plot(job_or_step_run: str, places: list[Place]) -> None:
    """Print a plot of what a job has used, or save it if there is a terminal.

    Args:
        job_or_step_run: Name of the job, or id of its step run.
        places: The workspaces to search.

    Raises:
        AzureMLError: If there is no such job, it has not reported its use, or there is such a file.
    """
    with working("Reading the job"):
        _, account = _described(job_or_step_run, places)
        usages = _usages(account, ServerView())
    if not usages:
        raise AzureMLError(
            f"The job `{account.job.name}` has not reported its resource use.",
            hint="Jobs report it from their first seconds on, unless `sampling=False` is set, or their image has no "
            "version of zenml-azureml that supports it.",
        )
    svg = usage_svg(account.display_name or account.job.name, usages)
    if not sys.stdout.isatty():
        echo(svg, nl=False)
        return
    echo(str(saved_plot(svg, account.job.name)))


def saved_plot(svg: str, job_name: str) -> Path:
    """Save a plot in the current folder, and return its path.

    Args:
        svg: The plot.
        job_name: The job.

    Raises:
        AzureMLError: If there is such a file.
    """
    path = Path(f"{job_name}.svg")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(svg)
    except FileExistsError:
        command = f"zenml-azureml jobs show {job_name} --plot > FILE"
        raise AzureMLError(f"The file `{path}` already exists.", hint=f"To write another file:\n{command}") from None
    return path


def _usages(account: JobDetails, server: ServerView) -> list[Usage]:
    """Return what the nodes of a job have used, from its log or else from ZenML's server; empty if unknown."""
    if account.log_end.usages:
        return sorted(account.log_end.usages, key=lambda usage: usage.node)
    step_run_id = _step_run_id(account.job, server)
    if step_run_id is None:
        return []
    try:
        return usages_in(step_runs.with_metadata(step_run_id).run_metadata)
    except Exception:  # noqa: BLE001 - a job is shown without its use
        return []


def _step_run_id(job: JobSnapshot, server: ServerView) -> UUID | None:
    """Return the id of a job's step run; None if it is of another ZenML server, or of none."""
    step_run_id = job.tags.get(tags.STEP_RUN_ID, "")
    is_known = is_id(step_run_id) and server.id is not None and job.tags.get(tags.SERVER_ID) == server.id
    return UUID(step_run_id) if is_known else None


def _described(job_or_step_run: str, places: list[Place]) -> tuple[Place, JobDetails]:
    """Return the details of a job, and its workspace.

    Raises:
        AzureMLError: If no workspace has the job.
    """
    found = find_job(job_or_step_run, places)
    account = found and found[0].workspace.describe_job(found[1].name)
    if found is None or account is None:
        raise no_such_job(job_name(job_or_step_run), places)
    return found[0], account


def _failure(account: JobDetails, server: ServerView, place: Place) -> JobFailedError | None:
    """Return the failure of the job; None if it did not fail."""
    job = account.job
    time_used_up = account.details and account.details.time_used_up
    if job.phase is not JobPhase.FAILED and not time_used_up and not account.log_end.ended_itself:
        return None
    step_run_id = _step_run_id(job, server)
    try:
        reported = "" if step_run_id is None else step_runs.reported_failure(step_run_id)
    except Exception:  # noqa: BLE001 - the failure is shown even without the server's part of it
        reported = ""
    # Of a job on another compute, the kind is not known.
    machine = None if account.job.compute else Machine(place.workspace, account.size, nodes=account.nodes)
    known = JobHandle(
        job.name,
        job.status,
        job.studio_url,
        tags=job.tags,
        details=account.details,
        log_end=account.log_end,
        address=place.workspace.address,
    )
    return job_failure(f"The Azure ML job `{job.name}`", known, reported, machine=machine)


def _facts(found: FoundJob, account: JobDetails) -> list[tuple[str, str]]:
    job, details, address = account.job, account.details, found.place.workspace.address
    started, ended = (details.started, details.ended) if details else (None, None)
    size = account.size and f" ({account.size})"
    nodes = f", {account.nodes} nodes" if account.nodes > 1 else ""
    facts = [
        ("Job", job.name),
        ("Name", account.display_name),
        ("Status", f"{job.status} (it ended itself)" if account.log_end.ended_itself else job.status),
        ("Pipeline", found.tag(tags.PIPELINE)),
        ("Run", found.tag(tags.RUN)),
        ("Step", found.tag(tags.STEP)),
        ("Step run", _step_run(found)),
        ("Experiment", account.experiment),
        ("Compute", f"{job.compute or 'serverless'}{size}{nodes}"),
        ("Environment", account.environment),
        ("Submitted", moment(job.created_at)),
        ("Started", moment(started)),
        ("Ended", moment(ended)),
        ("Ran for", _span(started, ended)),
        ("Cost", _cost(job)),
        ("Time limit", str(details.time_limit) if details and details.time_limit else ""),
        ("Workspace", f"{address.name} (resource group {address.resource_group})"),
        ("Studio", job.studio_url),
        ("ZenML", found.tag(tags.RUN_URL)),
    ]
    if found.judgement.orphan:
        facts.append(("Orphan", f"yes: {found.judgement.reason}"))
    return [(name, value) for name, value in facts if value]


def _step_run(found: FoundJob) -> str:
    known = found.step_run
    status = "" if isinstance(known, NoStepRun) else f" ({known.status})"
    return f"{found.tag(tags.STEP_RUN_ID)}{status}" if found.tag(tags.STEP_RUN_ID) else ""


def _span(started: datetime | None, ended: datetime | None) -> str:
    return str(timedelta(seconds=round((ended - started).total_seconds()))) if started and ended else ""


def _cost(job: JobSnapshot) -> str:
    """Return the cost of the job so far, estimated from Azure's price."""
    usd = usd_of(job, datetime.now(timezone.utc))
    if usd is None:
        return "unknown"
    per_hour = job.tags.get(tags.USD_PER_HOUR)
    return f"about {in_usd(usd)} USD{f' ({per_hour} per hour, all nodes)' if per_hour else ''}"


def _as_json(
    found: FoundJob, account: JobDetails, failure: JobFailedError | None, usage: Usage | None
) -> dict[str, Any]:
    details = account.details
    started, ended = (details.started, details.ended) if details else (None, None)
    return {
        **job_as_json(found),
        "display_name": account.display_name or None,
        "experiment": account.experiment or None,
        "environment": account.environment or None,
        "size": account.size or None,
        "nodes": account.nodes,
        "started_at": started and started.isoformat(),
        "ended_at": ended and ended.isoformat(),
        "tags": dict(account.job.tags),
        "usage": usage and usage.as_json(),
        "failure": failure
        and {
            "what": failure.summary,
            "azure_says": failure.azure_message or None,
            "log_tail": list(failure.log_tail),
            "log_of": failure.log_source or None,
            "do_next": failure.hint or None,
        },
    }
