"""Run history: status, logs and failure of a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.logs.files import user_logs
from zenml_azureml.azure.logs.line_decoder import without_terminal_codes
from zenml_azureml.azure.refusals.answers import said_in_json
from zenml_azureml.contract.usage import without_reports
from zenml_azureml.safe_text import safe_name

#: Run history writes times with up to seven decimals of a second (recorded: history_rundata_failed_command.json).
_MOMENT: TypeAdapter[datetime | None] = TypeAdapter(AwareDatetime | None)

#: Largest expected difference between the clocks of a node and of the service.
_CLOCKS_DIFFER = timedelta(seconds=5)


@dataclass(frozen=True)
class RunDetails:
    """Run history of a job.

    Attributes:
        status: Its status there.
        log_urls: SAS URL by path, of the logs of the user's processes, in order.
        error: Azure's message about a failure; empty if there is none.
        error_code: Code of the failure, e.g. `UserError`; empty if there is none.
        error_details: The statements nested in the failure, such as inner codes and details, one a line.
        started: Time at which it started to run; None if it never did.
        ended: Time of its end.
        time_limit: Longest time that Azure lets it run; None for no limit.
    """

    status: str
    log_urls: Mapping[str, str] = field(repr=False)
    error: str = ""
    error_code: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    time_limit: timedelta | None = None
    error_details: str = ""

    @property
    def time_used_up(self) -> timedelta | None:
        """The time limit, if the job has reached it; that is then the reason why Azure cancelled it."""
        if self.started is None or self.ended is None or self.time_limit is None:
            return None
        return self.time_limit if self.ended - self.started >= self.time_limit - _CLOCKS_DIFFER else None


def fetch_run_details(connection: WorkspaceConnection, job_name: str) -> RunDetails:
    """Request the run history of a job.

    Args:
        connection: The workspace.
        job_name: The job.

    Returns:
        Status, logs and the error, which Resource Manager does not report (recorded: job_get_failed.json).

    Raises:
        azure.core.exceptions.AzureError: If run history cannot be reached or does not know the job.
    """
    with connection.reading():
        return details_of(connection.get_json(f"{connection.run_history_url}/runs/{quote(job_name)}/details"))


def details_of(body: Mapping[str, Any]) -> RunDetails:
    """Parse an answer of run history.

    Args:
        body: Its JSON.
    """
    logs: dict[str, str] = body.get("logFiles") or {}
    if any(not isinstance(url, str) for url in logs.values()):
        raise TypeError("the address of a log is not a text")
    code, message = _failure(body.get("error"))
    # Recorded: history_rundata_failed_command.json; Azure ML knows `limits.timeout` by this name.
    seconds = (body.get("runDefinition") or {}).get("maxRunDurationSeconds")
    return RunDetails(
        status=safe_name(str(body.get("status") or "")),
        log_urls={path: logs[path] for path in user_logs(logs)},
        error=message,
        error_code=code,
        started=_moment(body.get("startTimeUtc")),
        ended=_moment(body.get("endTimeUtc")),
        time_limit=None if seconds is None else timedelta(seconds=float(seconds)),
        error_details=without_terminal_codes(said_in_json(body.get("error")).text),
    )


def _moment(text: Any) -> datetime | None:
    try:
        return _MOMENT.validate_python(text)
    except ValidationError:
        return None  # no reason to lose the rest


def _failure(error: Any) -> tuple[str, str]:
    """Return code and message of an error, which may be nested in another (recorded: error.error)."""
    while isinstance(error, dict) and isinstance(error.get("error"), dict):
        error = error["error"]
    if not isinstance(error, dict):
        return "", ""
    # Azure puts the end of the log into the message, including terminal colours.
    message = without_reports(without_terminal_codes(str(error.get("message") or "")))
    return safe_name(str(error.get("code") or "")), message.strip()
