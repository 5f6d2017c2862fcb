"""What an emulator needs before it gets the requests of exchanges whose files do not say so.

Requests alone: nothing of an answer is in them but the names of what was recorded.
"""

from __future__ import annotations

from typing import Any

#: The subscription of recordings that name none.
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"

_VERSION = "2024-04-01"
_CLUSTER = {
    "method": "PUT",
    "path": "computes/testCompute",
    "api_version": _VERSION,
    "advance": 120,
    "body": {
        "location": "eastus2",
        "properties": {
            "computeType": "AmlCompute",
            "properties": {"vmSize": "Standard_DS3_v2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 1}},
        },
    },
}
_ENVIRONMENT = {
    "method": "PUT",
    "path": "environments/env1/versions/bar",
    "api_version": _VERSION,
    "body": {"properties": {"image": "image:1"}},
}
_JOB = {
    "method": "PUT",
    "path": "jobs/job1",
    "api_version": "2025-01-01-preview",
    "body": {
        "properties": {
            "jobType": "Command",
            "command": "train",
            "environmentId": "azureml:env1:bar",
            "environmentVariables": {"SIMULATE_SECONDS": "1000"},
            "computeId": "{workspace}/computes/testCompute",
        }
    },
}
_CANCEL = {"method": "POST", "path": "jobs/job1/cancel", "api_version": "2023-04-01-preview"}
_DIAGNOSE = {
    "method": "POST",
    "path": "diagnose",
    "api_version": "2022-05-01",
    "body": {"value": {"applicationInsights": {"key1": "insights1"}}},
}

_DATA = {
    "method": "PUT",
    "path": "data/data1/versions/foo",
    "api_version": "2023-04-01-preview",
    "advance": 1,
    "body": {
        "properties": {
            "properties": {},
            "tags": {},
            "isAnonymous": False,
            "isArchived": False,
            "dataType": "uri_file",
            "dataUri": "azureml://datastores/workspaceblobstore/paths/LocalUpload/hash/sample1.csv",
        }
    },
}
_HASH = "a4e91c079c2a271d699ffac5ca5441abc8034151356913e57bff8f483c3d3a3b"
_CODE = {
    "method": "PUT",
    "path": "codes/code1/versions/1",
    "api_version": "2023-04-01",
    "body": {
        "properties": {
            "properties": {"hash_sha256": _HASH, "hash_version": "202208"},
            "codeUri": "https://storage1.blob.core.windows.net/container/python",
        }
    },
}
_DATASTORE = {
    "method": "PUT",
    "path": "datastores/store1",
    "api_version": _VERSION,
    "body": {
        "properties": {
            "datastoreType": "AzureBlob",
            "accountName": "storage1",
            "containerName": "container1",
            "credentials": {
                "credentialsType": "AccountKey",
                "secrets": {"secretsType": "AccountKey", "key": "a2V5"},
            },
        }
    },
}

#: What the emulator needs before the requests of exchanges whose files do not have it.
SETUPS: dict[str, list[dict[str, Any]]] = {
    "job_put_2026": [_CLUSTER, _ENVIRONMENT],
    "job_put_unknown_member_400": [_CLUSTER],
    "job_cancel_starting_202_2026": [_CLUSTER, _ENVIRONMENT, _JOB],
    "job_cancel_poll_202_2026": [_CLUSTER, _ENVIRONMENT, {**_JOB, "advance": 300}, _CANCEL],
    "job_cancel_poll_200_2026": [_CLUSTER, _ENVIRONMENT, _JOB, {**_CANCEL, "advance": 60}],
    "workspace_diagnose_poll_200": [_DIAGNOSE],
    "data_container_get_2026": [_DATA],
    "data_version_get_2026": [_DATA],
    "code_versions_by_hash_2026": [_CODE],
    "datastores_list_2025": [_DATASTORE],
}

#: Exchanges with a workspace that does not exist.
WITHOUT_WORKSPACE = {"job_put_no_workspace_404"}

#: Headers with the address to request, of the same.
SENDS = dict.fromkeys(
    ("job_cancel_poll_202_2026", "job_cancel_poll_200_2026", "workspace_diagnose_poll_200"), "Location"
)
