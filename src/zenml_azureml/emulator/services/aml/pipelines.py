"""Pipelines of commands: their acceptance, and their bodies.

Source: recordings of azure-ai-ml's tests of 2026 (Azure/azure-sdk-assets, `pipeline_job`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from zenml_azureml.emulator.context import Context
from zenml_azureml.emulator.http.api_versions import ApiVersion
from zenml_azureml.emulator.http.members import KnownMembers, Place
from zenml_azureml.emulator.http.responses import ServiceError, not_emulated
from zenml_azureml.emulator.jobs.definition import compute_name
from zenml_azureml.emulator.jobs.pipelines.bindings import BindingError, order
from zenml_azureml.emulator.jobs.pipelines.run import PipelineRun, continues, default_datastore
from zenml_azureml.emulator.services.aml.job_members import known_members
from zenml_azureml.emulator.services.aml.job_views import PIPELINE_KEYS, complete
from zenml_azureml.emulator.state import Job, Workspace
from zenml_azureml.emulator.types import Json

_MEMBERS = frozenset({*PIPELINE_KEYS, "schedule"})
_COMPONENT = re.compile(
    r".*/components/(?P<name>[^/]+)/versions/(?P<version>[^/]+)|azureml:(?P<short>[^/:]+):(?P<at>[^/:]+)"
)


def known_pipeline_members(sent: Json, version: ApiVersion) -> dict[Place, KnownMembers]:
    """Return the members of a pipeline's job that a version knows, by the places of its objects."""
    known = known_members(sent, version)
    # Guess: the name of the type.
    return {**known, ("properties",): KnownMembers("PipelineJob", _MEMBERS)}


def check_pipeline(sent: Json, workspace: Workspace) -> None:
    """Refuse a pipeline that the service refuses, or whose nodes the emulator does not have.

    Args:
        sent: `properties` of the PUT's body.
        workspace: The workspace.
    """
    nodes = sent.get("jobs")
    if not isinstance(nodes, dict) or not nodes:
        if sent.get("componentId"):
            raise not_emulated("A pipeline that is a component")
        # Guess: the message.
        raise ServiceError(400, "UserError", "A pipeline job must have at least one job.")
    for name, node in nodes.items():
        kind = str(node.get("type") or "command") if isinstance(node, dict) else "unknown"
        if kind != "command":
            raise not_emulated(f"A node of the type '{kind}' (node '{name}')")
        spec_of(node, workspace)
    try:
        order(nodes)
    except BindingError as error:
        # Guess: the message.
        raise ServiceError(400, "UserError", str(error)) from error
    for compute_id in (sent.get("computeId"), *(node.get("computeId") for node in nodes.values())):
        target = compute_name(compute_id)
        if target is not None and workspace.find_compute(target) is None:
            # Guess: as for a command job.
            inner = ["BadArgument", "UnknownTargetType"]
            raise ServiceError(400, "UserError", f"Unknown compute target '{target}'.", inner=inner)


def complete_pipeline(sent: Mapping[str, Any], name: str, workspace: Workspace) -> Json:
    """Return all properties of an accepted pipeline.

    Args:
        sent: `properties` of the PUT's body.
        name: The job's name.
        workspace: Its workspace.
    """
    common = complete({**sent, "command": "", "environmentId": "", "codeId": None}, name, workspace)
    common["outputs"].pop("default", None)
    settings = sent.get("settings")
    target = compute_name(sent.get("computeId"))
    common["properties"] = {
        **{key: value for key, value in (sent.get("properties") or {}).items() if value is not None},
        "azureml.DevPlatv2": "true",
        "azureml.DatasetAccessMode": "Asset",
        "azureml.runsource": "azureml.PipelineRun",
        "runSource": "MFE",
        "runType": "HTTP",
        "azureml.parameters": "{}",
        "azureml.continue_on_step_failure": str(continues({"settings": settings})),
        "azureml.continue_on_failed_optional_input": "True",
        "azureml.enforceRerun": str(bool((settings or {}).get("force_rerun"))),
        # Guess: without a compute the two keys are absent.
        **({"azureml.defaultComputeName": target} if target else {}),
        "azureml.defaultDataStoreName": default_datastore({"settings": settings}),
        "azureml.pipelineComponent": "pipelinerun",
    }
    return {**common, "jobType": "Pipeline", "settings": settings, "jobs": sent["jobs"], "sourceJobId": None}


def is_node(job: Job) -> bool:
    """True if a pipeline has made a job for one of its nodes."""
    return bool(job.properties["properties"].get("azureml.runsource") == "azureml.StepRun")


def start_pipeline(context: Context, workspace: Workspace, job: Job) -> None:
    """Let a pipeline run that was accepted."""
    specs = {name: spec_of(node, workspace) for name, node in job.properties["jobs"].items()}

    def accept(name: str, sent: Json) -> Job:
        made = Job(
            name=name,
            properties=complete(sent, name, workspace),
            created_at=context.clock.now(),
            folder=context.folder / "jobs" / name,
        )
        workspace.add(made)
        return made

    context.spawn(PipelineRun(context, workspace, job, specs, accept).live())


def spec_of(node: Mapping[str, Any], workspace: Workspace) -> Json:
    """Return the specification of a node's component.

    Raises:
        ServiceError: 404, if there is no such component (recorded in `pipeline_job`); 501, if it is no command.
    """
    found = _COMPONENT.fullmatch(str(node.get("componentId")))
    name = (found["name"] or found["short"]) if found else str(node.get("componentId"))
    container = workspace.assets_of("components").get(name)
    version = container.versions.get(found["version"] or found["at"]) if container and found else None
    if version is None:
        at = (found["version"] or found["at"]) if found else ""
        key = node.get("componentId")
        raise ServiceError(404, "NotFound", f"key: {key}, Message: Not found component {name} (version: {at}).")
    spec: Json = version.properties["componentSpec"]
    if str(spec.get("type")) not in ("command", "CommandComponent"):
        raise not_emulated(f"A component of the type '{spec.get('type')}'")
    return spec
