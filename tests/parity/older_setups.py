"""What an emulator needs before it gets the requests of the recordings in tests/contract/recorded.

Requests alone, as the recorded test sent them where that is known; where it is not, the smallest ones that create what
the recording is about.
"""

from __future__ import annotations

from typing import Any

Step = dict[str, Any]

_V2022, _V2024 = "2022-10-01-preview", "2024-04-01"


def _step(method: str, path: str, body: object = None, *, version: str = _V2024, advance: int = 0) -> Step:
    return {"method": method, "path": path, "api_version": version, "body": body, "advance": advance}


def _cluster(name: str, *, idle: str | None = None, advance: int = 120, **properties: Any) -> Step:
    scale = {"minNodeCount": 0, "maxNodeCount": 2, **({"nodeIdleTimeBeforeScaleDown": idle} if idle else {})}
    inner = {"vmSize": "Standard_DS3_v2", "scaleSettings": scale, **properties}
    body = {"location": "eastus", "properties": {"computeType": "AmlCompute", "properties": inner}}
    return _step("PUT", f"computes/{name}", body, advance=advance)


def _instance(name: str, *, advance: int = 120, identity: bool = True) -> Step:
    inner = {"vmSize": "Standard_DS3_v2"}
    body: Step = {"location": "eastus", "properties": {"computeType": "ComputeInstance", "properties": inner}}
    return _step("PUT", f"computes/{name}", {**body, **_SYSTEM_ASSIGNED} if identity else body, advance=advance)


def _job(name: str, *, compute: str | None = None, version: str = _V2024, advance: int = 0, **properties: Any) -> Step:
    job = {"jobType": "Command", "command": "echo hello", "environmentId": "azureml:some:1", **properties}
    if compute is not None:
        job["computeId"] = f"{{workspace}}/computes/{compute}"
    return _step("PUT", f"jobs/{name}", {"properties": job}, version=version, advance=advance)


def _simulate(**settings: float) -> Step:
    return _step("POST", "/_emulator/settings", settings)


def _environment(name: str, version: str, **properties: Any) -> Step:
    return _step("PUT", f"environments/{name}/versions/{version}", {"properties": properties})


_SYSTEM_ASSIGNED = {"identity": {"type": "SystemAssigned"}}
_LONG, _SHORT = _simulate(simulated_seconds=600), _simulate(simulated_seconds=0)

_SSH_CLUSTER = _step(
    "PUT",
    "computes/test602691254317",
    {
        "location": "eastus2euap",
        "properties": {
            "computeType": "AmlCompute",
            "description": "some_desc_aml",
            "properties": {
                "osType": "Linux",
                "vmSize": "Standard_DS2_v2",
                "vmPriority": "Dedicated",
                "scaleSettings": {"maxNodeCount": 2, "minNodeCount": 0, "nodeIdleTimeBeforeScaleDown": "PT1M40S"},
                "userAccountCredentials": {
                    "adminUserName": "azureuser",
                    "adminUserSshPublicKey": "ssh-rsa AAAA",
                    "adminUserPassword": "password",
                },
                "remoteLoginPortPublicAccess": "Enabled",
                "enableNodePublicIp": True,
            },
        },
    },
    version="2022-01-01-preview",
)
_SHARED_INSTANCE = _step(
    "PUT",
    "computes/test974959540186",
    {
        "location": "eastus2euap",
        **_SYSTEM_ASSIGNED,
        "properties": {
            "computeType": "ComputeInstance",
            "description": "some_desc_ci",
            "properties": {
                "vmSize": "Standard_DS2_v2",
                "applicationSharingPolicy": "Shared",
                "sshSettings": {"sshPublicAccess": "Disabled", "adminPublicKey": "ssh-rsa AAAA"},
                "computeInstanceAuthorizationType": "personal",
            },
        },
    },
    version=_V2022,
)
_STOPPED = [
    {**_SHARED_INSTANCE, "advance": 120},
    _step("POST", "computes/test974959540186/stop", version=_V2022, advance=120),
]
_SMALL_CLUSTER = _step(
    "PUT",
    "computes/aml03",
    {
        "location": "eastus",
        "properties": {
            "computeType": "AmlCompute",
            "properties": {
                "vmSize": "STANDARD_DS3_V2",
                "osType": "Linux",
                "remoteLoginPortPublicAccess": "NotSpecified",
                "scaleSettings": {"maxNodeCount": 8, "minNodeCount": 0},
            },
        },
    },
)

_RECENT = [_cluster("cctestcpucancel"), _environment("cctest-cancel-env", "1", image="image:1")]
_RECENT_JOB: Step = {
    "compute": "cctestcpucancel",
    "environmentId": "{workspace}/environments/cctest-cancel-env/versions/1",
    "experimentName": "cctest_cancel",
}
_RUNNING = [*_RECENT, _LONG, _job("cctest-running-job", **_RECENT_JOB, command="sleep 600", advance=300)]
_CANCELED = [
    *_RECENT,
    _SHORT,
    _job("cctest-completed-job", **_RECENT_JOB, advance=300),
    _LONG,
    _job("cctest-cancel-job", **_RECENT_JOB, command="sleep 600", advance=300),
    _step("POST", "jobs/cctest-cancel-job/cancel", version="2023-04-01", advance=60),
    _job("cctest-running-job", **_RECENT_JOB, command="sleep 600", advance=300),
]
_INSTANCE_JOB = [
    _instance("commandjobcompute"),
    _job("commandjob01", compute="commandjobcompute", limits={"jobLimitsType": "Command"}, advance=300),
]
_IMPORT = "000000000000000000000"
_IMPORT_JOB: Step = {
    "description": "test_description",
    "displayName": "test_display_name",
    "experimentName": "azure-ai-ml",
    "command": "import",
    "environmentId": "{workspace}/environments/AzureML-sklearn-0.24-ubuntu18.04-py37-cpu",
    "inputs": {
        "type": {"jobInputType": "literal", "value": "azuresqldb"},
        "connection": {"jobInputType": "literal", "value": "azureml:my_username_password"},
        "query": {"jobInputType": "literal", "value": "select * from REGION"},
    },
    "outputs": {
        "output": {"uri": "azureml://datastores/workspaceblobstore/paths/output_dir/", "jobOutputType": "mltable"}
    },
    "version": _V2022,
}
_NEVER_STARTED = _step("POST", "/_emulator/scenario", {"name": "no-such-compute"})
_DATA_FACTORY = _cluster("DataFactory")
_CONDA = "name: example-environment\nchannels: [conda-forge]\ndependencies: [python=3.8, pip]\n"
_TAKEN: Step = {"jobType": "Command", "command": "echo hello", "environmentId": "azureml:some:1"}
_FULL_JOB: Step = {
    "description": "string",
    "tags": {"string": "string"},
    "properties": {"string": "string"},
    "services": {
        "string": {"jobServiceType": "string", "port": 1, "endpoint": "string", "properties": {"string": "string"}}
    },
    "resources": {"instanceCount": 1, "instanceType": "string", "properties": {"string": {"string": None}}},
    "codeId": "string",
    "inputs": {"string": {"description": "string", "jobInputType": "literal", "value": "string"}},
    "outputs": {
        "string": {
            "description": "string",
            "jobOutputType": "uri_file",
            "mode": "ReadWriteMount",
            "uri": "azureml://datastores/workspaceblobstore/paths/string",
        }
    },
    "distribution": {"distributionType": "TensorFlow", "workerCount": 1, "parameterServerCount": 1},
    "limits": {"jobLimitsType": "Command", "timeout": "PT5M"},
    "environmentVariables": {"string": "string"},
    "identity": {"identityType": "AMLToken"},
}
_CANCEL_JOB = [_LONG, _job(_IMPORT, version="2023-02-01-preview", advance=300)]
_CANCEL_LRO = _step("POST", f"jobs/{_IMPORT}/cancel", version="2023-02-01-preview")

OLDER_SETUPS: dict[str, list[Step]] = {
    "compute_aml_delete": [{**_SSH_CLUSTER, "advance": 120}],
    "compute_aml_get_resizing": [{**_SSH_CLUSTER, "advance": 60}],
    "compute_aml_get_steady": [{**_SSH_CLUSTER, "advance": 60}, _simulate(), _step("GET", "computes", advance=60)],
    "compute_aml_get_2025": [{**_SMALL_CLUSTER, "advance": 60}, _step("GET", "computes", advance=60)],
    "compute_aml_patch_2025": [{**_SMALL_CLUSTER, "advance": 60}, _step("GET", "computes", advance=60)],
    "compute_ci_get_running": [{**_SHARED_INSTANCE, "advance": 120}],
    "compute_ci_stop": [{**_SHARED_INSTANCE, "advance": 120}],
    "compute_ci_start": _STOPPED,
    "compute_ci_get_restarted": [
        *_STOPPED,
        _step("POST", "computes/test974959540186/start", version=_V2022, advance=120),
    ],
    "compute_op_inprogress": [_SHARED_INSTANCE],
    "compute_op_inprogress_all_headers": [
        {**_SHARED_INSTANCE, "advance": 120},
        _step("DELETE", "computes/test974959540186?underlyingResourceAction=Delete", version=_V2022),
    ],
    "compute_op_succeeded": [{**_SSH_CLUSTER, "advance": 60}],
    "compute_list_2024": [_cluster("batch-cluster", idle="PT2M"), _instance("instance1")],
    "compute_list_nodes_2024": [_cluster("batch-cluster")],
    "environment_versions_list_latest": [
        _environment("test_281837473308", version, image="image:1", condaFile=_CONDA, description="An environment")
        for version in ("foo", "bar")
    ],
    "environment_versions_list_2024": [_environment("batchenv1", "1", image="image:1")],
    "example_compute_listnodes": [
        _cluster("compute123"),
        _LONG,
        _job("job1", compute="compute123", resources={"instanceCount": 2}, advance=300),
    ],
    "example_job_list_nextlink": [
        _cluster("cluster"),
        _simulate(page_size=1),
        *(_job(name, compute="cluster", **_FULL_JOB) for name in ("one", "two")),
    ],
    "example_job_put_limits_tensorflow": [_cluster("string")],
    "quoted_put_immutable": [_job("job1")],
    "quoted_quota_error": [_cluster("large", advance=120, vmSize="Standard_ND96asr_v4")],
    "quoted_rundetails_v1_logfiles": [_cluster("cpucluster"), _job("job1", compute="cpucluster", advance=300)],
    "quoted_unauthorised_bearer_missing": [_job("job1")],
    "history_rundata_failed_command": [
        _NEVER_STARTED,
        _DATA_FACTORY,
        _job("test_495987493621", compute="DataFactory", **_IMPORT_JOB, advance=300),
    ],
    "history_run_children_first": [_job("test_259228612667")],
    "job_cancel_completed_2025": _INSTANCE_JOB,
    "job_cancel_running_202": _RUNNING,
    "job_cancel_starting_200": [_DATA_FACTORY, _job(_IMPORT, compute="DataFactory", **_IMPORT_JOB)],
    "job_cancel_poll_202_2023": [*_CANCEL_JOB, _CANCEL_LRO],
    "job_cancel_poll_200_2023": [*_CANCEL_JOB, {**_CANCEL_LRO, "advance": 60}],
    "job_get_cancelrequested": [*_RUNNING, _step("POST", "jobs/cctest-running-job/cancel", version="2023-04-01")],
    "job_get_completed": [*_RECENT, _job("cctest-completed-job", **_RECENT_JOB, advance=300)],
    "job_get_completed_ray": [
        _cluster("testCompute"),
        _job(
            "test_92541083814",
            compute="testCompute",
            experimentName="ray-test",
            command="ray status;",
            distribution={"distributionType": "Ray"},
            environmentVariables={},
            resources={"instanceCount": 2, "properties": {}},
            version="2023-04-01-preview",
            advance=300,
        ),
    ],
    "job_get_failed": [
        _NEVER_STARTED,
        _DATA_FACTORY,
        _job(_IMPORT, compute="DataFactory", **_IMPORT_JOB, advance=300),
    ],
    "job_get_instance_2025": _INSTANCE_JOB,
    "job_get_starting": [_DATA_FACTORY, _job(_IMPORT, compute="DataFactory", **_IMPORT_JOB)],
    "job_list_mixed_states": _CANCELED,
    "job_put_cluster_identity_input": [_cluster("testCompute")],
    "job_put_cluster_mpi": [_cluster("testCompute")],
    "job_put_invalid_input_uri_201": [_cluster("testCompute")],
    "job_put_minimal_fields": [_DATA_FACTORY],
    "workspace_get_200_2022": [
        _step("PATCH", "", {"properties": {"containerRegistry": "{workspace}/registries/registry"}})
    ],
    "job_put_services_resources": [_cluster("testCompute")],
}

#: Requests of quotations and examples that have none of their own, or one of placeholders.
OLDER_REQUESTS: dict[str, Step] = {
    "example_job_list_nextlink": {"path": "jobs?jobType=Command&tag=string"},
    "quoted_404_debug_headers": {"path": "jobs/nothing"},
    "quoted_put_immutable": {"path": "jobs/job1", "request_body": {"properties": {**_TAKEN, "command": "other"}}},
    "quoted_quota_error": {"method": "GET", "path": "computes/large"},
    "quoted_rundetails_v1_logfiles": {"path": "/history/v1.0{workspace}/experiments/Default/runs/job1/details"},
    "quoted_unauthorised_bearer_missing": {
        "path": "/history/v1.0{workspace}/runs/job1",
        "headers": {"Authorization": ""},
    },
}
#: Where in the emulator's answer the quoted fragment is.
OLDER_PLACES: dict[str, tuple[str | int, ...]] = {
    "quoted_quota_error": ("properties", "provisioningErrors", 0, "error"),
}

OLDER_SENDS = {
    **dict.fromkeys(
        ("compute_op_inprogress", "compute_op_inprogress_all_headers", "compute_op_succeeded"), "Azure-AsyncOperation"
    ),
    **dict.fromkeys(("job_cancel_poll_202_2023", "job_cancel_poll_200_2023"), "Location"),
}
