"""Pipelines of commands: their acceptance, and their bodies.

Source: recordings of azure-ai-ml's tests of 2026 (Azure/azure-sdk-assets, `pipeline_job`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from zenml_azureml.emulator.context import Context
from zenml_azureml.emulator.http.api_versions import ApiVersion
from zenml_azureml.emulator.http.members import KnownMembers, Place
from zenml_azureml.emulator.http.responses import ServiceError, not_emulated
from zenml_azureml.emulator.jobs.definition import compute_name
from zenml_azureml.emulator.jobs.pipelines.bindings import BindingError, order
from zenml_azureml.emulator.jobs.pipelines.run import Node, PipelineRun, continues, default_datastore
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.aml.job_members import known_members
from zenml_azureml.emulator.services.aml.job_views import PIPELINE_KEYS, complete
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

_MEMBERS = frozenset({*PIPELINE_KEYS, "schedule"})
#: The types of nodes, and those of their components.
_TYPES_OF_COMPONENTS = {"command": ("command", "CommandComponent"), "pipeline": ("pipeline", "PipelineComponent")}
# azure-ai-ml sends `NAME:VERSION` of a pipeline that is a component. Guess: the service takes it as with `azureml:`.
_COMPONENT = re.compile(
    r".*/components/(?P<name>[^/]+)/(?:versions/(?P<version>[^/]+)|labels/(?P<label>default|latest))"
    r"|(?:azureml:)?(?P<short>[^/:@]+)(?::(?P<at>[^/:@]+)|@(?P<short_label>default|latest))"
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
    found = nodes_of(_sent_nodes(sent, workspace), workspace)
    for compute_id in (sent.get("computeId"), *_computes_of(found)):
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
    inputs = {**_defaults(sent, workspace), **(sent.get("inputs") or {})}
    sent = {**sent, "command": "", "environmentId": "", "codeId": None, "inputs": inputs}
    common = complete(sent, name, workspace)
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
        "azureml.parameters": _parameters(inputs),
        "azureml.continue_on_step_failure": str(continues({"settings": settings})),
        "azureml.continue_on_failed_optional_input": "True",
        "azureml.enforceRerun": str(bool((settings or {}).get("force_rerun"))),
        # Guess: without a compute the two keys are absent.
        **({"azureml.defaultComputeName": target} if target else {}),
        "azureml.defaultDataStoreName": default_datastore({"settings": settings}),
        "azureml.pipelineComponent": "pipelinerun",
    }
    return {**common, "jobType": "Pipeline", "settings": settings, "jobs": sent.get("jobs") or {}, "sourceJobId": None}


def is_node(job: Job) -> bool:
    """True if a pipeline has made a job for one of its nodes."""
    return bool(job.properties["properties"].get("azureml.runsource") == "azureml.StepRun")


def start_pipeline(context: Context, workspace: Workspace, job: Job) -> None:
    """Let a pipeline run that was accepted."""

    def accept(name: str, sent: Json) -> Job:
        if sent["jobType"] == "Pipeline":
            completed = complete_pipeline(sent, name, workspace)
            completed["properties"] |= sent["properties"]  # it is a node, too
        else:
            completed = complete(sent, name, workspace)
        made = Job(
            name=name,
            properties=completed,
            created_at=context.clock.now(),
            folder=context.folder / "jobs" / name,
            owner=job.owner,
        )
        workspace.add(made)
        return made

    nodes = nodes_of(_sent_nodes(job.properties, workspace), workspace)
    context.spawn(PipelineRun(context, workspace, job, nodes, accept).live())


def nodes_of(sent: Mapping[str, Any], workspace: Workspace, within: frozenset[str] = frozenset()) -> dict[str, Node]:
    """Return the nodes of a pipeline, with those of the pipelines among them.

    Args:
        sent: The nodes by name, as they were sent.
        workspace: The workspace of their components.
        within: Ids of the components that they are in.

    Raises:
        ServiceError: If a component or a node that another one needs does not exist, or the emulator does not have
            nodes of the type.
    """
    nodes = {}
    for name, node in sent.items():
        kind = str(node.get("type") or "command") if isinstance(node, dict) else "unknown"
        if kind not in _TYPES_OF_COMPONENTS:
            raise not_emulated(f"A node of the type '{kind}' (node '{name}')")
        spec = spec_of(node, workspace)
        inner = _checked_nodes(spec.get("jobs")) if spec["type"] in _TYPES_OF_COMPONENTS["pipeline"] else {}
        own = within | {str(node.get("componentId"))}
        if own == within:
            # Guess: the message. The service may refuse the component already.
            raise ServiceError(400, "UserError", f"The component of the node '{name}' contains itself.")
        nodes[name] = Node(node, spec, nodes_of(inner, workspace, own))
    try:
        order(sent)
    except BindingError as error:
        # Guess: the message.
        raise ServiceError(400, "UserError", str(error)) from error
    return nodes


def _sent_nodes(sent: Mapping[str, Any], workspace: Workspace) -> Json:
    """Return the nodes of a pipeline's job: its own, or those of the component that it is."""
    if not sent.get("jobs") and sent.get("componentId"):
        return _checked_nodes(spec_of(sent, workspace).get("jobs"))
    return _checked_nodes(sent.get("jobs"))


def _checked_nodes(nodes: Any) -> Json:
    if not isinstance(nodes, dict) or not nodes:
        # Guess: the message.
        raise ServiceError(400, "UserError", "A pipeline job must have at least one job.")
    return nodes


def _defaults(sent: Mapping[str, Any], workspace: Workspace) -> Json:
    """Return the default inputs of a pipeline's job that is a component. Guess: the job has them."""
    if sent.get("jobs") or not sent.get("componentId"):
        return {}
    declared: Json = spec_of(sent, workspace).get("inputs") or {}
    return {
        name: {"jobInputType": "literal", "value": str(one["default"])}
        for name, one in declared.items()
        if isinstance(one, dict) and one.get("default") is not None
    }


def _parameters(inputs: Mapping[str, Any]) -> str:
    """Return the literals among the inputs, as the service lists them.

    Source: azure-ai-ml's recording of 2023-10-27 of `input_literal_cross_type.yml` (Azure/azure-sdk-assets,
    `pipeline_job`): in their order, without the data.
    """
    given = {name: one for name, one in inputs.items() if one}
    values = {name: one.get("value") for name, one in given.items() if one.get("jobInputType") == "literal"}
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False)


def _computes_of(nodes: Mapping[str, Node]) -> Iterator[Any]:
    for node in nodes.values():
        if "${{" not in str(node.sent.get("computeId")):  # a binding, whose value only the inputs have
            yield node.sent.get("computeId")
        yield from _computes_of(node.nodes)


def spec_of(node: Mapping[str, Any], workspace: Workspace) -> Json:
    """Return the specification of a node's component.

    Raises:
        ServiceError: 404, if there is no such component (recorded in `pipeline_job`); 501, if it is neither a command
            nor a pipeline.
    """
    key = str(node.get("componentId"))
    found = _COMPONENT.fullmatch(key)
    name = (found["name"] or found["short"]) if found else key
    at = (found["version"] or found["at"]) if found else None
    container = workspace.assets_of("components").get(name) if found else None
    version = None
    if container is not None:
        # azure-ai-ml names the label of a component that it got without a version.
        version = container.versions.get(at) if at else container.latest
    if version is None:
        raise ServiceError(404, "NotFound", f"key: {key}, Message: Not found component {name} (version: {at or ''}).")
    spec: Json = version.properties["componentSpec"]
    if not any(spec.get("type") in types for types in _TYPES_OF_COMPONENTS.values()):
        raise not_emulated(f"A component of the type '{spec.get('type')}'")
    return spec
