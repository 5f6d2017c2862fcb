"""What run history tells of a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zenml_azureml.workspace.connection import WorkspaceConnection
from zenml_azureml.workspace.log_files import user_logs
from zenml_azureml.workspace.log_lines import without_terminal_codes


@dataclass(frozen=True)
class RunDetails:
    """What run history tells of a job.

    Attributes:
        status: Its status there.
        log_urls: SAS URL by path, of the logs of the user's processes, in order.
        error: Azure's account of a failure; empty where there is none.
        error_code: Code of the failure, e.g. `UserError`; empty where there is none.
    """

    status: str
    log_urls: Mapping[str, str] = field(repr=False)
    error: str = ""
    error_code: str = ""


def fetch_run_details(connection: WorkspaceConnection, job_name: str) -> RunDetails:
    """Ask run history about a job.

    Args:
        connection: The workspace.
        job_name: The job.

    Returns:
        Status, logs and the error, which Resource Manager does not tell (recorded: job_get_failed.json).

    Raises:
        azure.core.exceptions.AzureError: If run history cannot be reached or does not know the job.
    """
    body = connection.get_json(f"{connection.run_history_url}/runs/{job_name}/details")
    logs: dict[str, str] = body.get("logFiles") or {}
    code, message = _failure(body.get("error"))
    return RunDetails(
        status=str(body.get("status") or ""),
        log_urls={path: logs[path] for path in user_logs(logs)},
        error=message,
        error_code=code,
    )


def _failure(error: Any) -> tuple[str, str]:
    """Code and message of an error, which may stand in another (recorded: error.error)."""
    while isinstance(error, dict) and isinstance(error.get("error"), dict):
        error = error["error"]
    if not isinstance(error, dict):
        return "", ""
    # Azure puts the end of the log into the message, colours and all.
    message = without_terminal_codes(str(error.get("message") or ""))
    return str(error.get("code") or ""), message.strip()
