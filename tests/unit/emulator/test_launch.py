"""From a job as it was sent to what is executed."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jwt
import pytest
from pydantic import ValidationError

from zenml_azureml.emulator.jobs.definition import compute_name, environment_of, timeout_of
from zenml_azureml.emulator.jobs.launch import build_launch, substitute_bindings
from zenml_azureml.emulator.jobs.processes import Rendezvous
from zenml_azureml.emulator.jobs.variables import JobProxy
from zenml_azureml.emulator.resources import AssetContainer, AssetVersion, Job
from zenml_azureml.emulator.runtimes.docker.runtime import options_of
from zenml_azureml.emulator.services.aml.job_views import complete
from zenml_azureml.emulator.services.entra.clouds import CLOUDS
from zenml_azureml.emulator.state import Workspace

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def workspace() -> Workspace:
    return Workspace("sub", "group", "ws", "westeurope", NOW)


def make_job(workspace: Workspace, folder: Path, **sent: Any) -> Job:
    request = {"command": "echo", "environmentId": "azureml:ours:1", **sent}
    return Job("job", complete(request, "job", workspace), NOW, folder)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("echo ${{inputs.x}}", "echo 1"),
        ("echo ${{ inputs.x }} ${{outputs.model}}", "echo 1 /out"),
        ("echo ${{inputs.y}} $HOME ${x}", "echo ${{inputs.y}} $HOME ${x}"),
    ],
)
def test_bindings_are_put_into_the_command(command: str, expected: str) -> None:
    assert substitute_bindings(command, {("inputs", "x"): "1", ("outputs", "model"): "/out"}) == expected


@pytest.mark.parametrize(
    ("environment_id", "expected"),
    [
        ("/subscriptions/s/resourceGroups/g/providers/P/workspaces/w/environments/ours/versions/7", ("ours", "7")),
        ("/subscriptions/s/resourceGroups/g/providers/P/workspaces/w/Environments/ours/Versions/7", ("ours", "7")),
        ("/subscriptions/s/resourceGroups/g/providers/P/workspaces/w/environments/ours", ("ours", None)),
        ("azureml:ours:7", ("ours", "7")),
        ("azureml:ours", ("ours", None)),
        ("azureml://registries/azureml/environments/shared/versions/2", ("shared", "2")),
        ("ours", None),
    ],
)
def test_every_form_of_environment_id_is_read(environment_id: str, expected: tuple[str, str | None] | None) -> None:
    assert environment_of(environment_id) == expected


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [(None, None), ({}, None), ({"timeout": None}, None), ({"timeout": "PT5M"}, 300), ({"timeout": "P1DT1S"}, 86401)],
)
def test_a_time_limit_is_iso_8601(limits: dict[str, Any] | None, seconds: float | None) -> None:
    assert timeout_of(limits) == seconds


def test_another_time_limit_is_refused() -> None:
    with pytest.raises(ValidationError):
        timeout_of({"timeout": "soon"})


@pytest.mark.parametrize(
    ("compute_id", "name"),
    [(None, None), ("/subscriptions/s/computes/cpu", "cpu"), ("/x/computes/serverless", None), ("Serverless", None)],
)
def test_serverless_is_no_compute(compute_id: str | None, name: str | None) -> None:
    assert compute_name(compute_id) == name


def test_a_job_is_told_where_it_runs_and_its_own_variables_win(workspace: Workspace, tmp_path: Path) -> None:
    job = make_job(
        workspace,
        tmp_path,
        experimentName="digits",
        computeId="/x/computes/cpu",
        resources={"instanceCount": 2},
        environmentVariables={"MINE": "1", "AZUREML_ARM_PROJECT_NAME": "mine"},
    )

    launch = build_launch(job, workspace, "https://127.0.0.1:1")

    expected = {
        "AZUREML_RUN_ID": "job",
        "AZUREML_ARM_SUBSCRIPTION": "sub",
        "AZUREML_ARM_RESOURCEGROUP": "group",
        "AZUREML_ARM_WORKSPACE_NAME": "ws",
        "AZUREML_ARM_PROJECT_NAME": "mine",
        "AZUREML_NODE_COUNT": "2",
        "MINE": "1",
    }
    assert expected.items() <= launch.environment.items()
    assert json.loads(launch.environment["AZUREML_CR_COMPUTE_CONTEXT"])["cluster_name"] == "cpu"
    assert launch.node_count == 2
    assert [process.node for process in launch.processes] == [0, 1]


def test_a_job_is_led_to_its_own_mlflow_run_whatever_its_own_variables_say(
    workspace: Workspace, tmp_path: Path
) -> None:
    # Azure/azure-sdk-for-python#38813: the runtime overwrites them. The names are of a dump of a job's environment.
    names = ("TRACKING_URI", "RUN_ID", "EXPERIMENT_ID", "EXPERIMENT_NAME", "TRACKING_TOKEN")
    sent = {f"MLFLOW_{name}": "mine" for name in names} | {"MLFLOW_TRACKING_USERNAME": "me"}
    job = make_job(workspace, tmp_path, experimentName="digits", environmentVariables=sent)

    environment = build_launch(job, workspace, "https://127.0.0.1:1").environment

    assert environment["MLFLOW_TRACKING_URI"] == f"azureml://127.0.0.1:1/mlflow/v1.0{workspace.path}"
    assert (environment["MLFLOW_RUN_ID"], environment["MLFLOW_EXPERIMENT_NAME"]) == ("job", "digits")
    assert environment["MLFLOW_EXPERIMENT_ID"] == environment["AZUREML_EXPERIMENT_ID"]
    assert environment["MLFLOW_TRACKING_TOKEN"] == environment["AZUREML_RUN_TOKEN"]
    claims = jwt.decode(environment["MLFLOW_TRACKING_TOKEN"], options={"verify_signature": False})
    assert claims["exp"] == (NOW + timedelta(days=21)).timestamp()
    assert environment["MLFLOW_TRACKING_USERNAME"] == "me"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_job_knows_its_cloud_without_asking_azure(workspace: Workspace, tmp_path: Path, cloud: str) -> None:
    launch = build_launch(make_job(workspace, tmp_path), workspace, "https://127.0.0.1:1", cloud=CLOUDS[cloud].name)

    assert launch.environment["AZUREML_CURRENT_CLOUD"] == cloud


def test_the_variables_of_a_job_have_azures_names_and_forms(workspace: Workspace, tmp_path: Path) -> None:
    # The names and the keys are those of a public dump of a job.
    job = make_job(workspace, tmp_path, experimentName="digits", identity={"identityType": "UserIdentity"})

    environment = build_launch(job, workspace, "https://127.0.0.1:1").environment

    assert environment["AZUREML_ROOT_RUN_ID"] == environment["AZUREML_CR_CORRELATION_ID"] == "job"
    assert environment["AZUREML_RUN_HISTORY_SERVICE_ENDPOINT"] == "https://127.0.0.1:1"
    assert environment["AZUREML_RUN_TOKEN_EXPIRY"] == str(int((NOW + timedelta(days=21)).timestamp()))
    assert environment["AZUREML_CR_DATA_CAPABILITY_PATH"] == f"{tmp_path}/cap/data-capability/wd"
    common = json.loads(environment["AZUREML_CR_AZUREML_CONTEXT"])
    assert common.keys() == {
        *("subscription_id", "resource_group", "workspace_name", "workspace_id", "service_endpoint"),
        *("discovery_endpoint", "experiment_name", "experiment_id", "root_run_id", "run_id", "run_token"),
        *("run_history_service_endpoint", "data_container_id", "run_uuid"),
    }
    assert common["data_container_id"] == "dcid.job"
    assert json.loads(environment["AZUREML_CR_COMPUTE_CONTEXT"]).keys() == {
        *("cluster_name", "node_id", "vm_id", "run_attempt_count", "gpu_count", "vm_size", "readable_cluster_name"),
        *("vm_priority", "use_vnet_or_private_link"),
    }
    assert environment["AZUREML_OBO_ENABLED"] == "True"
    assert environment["OBO_ENDPOINT"].startswith("https://127.0.0.1:1/obo/")
    assert "MSI_ENDPOINT" not in environment


def test_the_clients_in_a_job_are_led_to_the_emulator(workspace: Workspace, tmp_path: Path) -> None:
    environment = build_launch(make_job(workspace, tmp_path), workspace, "https://127.0.0.1:1").environment

    assert environment["AZUREML_DEV_URL_MFE"] == environment["AZURE_AUTHORITY_HOST"] == "https://127.0.0.1:1"
    assert environment["AZURE_POD_IDENTITY_AUTHORITY_HOST"].startswith("https://127.0.0.1:1/imds/")
    assert "OBO_ENDPOINT" not in environment


@pytest.mark.parametrize(
    ("environment_id", "image"),
    [("azureml:ours:1", "old"), ("azureml:ours", "new"), ("azureml:ours:3", None), ("azureml:theirs:1", None)],
)
def test_the_image_is_that_of_the_environment(
    workspace: Workspace, tmp_path: Path, environment_id: str, image: str | None
) -> None:
    versions = {"1": "old", "2": "new"}
    workspace.environments["ours"] = AssetContainer(
        "ours",
        NOW,
        {version: AssetVersion("ours", version, {"image": name}, NOW, NOW) for version, name in versions.items()},
    )

    launch = build_launch(make_job(workspace, tmp_path, environmentId=environment_id), workspace, "")

    assert launch.image == image


@pytest.mark.parametrize(
    ("base_url", "directly"),
    [("https://127.0.0.1:1", "127.0.0.1,localhost"), ("https://a:1", "a,127.0.0.1,localhost")],
)
def test_a_job_behind_the_proxy_reaches_azures_hosts_through_it(
    workspace: Workspace, tmp_path: Path, base_url: str, directly: str
) -> None:
    proxy = JobProxy("http://emulator:key@127.0.0.1:2", "login.chinacloudapi.cn")

    launch = build_launch(make_job(workspace, tmp_path), workspace, base_url, proxy=proxy)

    in_container = options_of(launch, launch.processes[0], Rendezvous(("127.0.0.1",), (1,)), None)["environment"]
    for environment in (launch.environment, in_container):
        assert {environment[name] for name in ("HTTPS_PROXY", "https_proxy")} == {proxy.url}
        assert {environment[name] for name in ("NO_PROXY", "no_proxy")} == {directly}
        assert environment["AZURE_AUTHORITY_HOST"] == "https://login.chinacloudapi.cn"
    assert "key" not in repr(proxy)


def test_a_job_can_have_a_proxy_of_its_own(workspace: Workspace, tmp_path: Path) -> None:
    job = make_job(workspace, tmp_path, environmentVariables={"HTTPS_PROXY": "http://mine"})
    proxy = JobProxy("http://127.0.0.1:2", "login.microsoftonline.com")

    environment = build_launch(job, workspace, "https://127.0.0.1:1", proxy=proxy).environment

    assert environment["HTTPS_PROXY"] == "http://mine"
    assert "https_proxy" not in environment  # which many clients read first
