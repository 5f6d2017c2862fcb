"""The metrics that a job has logged to its own run, as Azure ML's MLflow API has them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from zenml_azureml.azure.connection import WorkspaceConnection


def fetch_metrics(connection: WorkspaceConnection, job_name: str) -> dict[str, float | str]:
    """Request the last value of each metric of a job's run.

    The API is MLflow's "Get Run", below the address that azureml-mlflow uses. It takes the same token as run history.

    Args:
        connection: The workspace.
        job_name: The job, whose run has the same id.

    Returns:
        Values by name, as `metrics_of` returns them.

    Raises:
        azure.core.exceptions.AzureError: If the API cannot be reached, or refuses.
        KeyError, TypeError, ValueError: If its answer has another form.
    """
    with connection.reading():
        return metrics_of(connection.get_json(f"{connection.mlflow_url}/runs/get?run_id={quote(job_name, safe='')}"))


def metrics_of(body: Mapping[str, Any]) -> dict[str, float | str]:
    """Parse an answer of "Get Run".

    Args:
        body: Its JSON. MLflow writes numbers that JSON does not have as `NaN`, `Infinity` and `-Infinity`.

    Returns:
        Values by name, in the order of names; a text for a value that is no finite number, which JSON cannot store.
    """
    metrics = body["run"].get("data", {}).get("metrics") or []
    found = {str(metric["key"]): float(metric["value"]) for metric in metrics}
    return {key: found[key] if math.isfinite(found[key]) else str(found[key]) for key in sorted(found)}
