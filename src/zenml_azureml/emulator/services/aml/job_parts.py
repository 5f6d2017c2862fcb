"""Parts of command jobs as the service completes them: resources, limits, distribution, inputs and outputs.

Sources: the recordings of job_views.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zenml_azureml.emulator.types import Json

_RAY = (
    *("port", "address", "includeDashboard", "dashboardPort"),
    *("headNodeAdditionalArgs", "workerNodeAdditionalArgs"),
)


def resources_of(sent: Mapping[str, Any]) -> Json:
    """Return the resources of a job, with the defaults of the service."""
    defaults: Json = {
        "instanceCount": 1,
        "maxInstanceCount": None,
        "instanceType": None,
        "locations": None,
        "properties": None,
        "shmSize": "2g",
        "dockerArgs": None,
        "dockerArgsList": None,
    }
    return {**defaults, **{key: value for key, value in sent.items() if value is not None}}


def limits_of(sent: Mapping[str, Any] | None) -> Json | None:
    """Return the limits of a job; without a timeout it is null (recorded: job_put_instance_2025.json)."""
    return None if sent is None else {"timeout": None, **sent}


def distribution_of(sent: Mapping[str, Any] | None) -> Json | None:
    """Return a distribution; the service fills in what a Ray job can have (recorded: job_get_completed_ray.json)."""
    if sent is None or sent.get("distributionType") != "Ray":
        return None if sent is None else dict(sent)
    return {"distributionType": "Ray", **dict.fromkeys(_RAY), **sent}


def input_of(sent: Mapping[str, Any]) -> Json:
    """Return an input, with the mode that the service chooses."""
    kind = sent["jobInputType"]
    if kind == "literal":
        return {
            "description": sent.get("description"),
            "jobInputType": kind,
            "value": sent.get("value"),
        }
    return {
        "description": sent.get("description"),
        "uri": sent.get("uri"),
        "mode": sent.get("mode") or "ReadOnlyMount",
        "pathOnCompute": sent.get("pathOnCompute"),
        "jobInputType": kind,
    }


def outputs_of(sent: Mapping[str, Any], name: str) -> Json:
    """Return the outputs of a job; each job has one named `default`, after those of its user."""
    default = {
        "uri": f"azureml://datastores/workspaceartifactstore/ExperimentRun/dcid.{name}",
        "jobOutputType": "uri_folder",
    }
    return {key: _output(value) for key, value in {**sent, "default": sent.get("default", default)}.items()}


def _output(sent: Mapping[str, Any]) -> Json:
    return {
        "description": sent.get("description"),
        "uri": sent.get("uri"),
        "assetName": sent.get("assetName"),
        "assetVersion": sent.get("assetVersion"),
        "mode": sent.get("mode") or "ReadWriteMount",
        "pathOnCompute": sent.get("pathOnCompute"),
        "autoDeleteSetting": sent.get("autoDeleteSetting"),
        "jobOutputType": sent["jobOutputType"],
    }
