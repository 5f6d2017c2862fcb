"""Tables and JSON of jobs."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from zenml_azureml import tags
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.tables import show_rows
from zenml_azureml.job_admin.orphans import END_UNKNOWN, NoStepRun
from zenml_azureml.lifecycle.cost import in_usd, reserved_usd, usd_of

if TYPE_CHECKING:
    from zenml_azureml.job_admin.inventory import FoundJob


def show_table(jobs: list[FoundJob], *, costs: bool = False) -> None:
    """Print jobs as a table.

    Args:
        jobs: The jobs.
        costs: True to show what each has cost so far.
    """
    now = datetime.now(timezone.utc)
    headings = ["Job", "Status", "Since", "Where", "Step", "Run", "Step run", "Orphan"]
    several = len({job.place.workspace.address for job in jobs}) > 1
    rows = [
        [
            job.job.name,
            job.job.status,
            moment(job.job.started or job.job.created_at),
            _where(job, with_workspace=several),
            job.tag(tags.STEP),
            job.tag(tags.RUN),
            _step_run_status(job) or "",
            _orphan_in_words(job),
        ]
        for job in jobs
    ]
    if costs:
        headings.insert(4, "USD")
        for job, row in zip(jobs, rows, strict=True):
            usd = usd_of(job.job, now)
            row.insert(4, "unknown" if usd is None else in_usd(usd))
    show_rows(headings, rows, numbers=["USD"])
    unknown = [job.job.name for job in jobs if job.judgement.reason == END_UNKNOWN]
    if unknown:
        echo("To update ZenML with how a step ended, run:")
        for name in unknown:
            echo(f"  zenml-azureml jobs wait {name}")


def moment(time: datetime | None) -> str:
    """Return a time as tables show it; empty for None."""
    return f"{time.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC" if time else ""


def _where(job: FoundJob, *, with_workspace: bool) -> str:
    compute = job.job.compute or "serverless"
    return f"{compute} in {job.place.workspace.address.name}" if with_workspace else compute


def show_json(jobs: list[FoundJob]) -> None:
    """Print jobs as a JSON list of objects."""
    echo(json.dumps([job_as_json(job) for job in jobs], indent=2))


def job_as_json(found: FoundJob) -> dict[str, Any]:
    """Return a job as it is printed as JSON."""
    job, address = found.job, found.place.workspace.address
    return {
        "job": job.name,
        "status": job.status,
        "ended": job.phase.ended,
        "created_at": job.created_at and job.created_at.isoformat(),
        "started_at": job.started and job.started.isoformat(),
        "ended_at": job.ended and job.ended.isoformat(),
        "usd": usd_of(job, datetime.now(timezone.utc)),
        "reserved_usd": None if job.phase.ended else reserved_usd(job.tags),
        "compute": job.compute or None,
        "studio_url": job.studio_url or None,
        "subscription_id": address.subscription_id,
        "resource_group": address.resource_group,
        "workspace": address.name,
        "operator": found.operator or None,
        "pipeline": found.tag(tags.PIPELINE) or None,
        "run": found.tag(tags.RUN) or None,
        "run_id": found.tag(tags.RUN_ID) or None,
        "step": found.tag(tags.STEP) or None,
        "step_run_id": found.tag(tags.STEP_RUN_ID) or None,
        "server_id": found.tag(tags.SERVER_ID) or None,
        "held_until": _held_until(found),
        "step_run_status": _step_run_status(found),
        "orphan": found.judgement.orphan,
        "reason": found.judgement.reason or None,
    }


def _held_until(found: FoundJob) -> str | None:
    until = None if isinstance(found.step_run, NoStepRun) else found.step_run.held_until
    return None if until is None else until.isoformat()


def _step_run_status(job: FoundJob) -> str | None:
    if job.step_run is NoStepRun.GONE:
        return "gone"
    return None if isinstance(job.step_run, NoStepRun) else job.step_run.status


def _orphan_in_words(job: FoundJob) -> str:
    answer = {True: "yes", False: "no", None: "unknown"}[job.judgement.orphan]
    if job.job.phase.ended:
        return job.judgement.reason
    return f"{answer}: {job.judgement.reason}" if job.judgement.reason else answer
