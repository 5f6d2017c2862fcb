"""Errors of the services beside Resource Manager: run history and MLflow.

Sources: history_rundata_failed_command.json, quoted_unauthorised_bearer_missing.json.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from zenml_azureml.emulator.http.responses import timestamp
from zenml_azureml.emulator.types import Json


def failure(code: str, message: str, *, location: str, now: datetime, component: str, inner: str | None = None) -> Json:
    """Return an error in the form of these services.

    Args:
        code: Its code.
        message: Its message.
        location: The region.
        now: The time.
        component: Name of the service.
        inner: Code of the inner error; None for none.
    """
    return {
        "error": {
            "code": code,
            "severity": None,
            "message": message,
            "messageFormat": None,
            "messageParameters": None,
            "referenceCode": None,
            "detailsUri": None,
            "target": None,
            "details": [],
            "innerError": None if inner is None else {"code": inner, "innerError": None},
            "debugInfo": None,
            "additionalInfo": None,
        },
        "correlation": {"operation": uuid.uuid4().hex, "request": uuid.uuid4().hex[:16]},
        "environment": location,
        "location": location,
        "time": timestamp(now),
        "componentName": component,
    }
