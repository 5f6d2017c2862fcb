"""A job as the YAML that `az ml job create` takes."""

from __future__ import annotations

import io
from typing import Any

import yaml
from azure.ai.ml.entities import Command

#: Source: Microsoft's reference of the YAML of command jobs.
SCHEMA = "https://azuremlschemas.azureedge.net/latest/commandJob.schema.json"


def spec_of(job: Command) -> dict[str, Any]:
    """Return a job as a document from which `azure.ai.ml.load_job` builds the same job.

    The SDK dumps a job from `command()` as a step of an Azure ML pipeline, with the command in a component.

    Args:
        job: From `build_command_job`.
    """
    stream = io.StringIO()
    job.dump(stream)
    dumped: dict[str, Any] = yaml.safe_load(stream.getvalue())
    component = dumped.pop("component")
    for kind, entries in (("inputs", job.inputs), ("outputs", job.outputs)):
        for name, written in (dumped.get(kind) or {}).items():
            # The SDK writes `azureml:` before each path that has no such prefix, which it then cannot read.
            if "path" in written:
                written["path"] = entries[name].path
    document = {
        "$schema": SCHEMA,
        "type": dumped.pop("type"),
        "name": job.name,
        "display_name": job.display_name,
        "experiment_name": job.experiment_name,
        "description": job.description,
        "tags": dict(job.tags or {}),
        "command": component["command"],
        **dumped,
    }
    return {name: value for name, value in document.items() if value not in (None, {})}


def as_yaml(document: dict[str, Any]) -> str:
    """Return a document as YAML: keys keep their order, and long texts stay on one line."""
    text: str = yaml.safe_dump(document, sort_keys=False, width=1_000_000, allow_unicode=True)
    return text
