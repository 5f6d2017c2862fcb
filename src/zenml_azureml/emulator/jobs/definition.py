"""What the definition of a job says of its environment, its compute and its time: pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from zenml_azureml.emulator.types import Json

#: At most what the type has that the service keeps it in, .NET's `TimeSpan`.
_TIMEOUT: TypeAdapter[timedelta] = TypeAdapter(
    Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=10_675_199))]
)

_ENVIRONMENT_ID = re.compile(
    r"(?:.*/environments/|azureml:)(?P<name>[^/:]+)(?:(?:/versions/|:)(?P<version>[^/:]+))?$",
    re.IGNORECASE,
)


def environment_of(environment_id: str) -> tuple[str, str | None] | None:
    """Return name and version in an environment's id: an ARM id, `azureml:NAME:VERSION`, or `azureml:NAME`.

    Returns:
        `(name, version)`, the version None where the id has none; None where it is no such id.
    """
    found = _ENVIRONMENT_ID.match(environment_id)
    return (found["name"], found["version"]) if found else None


def timeout_of(limits: Json | None) -> float | None:
    """Return the seconds that a job may run, from `limits.timeout` (ISO 8601, e.g. `PT5M`); None for no limit.

    Raises:
        pydantic.ValidationError: If it is no ISO 8601 duration.
    """
    if not limits or limits.get("timeout") is None:
        return None
    return _TIMEOUT.validate_python(str(limits["timeout"])).total_seconds()


def compute_name(compute_id: str | None) -> str | None:
    """Return the name of a job's compute; None if it is serverless."""
    name = (compute_id or "serverless").rsplit("/", 1)[-1]
    return None if name.lower() == "serverless" else name


def root_run(properties: Mapping[str, Any], name: str) -> str:
    """Return the name of the outermost pipeline that a job belongs to; its own if there is none.

    Args:
        properties: `properties` of the job.
        name: Its name.
    """
    return str(properties["properties"].get("azureml.rootpipelinerunid") or properties.get("parentJobName") or name)
