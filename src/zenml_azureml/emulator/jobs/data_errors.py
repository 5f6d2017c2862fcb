"""Failures of a job whose data cannot be had: what Azure ML's data capability reports."""

from __future__ import annotations

import json
from typing import Literal

from zenml_azureml.emulator.jobs.exits import FailedError

Reason = Literal["NotFound", "PermissionDenied", "ConnectionFailure"]

#: Part of the runtime that fails, by the mode of an input. Quoted is that of mounts
#: (Azure/azure-sdk-for-python#27318, Azure-Samples/azure-ml-federated-learning#195). Guess: the others.
_SESSIONS = {
    "ReadOnlyMount": "UriMountSession.PyFuseError",
    "ReadWriteMount": "UriMountSession.PyFuseError",
    "Download": "UriDownloadSession.UserErrorException",
}


class DataAccessError(Exception):
    """Data that cannot be had.

    Args:
        reason: The reason, by Azure ML's name of it.
        detail: What was found out, for the job's system log.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def data_failure(name: str, uri: str, mode: str, error: DataAccessError) -> FailedError:
    """Return the failure of a job whose input cannot be had.

    Args:
        name: Of the input.
        uri: What it names.
        mode: Mode of the input.
        error: The reason.
    """
    why = f"DataAccessError({error.reason})"
    body = {
        "code": f"data-capability.{_SESSIONS.get(mode, _SESSIONS['ReadOnlyMount'])}",
        "target": "",
        "category": "UserError",
        "error_details": [
            {"key": "NonCompliantReason", "value": why},
            # Guess: Azure ML has a stack trace here. This says which input it is.
            {"key": "Input", "value": f"{name}: {uri}: {error.detail}"},
        ],
    }
    message = f"{json.dumps({'NonCompliant': why}, separators=(',', ':'))}\n{json.dumps(body, indent=2)}"
    return FailedError("UserError", message)
