"""Bodies of command jobs: pure functions from a request to Azure ML's answer.

Sources: the recordings job_put_*.json, job_get_*.json, job_list_mixed_states.json and jobs_list_2024.json, of 2022 to
2026.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from zenml_azureml.emulator.http.api_versions import ApiVersion, Window
from zenml_azureml.emulator.http.responses import ServiceError, timestamp
from zenml_azureml.emulator.http.schemas import MOST_TAGS
from zenml_azureml.emulator.jobs.definition import compute_name
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.aml.job_parts import distribution_of, input_of, limits_of, outputs_of, resources_of
from zenml_azureml.emulator.services.mlflow.uris import tracking_uri
from zenml_azureml.emulator.state import PROVIDER, Workspace
from zenml_azureml.emulator.types import Json

#: Properties that can change after a job exists, according to the service's refusal.
MUTABLE = ("description", "tags", "displayName", "properties", "isArchived")

# The other properties, with the name by which the refusal calls each of them.
# Guess: only `Inputs`, `Outputs` and `Settings` were seen in such a refusal (quoted_put_immutable.json).
_IMMUTABLE = {
    "experimentName": "ExperimentName",
    "computeId": "ComputeId",
    "identity": "Identity",
    "componentId": "ComponentId",
    "resources": "Resources",
    "queueSettings": "QueueSettings",
    "codeId": "CodeId",
    "command": "Command",
    "environmentId": "EnvironmentId",
    "inputs": "Inputs",
    "outputs": "Outputs",
    "distribution": "Distribution",
    "limits": "Limits",
    "environmentVariables": "EnvironmentVariables",
}


def complete(sent: Mapping[str, Any], name: str, workspace: Workspace) -> Json:
    """Return all properties of an accepted job, for any api-version.

    Args:
        sent: `properties` of the PUT's body.
        name: The job's name.
        workspace: Its workspace.

    Returns:
        `properties` of the job, but for `status`.
    """
    return {
        "description": sent.get("description"),
        "tags": _given(sent.get("tags")),
        "properties": {**_given(sent.get("properties")), **_own_properties(sent, workspace)},
        "parentJobName": sent.get("parentJobName"),
        # Guess: the service makes up a name of two words in a way that was not recorded.
        "displayName": sent.get("displayName") or name,
        "experimentName": sent.get("experimentName") or "Default",
        "services": _services(sent.get("services") or {}, name, workspace),
        "computeId": sent.get("computeId"),
        "isArchived": bool(sent.get("isArchived")),
        "identity": sent.get("identity"),
        "componentId": sent.get("componentId"),
        "notificationSetting": sent.get("notificationSetting"),
        "secretsConfiguration": sent.get("secretsConfiguration"),
        "jobType": "Command",
        "resources": resources_of(sent.get("resources") or {}),
        "codeId": sent.get("codeId"),
        "command": sent["command"],
        "environmentId": sent["environmentId"],
        "inputs": {key: input_of(value) for key, value in (sent.get("inputs") or {}).items()},
        "outputs": outputs_of(sent.get("outputs") or {}, name),
        "distribution": distribution_of(sent.get("distribution")),
        "autologgerSettings": sent.get("autologgerSettings"),
        "limits": limits_of(sent.get("limits")),
        "environmentVariables": sent.get("environmentVariables"),
        "parameters": {},
        "queueSettings": _without_null_tier(sent.get("queueSettings")),
    }


def _selected(version: ApiVersion, body: Json) -> Json:
    """Return the keys that a version has, and those of earlier versions that have a value: what was sent is shown."""
    windows = {key: window for key, window in _WINDOWS.items() if not (window.end and body.get(key) is not None)}
    if version.date == "2022-12-01" and body.get("queueSettings") is not None:
        windows.pop("queueSettings")  # Recorded: shown there only to who sent it (job_put_serverless.json).
    return version.select(body, windows)


def changed_immutables(existing: Job, wanted: Mapping[str, Any]) -> list[str]:
    """Return the immutable properties that a PUT would change, by their names in the refusal.

    Args:
        existing: The job of that name.
        wanted: `complete`d properties of the PUT.
    """
    return [label for key, label in _IMMUTABLE.items() if existing.properties[key] != wanted[key]]


def check_merged(existing: Job, sent: Mapping[str, Any]) -> None:
    """Refuse tags or properties that would be too many together with those that a job has.

    Raises:
        ServiceError: 400.
    """
    for key in ("tags", "properties"):
        own = {name for name in existing.properties[key] if not name.startswith(("_aml_", "_azureml", "Content"))}
        if len(own | set(sent.get(key) or {})) > MOST_TAGS:
            # Guess: the message.
            raise ServiceError(400, "UserError", f"A job can have at most {MOST_TAGS} {key}.")


def update(existing: Job, sent: Mapping[str, Any]) -> None:
    """Change what can be changed of a job: tags and properties only ever merge.

    Args:
        existing: The job.
        sent: Any of `MUTABLE`; items that are missing or null do not change.
    """
    properties = existing.properties
    for key in ("tags", "properties"):
        properties[key] = {**properties[key], **_given(sent.get(key))}
    for key in ("description", "displayName", "isArchived"):
        if sent.get(key) is not None:
            properties[key] = sent[key]


def render(job: Job, workspace: Workspace, api_version: str, created_by: str) -> Json:
    """Return a job as a client of that api-version sees it: the keys grow with the version.

    Args:
        job: The job.
        workspace: Its workspace.
        api_version: As in the request's query, e.g. `2024-01-01-preview`.
        created_by: The id of the application that created it.
    """
    version = ApiVersion.parse(api_version)
    properties = dict(job.properties)
    experiment_name = properties.pop("experimentName")
    body = {
        **{key: properties.pop(key) for key in ("description", "tags", "properties", "parentJobName")},
        "displayName": properties.pop("displayName"),
        "status": job.status,
        "experimentName": experiment_name,
        **properties,
    }
    for key in ("services", "inputs", "outputs"):
        body[key] = {name: _selected(version, item) for name, item in body[key].items()}
    for key in ("properties", "resources"):
        body[key] = _selected(version, body[key])
    body["queueSettings"] = _queue_settings(body["queueSettings"], version)
    if body["jobType"] == "Pipeline":
        body = {key: body[key] for key in PIPELINE_KEYS} | {"inputs": body["inputs"] or None}
    elif version.date < "2023-04-01":
        body = _with_older_order(body)
    return {
        "id": f"{workspace.path}/jobs/{job.name}",
        "name": job.name,
        "type": f"{PROVIDER}/workspaces/jobs",
        "properties": _selected(version, body),
        "systemData": {
            "createdAt": timestamp(job.created_at),
            "createdBy": created_by,
            "createdByType": "Application",
        },
    }


#: What the answer of a pipeline has of a job's properties, in this order (recorded in azure-ai-ml's tests of 2026:
#: Azure/azure-sdk-assets, `pipeline_job`).
PIPELINE_KEYS = (
    *("description", "tags", "properties", "parentJobName", "displayName", "status", "experimentName", "services"),
    *("computeId", "isArchived", "identity", "componentId", "notificationSetting", "secretsConfiguration", "jobType"),
    *("settings", "jobs", "inputs", "outputs", "sourceJobId"),
)


def _with_older_order(body: Json) -> Json:
    """Return a job with its queue after its resources (recorded at 2022-12-01-preview: job_put_serverless.json)."""
    names = [name for name in body if name != "queueSettings"]
    names.insert(names.index("resources") + 1, "queueSettings")
    return {name: body[name] for name in names}


# Recorded, but for what follows. Guess: the first stable version of `queueSettings` and `notificationSetting`, later
# than 2023-04-01, which lacks them, is from Microsoft's API description; the end of keys is after 2024-01-01-preview.
_WINDOWS = {
    "nodes": Window("2023-04-01", "2022-10-01"),
    "autologgerSettings": Window(None, "2022-10-01", "2025-01-01"),
    "assetName": Window(None, "2022-12-01"),
    "assetVersion": Window(None, "2022-12-01", "2025-01-01"),
    "autoDeleteSetting": Window(None, "2023-04-01", "2025-01-01"),
    "pathOnCompute": Window(None, "2024-01-01", "2025-01-01"),
    "locations": Window(None, "2023-04-01", "2025-01-01"),
    "maxInstanceCount": Window(None, "2023-04-01", "2025-01-01"),
    "dockerArgsList": Window(None, "2025-01-01"),
    "notificationSetting": Window("2023-10-01", "2023-04-01"),
    "queueSettings": Window("2023-10-01", "2023-04-01"),
    "secretsConfiguration": Window(None, "2023-04-01", "2025-01-01"),
    "parentJobName": Window(None, "2025-01-01"),
    "priority": Window(None, "2022-12-01", "2025-01-01"),
    "_azureml.ClusterName": Window("2023-04-01", "2024-01-01"),
}

#: The first version that answers a tier where none was sent (recorded: job_get_completed_ray.json does not).
_TIER_ANSWERED = "2023-10-01"


def _given(sent: Mapping[str, Any] | None) -> Json:
    return {key: value for key, value in (sent or {}).items() if value is not None}


def _own_properties(sent: Mapping[str, Any], workspace: Workspace) -> Json:
    target = workspace.find_compute(compute_name(sent.get("computeId")) or "")
    on_instance = target is not None and target.kind == "ComputeInstance"
    # Recorded: job_get_instance_2025.json for an instance, the other jobs for clusters and serverless.
    own: Json = {"_azureml.ComputeTargetType": "amlcdsi" if on_instance else "amlctrain"}
    own["_azureml.ClusterName"] = None if target is None else target.name
    if sent.get("codeId"):
        own["ContentSnapshotId"] = str(uuid.uuid5(uuid.NAMESPACE_URL, sent["codeId"]))
    return own


def _services(sent: Mapping[str, Any], name: str, workspace: Workspace) -> Json:
    # With a question mark, as recorded.
    tracking = f"{tracking_uri(workspace, workspace.studio, 'v1.0')}?"
    # Lower-case `resourcegroups` and no provider, as recorded.
    studio = (
        f"{workspace.studio}/runs/{name}?wsid=/subscriptions/{workspace.subscription_id}"
        f"/resourcegroups/{workspace.resource_group}/workspaces/{workspace.name}"
    )
    own = {
        "Tracking": _service({"jobServiceType": "Tracking", "endpoint": tracking}),
        "Studio": _service({"jobServiceType": "Studio", "endpoint": studio}),
    }
    return {**{key: _service(value) for key, value in sent.items() if key not in own}, **own}


def _service(sent: Mapping[str, Any]) -> Json:
    keys = (
        "jobServiceType",
        "port",
        "endpoint",
        "status",
        "errorMessage",
        "properties",
        "nodes",
    )
    return {key: sent.get(key) for key in keys}


def _queue_settings(sent: Json | None, version: ApiVersion) -> Json | None:
    if sent is None and version.date < _TIER_ANSWERED:
        return None
    sent = sent or {}
    return _selected(version, {"jobTier": sent.get("jobTier") or "Null", "priority": sent.get("priority")})


def _without_null_tier(sent: Mapping[str, Any] | None) -> Json | None:
    """Return what was requested: the tier `Null`, as the service answers none, can be sent back."""
    given = {key: value for key, value in (sent or {}).items() if value not in (None, "Null")}
    return given or None
