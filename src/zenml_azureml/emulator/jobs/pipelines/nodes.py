"""The job of a pipeline's node, a command or a pipeline: from node and component to `properties` of a job: pure.

A component's specification has the form in which azure-ai-ml sends it, and the service returns it with all values as
text (recorded in its tests: component, pipeline_job).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from zenml_azureml.emulator.jobs.definition import root_run
from zenml_azureml.emulator.jobs.pipelines.bindings import (
    OutputOf,
    bound_input,
    bound_output,
    check_range,
    settled,
    with_given_options,
)
from zenml_azureml.emulator.services.aml.datastore_uris import evaluated
from zenml_azureml.emulator.services.aml.output_references import ARTIFACTS
from zenml_azureml.emulator.services.storage.files import job_folder
from zenml_azureml.emulator.types import Json

#: What of a node can be bound to inputs of the pipeline, beside its inputs and outputs.
_SETTINGS = ("computeId", "resources", "limits", "distribution", "environment_variables", "environmentVariables")
_DISTRIBUTIONS = {"mpi": "Mpi", "pytorch": "PyTorch", "tensorflow": "TensorFlow", "ray": "Ray"}


def node_job(
    node: Mapping[str, Any],
    spec: Mapping[str, Any],
    *,
    node_name: str,
    job_name: str,
    pipeline: Mapping[str, Any],
    pipeline_name: str,
    datastore: str,
    output_of: OutputOf,
) -> Json:
    """Return `properties` of a node's job, as a client would send them.

    Args:
        node: The node as it was sent.
        spec: Specification of its component.
        node_name: Name of the node.
        job_name: Name of the job.
        pipeline: `properties` of the pipeline's job.
        pipeline_name: Name of the pipeline's job.
        datastore: The datastore of outputs that name none.
        output_of: Finds the outputs of other nodes.

    Raises:
        BindingError: If a binding leads to nothing, or a value is out of its input's range.
    """
    # Source: Microsoft, "CLI (v2) pipeline job YAML schema"; azure-ai-ml's tests bind the compute and limits.
    node = {**node, **{key: settled(node[key], pipeline["inputs"]) for key in _SETTINGS if key in node}}
    inputs = _inputs(node, spec, pipeline, output_of)
    settings = pipeline["settings"] or {}
    default = settings.get("default_compute") or pipeline["computeId"]
    identity = node.get("identity") or pipeline["identity"]
    return {
        "jobType": "Command",
        "displayName": node.get("display_name") or node_name,
        "description": spec.get("description"),
        "experimentName": pipeline["experimentName"],
        "parentJobName": pipeline_name,
        "tags": {"azureml.nodeid": node_id(node_name), "azureml.pipeline": pipeline_name, **(node.get("tags") or {})},
        "properties": {
            "azureml.runsource": "azureml.StepRun",
            "azureml.nodeid": node_id(node_name),
            "azureml.pipelinerunid": pipeline_name,
            "azureml.pipeline": pipeline_name,
            "azureml.rootpipelinerunid": root_run(pipeline, pipeline_name),
            "azureml.pipelineComponent": "masterescloud",
            **(node.get("properties") or {}),
        },
        "computeId": str(node["computeId"]).removeprefix("azureml:") if node.get("computeId") else default,
        "componentId": node.get("componentId"),
        "identity": _camel(identity) if identity else None,
        "command": with_given_options(str(spec.get("command") or ""), set(inputs)),
        "codeId": _id(spec.get("code")),
        "environmentId": _id(spec.get("environment")),
        "inputs": inputs,
        "outputs": _outputs(node, spec, pipeline, job_name, datastore),
        "environmentVariables": {**_texts(spec), **_texts(node)},
        "resources": {**_numbers(_camel(spec.get("resources"))), **_numbers(_camel(node.get("resources")))},
        "distribution": _distribution(node.get("distribution") or spec.get("distribution")),
        "limits": _limits(node.get("limits") or spec.get("limits")),
        "queueSettings": _camel(node.get("queue_settings")) or None,
    }


def nested_pipeline(job: Json, nodes: Mapping[str, Any], pipeline: Mapping[str, Any]) -> Json:
    """Return `properties` of the job of a node that is a pipeline.

    Args:
        job: What `node_job` returns for the node.
        nodes: Its own nodes, as its component has them.
        pipeline: `properties` of the pipeline that it is a node of.
    """
    # Guess: of the pipeline's settings, all count for the pipelines in it.
    settings = {**(pipeline["settings"] or {}), "default_compute": job["computeId"]}
    return {**job, "jobType": "Pipeline", "settings": settings, "jobs": nodes}


def node_id(node_name: str) -> str:
    """Return the id of a node. Guess: how the service makes one; recorded are 8 hexadecimal digits."""
    number = 2166136261
    for letter in node_name.encode():
        number = (number ^ letter) * 16777619 % 2**32
    return f"{number:08x}"


def _inputs(
    node: Mapping[str, Any], spec: Mapping[str, Any], pipeline: Mapping[str, Any], output_of: OutputOf
) -> dict[str, Json]:
    declared: Mapping[str, Any] = spec.get("inputs") or {}
    inputs: dict[str, Json] = {}
    for name, sent in (node.get("inputs") or {}).items():
        kind = (declared.get(name) or {}).get("type")
        found = bound_input(sent, kind, pipeline["inputs"], output_of)
        if found is not None:
            inputs[name] = found
    for name, declaration in declared.items():
        if name not in inputs and (declaration or {}).get("default") is not None:
            inputs[name] = {"jobInputType": "literal", "value": str(declaration["default"])}
        elif name in inputs and "uri" in inputs[name] and not inputs[name].get("mode"):
            inputs[name]["mode"] = (declaration or {}).get("mode")
        if name in inputs and "value" in inputs[name]:
            check_range(name, str(inputs[name]["value"]), declaration or {})
    return inputs


def _outputs(
    node: Mapping[str, Any], spec: Mapping[str, Any], pipeline: Mapping[str, Any], job_name: str, datastore: str
) -> dict[str, Json]:
    outputs: dict[str, Json] = {}
    for name, declaration in (spec.get("outputs") or {}).items():
        own = (node.get("outputs") or {}).get(name)
        own = own if isinstance(own, dict) else {}
        result = pipeline["outputs"].get(bound_output(node, name) or "") or {}
        kind = str((declaration or {}).get("type") or result.get("jobOutputType") or "uri_folder")
        uri = own.get("uri") or result.get("uri") or _default_uri(name, kind, job_name, datastore)
        outputs[name] = {
            "jobOutputType": kind,
            "uri": evaluated(str(uri), datastore=datastore, job=job_name, output=name),
            "mode": own.get("mode") or result.get("mode") or (declaration or {}).get("mode"),
            "assetName": own.get("asset_name") or own.get("name") or result.get("assetName"),
            "assetVersion": own.get("asset_version") or own.get("version") or result.get("assetVersion"),
        }
    return outputs


def _default_uri(name: str, kind: str, job_name: str, datastore: str) -> str:
    if name in ARTIFACTS:
        # Source: Azure/azureml-examples, cli/jobs/basics/hello-pipeline-default-artifacts.yml, whose next node reads
        # what the first one has put into `./outputs`.
        return f"azureml://datastores/workspaceartifactstore/paths/{job_folder(job_name)}/"
    # Source: Microsoft, "Manage inputs and outputs of a pipeline".
    path = f"azureml/{job_name}/{name}" + ("" if kind == "uri_file" else "/")
    return f"azureml://datastores/{datastore}/paths/{path}"


def _id(reference: Any) -> str | None:
    """Return an id as jobs have it: ARM ids without `azureml:`."""
    if reference is None:
        return None
    text = str(reference)
    return text.removeprefix("azureml:") if text.startswith("azureml:/subscriptions/") else text


def _camel(sent: Any) -> Json:
    """Return a mapping with the names of its members as Resource Manager has them."""
    if not isinstance(sent, Mapping):
        return {}
    return {re.sub(r"_([a-z])", lambda found: found[1].upper(), key): value for key, value in sent.items()}


def _numbers(sent: Json) -> Json:
    """Return a mapping in which texts of digits are numbers: a component's specification has texts only."""
    return {key: int(value) if isinstance(value, str) and value.isdecimal() else value for key, value in sent.items()}


def _texts(sent: Mapping[str, Any]) -> dict[str, str]:
    variables = sent.get("environment_variables") or sent.get("environmentVariables") or {}
    return {key: str(value) for key, value in variables.items() if value is not None}


def _distribution(sent: Any) -> Json | None:
    found = _numbers(_camel(sent))
    kind = found.pop("type", None) or found.get("distributionType")
    return {**found, "distributionType": _DISTRIBUTIONS.get(str(kind).lower(), kind)} if kind else None


def _limits(sent: Any) -> Json | None:
    timeout = _camel(sent).get("timeout")
    if timeout is None:
        return None
    seconds = str(timeout)
    return {"jobLimitsType": "Command", "timeout": f"PT{seconds}S" if seconds.isdecimal() else seconds}
