"""The members of a command job's objects that the service knows.

Names are those of Microsoft's descriptions of the API. Guess: the names of the types, but for `UriFolderJobOutput`; and
which members of older versions newer ones refuse, but for `assetVersion` of outputs (job_put_unknown_member_400.json).
"""

from __future__ import annotations

from zenml_azureml.emulator.http.api_versions import ApiVersion, Window
from zenml_azureml.emulator.http.members import KnownMembers, Place, names_of
from zenml_azureml.emulator.types import Json

_JOB = frozenset(
    {
        *("description", "properties", "tags", "componentId", "computeId", "displayName", "experimentName", "identity"),
        *(
            "isArchived",
            "jobType",
            "notificationSetting",
            "secretsConfiguration",
            "services",
            "status",
            "parentJobName",
        ),
        *("autologgerSettings", "codeId", "command", "distribution", "environmentId", "environmentVariables", "inputs"),
        *("limits", "outputs", "parameters", "queueSettings", "resources"),
    }
)
_RESOURCES = frozenset(
    {
        *("instanceCount", "instanceType", "properties", "shmSize", "dockerArgs", "dockerArgsList", "locations"),
        *("maxInstanceCount",),
    }
)
_OUTPUT = frozenset({"description", "jobOutputType", "uri", "mode", "assetName", "pathOnCompute"})
_INPUT = frozenset({"description", "jobInputType", "uri", "mode", "value", "pathOnCompute"})

#: Members of outputs that only some versions know.
_OF_OUTPUTS = {
    "assetVersion": Window(None, "2022-12-01", "2025-01-01"),
    "autoDeleteSetting": Window(None, "2023-04-01", "2025-01-01"),
}

_KINDS = {
    **{"uri_folder": "UriFolder", "uri_file": "UriFile", "mltable": "MLTable", "literal": "Literal"},
    **{"custom_model": "CustomModel", "mlflow_model": "MLFlowModel", "triton_model": "TritonModel"},
}


def known_members(sent: Json, version: ApiVersion) -> dict[Place, KnownMembers]:
    """Return the members of a job that a version knows, by the places of its objects.

    Args:
        sent: `properties` of the PUT's body.
        version: The api-version.
    """
    job: Place = ("properties",)
    further = {name for name, window in _OF_OUTPUTS.items() if version.has(window)}
    known = {
        job: KnownMembers("CommandJob", _JOB),
        (*job, "resources"): KnownMembers("JobResourceConfiguration", _RESOURCES),
        (*job, "limits"): KnownMembers("CommandJobLimits", frozenset({"jobLimitsType", "timeout"})),
        (*job, "queueSettings"): KnownMembers("QueueSettings", frozenset({"jobTier", "priority"})),
    }
    for name, value in names_of(sent.get("outputs")).items():
        kind = _KINDS.get(str(names_of(value).get("jobOutputType")).lower(), "UriFolder")
        known["properties", "outputs", name] = KnownMembers(f"{kind}JobOutput", _OUTPUT | further)
    for name, value in names_of(sent.get("inputs")).items():
        kind = _KINDS.get(str(names_of(value).get("jobInputType")).lower(), "UriFolder")
        known["properties", "inputs", name] = KnownMembers(f"{kind}JobInput", _INPUT)
    return known
