"""Jobs in run history (recorded: history_rundata_failed_command.json)."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from zenml_azureml.emulator.http.data_plane import failure
from zenml_azureml.emulator.http.responses import timestamp
from zenml_azureml.emulator.jobs.definition import compute_name, environment_of, root_run, timeout_of
from zenml_azureml.emulator.jobs.variables import experiment_id, run_uuid
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.run_history.outputs import run_outputs
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json


def run_details(job: Job, workspace: Workspace, *, log_urls: dict[str, str], submitted_by: str) -> Json:
    """Return the answer of `details` for a run.

    Keys and time format are those that the first SDK printed (quoted_rundetails_v1_logfiles.json).

    Args:
        job: The run.
        workspace: Its workspace.
        log_urls: SAS URL by path, e.g. `user_logs/std_log.txt`.
        submitted_by: User who submitted it.
    """
    properties = job.properties
    return {
        "runId": job.name,
        "target": _target(job),
        "status": job.status,
        "startTimeUtc": _utc(job.started_at),
        "endTimeUtc": _utc(job.ended_at),
        "error": error_body(job, workspace),
        "warnings": None,
        "services": {},
        "properties": properties["properties"],
        "tags": properties["tags"],
        "inputDatasets": [],
        "outputDatasets": [],
        "runDefinition": run_definition(job),
        "logFiles": log_urls,
        "submittedBy": submitted_by,
    }


def run_metadata(job: Job, workspace: Workspace, *, base_url: str, user: Json, client: str = "") -> Json:
    """Return the `runMetadata` of a run in `rundata`, which is also the answer of the run itself.

    Args:
        job: The run.
        workspace: Its workspace.
        base_url: URL of the emulator.
        user: User who submitted it, in run history's form.
        client: The client that asks, as it names itself.
    """
    properties = job.properties
    own_uuid = run_uuid(workspace, job.name)
    modified = job.ended_at or job.started_at or job.created_at
    execution = f"{base_url}/execution/v1.0{workspace.path}/experiments/{properties['experimentName']}/runId/{job.name}"
    actions = {"Cancel": f"{execution}/cancel", "Diagnose": f"{execution}/diagnostics"}
    duration = _duration(job)
    return {
        "runNumber": int(job.created_at.timestamp()),
        "rootRunId": root_run(properties, job.name),
        "createdUtc": timestamp(job.created_at),
        "createdBy": user,
        "userId": user["userObjectId"],
        "token": None,
        "tokenExpiryTimeUtc": None,
        "error": error_body(job, workspace),
        "warnings": None,
        "revision": 3,
        "statusRevision": 1,
        "runUuid": own_uuid,
        "parentRunUuid": None,
        "rootRunUuid": own_uuid,
        "lastStartTimeUtc": None,
        "currentComputeTime": None,
        "computeDuration": duration,
        "effectiveStartTimeUtc": None,
        "lastModifiedBy": user,
        "lastModifiedUtc": timestamp(modified),
        "duration": duration,
        "cancelationReason": None,
        "currentAttemptId": job.attempt,
        "runId": job.name,
        "parentRunId": properties["parentJobName"],
        "experimentId": experiment_id(workspace, properties["experimentName"]),
        "status": job.status,
        # A job that never ran starts when it ends (recorded: history_rundata_failed_command.json).
        "startTimeUtc": _iso(job.started_at or job.ended_at),
        "endTimeUtc": _iso(job.ended_at),
        "scheduleId": None,
        "displayName": properties["displayName"],
        "name": None,
        "dataContainerId": f"dcid.{job.name}",
        "description": properties["description"],
        "hidden": properties["isArchived"],
        **_run_type(job),
        "properties": properties["properties"],
        "parameters": {},
        "actionUris": actions,
        "scriptName": None,
        "target": _target(job),
        "uniqueChildRunComputeTargets": [],
        "tags": properties["tags"],
        "settings": {},
        "services": {},
        "inputDatasets": [],
        "outputDatasets": [],
        "runDefinition": None,
        "jobSpecification": None,
        "primaryMetricName": None,
        "createdFrom": None,
        "cancelUri": actions["Cancel"],
        "completeUri": None,
        "diagnosticsUri": actions["Diagnose"],
        "computeRequest": {"nodeCount": properties["resources"]["instanceCount"], "gpuCount": 0},
        "compute": _compute(job, workspace),
        "retainForLifetimeOfWorkspace": False,
        "queueingInfo": None,
        "inputs": {},
        "outputs": run_outputs(job, workspace, client),
    }


def _run_type(job: Job) -> Json:
    """Return the type of a run (recorded for nodes in azure-ai-ml's tests: `pipeline_job_get_child_run`)."""
    source = job.properties["properties"].get("azureml.runsource")
    if source == "azureml.PipelineRun":
        # Guess: all but `runType`, which events of Azure name.
        kind = {"orchestrator": "Aether", "traits": ["azureml.PipelineRun"], "attribution": "PipelineRun"}
        return {"runType": source, "runTypeV2": {**kind, "computeType": None}}
    if source == "azureml.StepRun":
        kind = {"orchestrator": "Execution", "traits": [source, "scriptRun", "remote"], "attribution": "Aether"}
        return {"runType": source, "runTypeV2": {**kind, "computeType": "AmlcTrain"}}
    kind = {"orchestrator": "Execution", "traits": ["scriptRun", "remote"], "attribution": "azureml.scriptrun"}
    return {"runType": "azureml.scriptrun", "runTypeV2": {**kind, "computeType": "AmlcTrain"}}


def run_definition(job: Job) -> Json:
    """Return the definition of a run: only the recorded keys that a command job can set."""
    properties = job.properties
    name, version = environment_of(properties["environmentId"]) or (None, None)
    return {
        "script": None,
        "command": properties["command"],
        "useAbsolutePath": True,
        "arguments": [],
        "framework": "Python",
        "communicator": "None",
        "target": _target(job),
        "maxRunDurationSeconds": _seconds(timeout_of(properties["limits"])),
        "nodeCount": properties["resources"]["instanceCount"],
        "environment": {"name": name, "version": version},
        "docker": {
            "useDocker": True,
            "sharedVolumes": True,
            "shmSize": properties["resources"]["shmSize"],
            "arguments": [],
        },
        "environmentVariables": properties["environmentVariables"] or {},
        "parameters": [],
    }


def job_specification(job: Job) -> Json:
    """Return the job as it was requested from Resource Manager, under run history's names."""
    properties = job.properties
    return {
        "jobType": "Command",
        "codeId": properties["codeId"],
        "command": properties["command"],
        "environmentId": properties["environmentId"],
        "distribution": properties["distribution"],
        "environmentVariables": properties["environmentVariables"],
        "parameters": None,
    }


def error_body(job: Job, workspace: Workspace) -> Json | None:
    """Return the error of a failed run, nested as in run history; None if it did not fail."""
    if job.error is None:
        return None
    return {
        **failure(
            job.error["code"],
            job.error["message"],
            location=workspace.location,
            now=job.ended_at or job.created_at,
            # Recorded is only `Execution`, of an import; quoted is CommonRuntime (Azure/azureml-examples#3463).
            component=job.error.get("component", "CommonRuntime"),
        ),
        "correlation": {
            "operation": uuid.uuid5(uuid.NAMESPACE_URL, job.name).hex,
            "request": uuid.uuid5(uuid.NAMESPACE_OID, job.name).hex[:16],
        },
    }


def _target(job: Job) -> str:
    # Guess: the target of a serverless job in run history was not recorded.
    return compute_name(job.properties["computeId"]) or "serverless"


def _compute(job: Job, workspace: Workspace) -> Json:
    name = compute_name(job.properties["computeId"])
    compute = workspace.find_compute(name) if name else None
    resources = job.properties["resources"]
    return {
        "target": _target(job),
        "targetType": "amlctrain",
        "vmSize": compute.inner.get("vmSize") if compute else resources["instanceType"],
        "instanceType": resources["instanceType"],
        "instanceCount": resources["instanceCount"],
        "gpuCount": 0,
        "priority": None,
        "region": None,
        "armId": compute.body["id"] if compute else None,
    }


def _duration(job: Job) -> str | None:
    """Return the duration of a run, as `00:01:02.5`; None before its end."""
    if job.ended_at is None:
        return None
    taken = job.ended_at - (job.started_at or job.ended_at)
    hours, rest = divmod(taken, timedelta(hours=1))
    minutes, rest = divmod(rest, timedelta(minutes=1))
    seconds = f"{rest.total_seconds():09.6f}".rstrip("0").rstrip(".")
    return f"{hours:02}:{minutes:02}:{seconds}"


def _seconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp(moment)


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"
