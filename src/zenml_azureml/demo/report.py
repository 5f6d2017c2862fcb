"""Report at the end of the demo: where each step ran, from ZenML and from the workspace.

A program of its own, with the environment that `zenml-azureml emulator env` sets. It queries the workspace as any
script would.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from zenml.models import StepRunResponse


@dataclass(frozen=True)
class StepReport:
    """Place and time of a step.

    Attributes:
        name: The step.
        status: ZenML's status of the step.
        where: `here`, or the kind of Azure ML compute.
        compute: Name of the compute; empty if it has none.
        seconds: Duration of the step, according to ZenML; None if it did not end.
        job: Name of its Azure ML job; empty if it had none.
        studio_url: Link to that job; empty if it had none.
    """

    name: str
    status: str
    where: str
    compute: str
    seconds: float | None
    job: str
    studio_url: str


def table(steps: list[StepReport]) -> Table:
    """Return a table of the places of steps; `links` has the long texts (jobs and links)."""
    result = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("Step", "Ended", "Where", "Compute"):
        result.add_column(heading, no_wrap=True)
    result.add_column("Seconds", justify="right", no_wrap=True)
    for step in steps:
        seconds = "" if step.seconds is None else f"{step.seconds:.1f}"
        result.add_row(step.name, step.status, step.where, step.compute, seconds)
    return result


def links(steps: list[StepReport]) -> list[str]:
    """Return the jobs and their links, as lines of text."""
    return [line for step in steps if step.job for line in (f"{step.name}: job {step.job}", f"  {step.studio_url}")]


def metrics(metadata: Mapping[str, object]) -> dict[str, float]:
    """Return the numbers in the metadata of a step."""
    return {
        name: value
        for name, value in sorted(metadata.items())
        if isinstance(value, float) and not name.startswith("azureml_")  # those are the step operator's own
    }


def describe(step: StepRunResponse, ml_client: MLClient) -> StepReport:
    """Return the place and time of a step, from its metadata and its job."""
    where, compute = "here", ""
    job = str(step.run_metadata.get("azureml_job_name", ""))
    if job:
        compute = str(ml_client.jobs.get(job).compute or "").rsplit("/", 1)[-1]
        where = _kind_of(compute, ml_client)
    elif step.config.step_operator:
        where = "not submitted"
    seconds = None
    if step.start_time is not None and step.end_time is not None:
        seconds = (step.end_time - step.start_time).total_seconds()
    studio_url = str(step.run_metadata.get("azureml_studio_url", ""))
    return StepReport(step.name, step.status.value, where, compute, seconds, job, studio_url)


def _kind_of(compute: str, ml_client: MLClient) -> str:
    if not compute or compute == "serverless":
        return "serverless"
    kinds = {"amlcompute": "compute cluster", "computeinstance": "compute instance"}
    return kinds.get(str(ml_client.compute.get(compute).type).lower(), "compute")


def main() -> None:
    """Print the report of the last pipeline run."""
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential
    from zenml.client import Client

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    runs = Client().list_pipeline_runs(sort_by="desc:created", size=1, hydrate=True).items
    if not runs:
        console.print("Nothing: the pipeline did not start.")
        return
    ml_client = MLClient(
        DefaultAzureCredential(),
        os.environ["AZUREML_ARM_SUBSCRIPTION"],
        os.environ["AZUREML_ARM_RESOURCEGROUP"],
        os.environ["AZUREML_ARM_WORKSPACE_NAME"],
    )
    runs_of_steps = sorted(runs[0].steps.values(), key=lambda step: step.created)
    reports = [describe(step, ml_client) for step in runs_of_steps]
    console.print(table(reports))
    if lines := links(reports):
        console.print("\nTheir jobs; the links open them in Azure ML studio when the workspace is a real one:")
        console.print("\n".join(lines))
    for step in runs_of_steps:
        if numbers := metrics(step.run_metadata):
            console.print(f"\nMetrics of {step.name}: " + ", ".join(f"{n} {v:.4f}" for n, v in numbers.items()))


if __name__ == "__main__":
    main()
