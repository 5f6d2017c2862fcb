"""Models and data in registries, as the unmodified SDK shares them between workspaces behind the proxy."""

from __future__ import annotations

from pathlib import Path

import pytest
from azure.ai.ml import Input, MLClient, command
from azure.ai.ml.entities import Data, Environment, Model, Registry, RegistryRegionDetails
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential

from tests.contract.arm import Arm
from tests.contract.test_job_data import log_of, ran
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime

REGISTRY = "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearningServices/registries/{}"


def credential(emulator: Emulator) -> ClientSecretCredential:
    return ClientSecretCredential(emulator.tenant_id, emulator.client_id, emulator.client_secret)


@pytest.fixture
def workspace(proxied: Emulator) -> MLClient:
    """A client of the workspace, in whose resource group is a registry."""
    own = proxied.context.store.workspaces[0]
    client = MLClient(credential(proxied), own.subscription_id, own.resource_group, own.name, cloud="AzureCloud")
    regions = [RegistryRegionDetails(location="westeurope")]
    made = client.registries.begin_create(Registry(name="team", location="westeurope", replication_locations=regions))
    assert made.result().name == "team"
    return client


@pytest.fixture
def registry(proxied: Emulator, workspace: MLClient) -> MLClient:
    del workspace
    return MLClient(credential(proxied), registry_name="team", cloud="AzureCloud")


def test_a_registry_is_made_read_listed_and_deleted(workspace: MLClient) -> None:
    assert workspace.registries.get("team").location == "westeurope"
    assert [one.name for one in workspace.registries.list()] == ["team"]

    workspace.registries.begin_delete(name="team").result()

    assert list(workspace.registries.list()) == []
    with pytest.raises(ResourceNotFoundError, match="Registry team not found"):
        workspace.registries.get("team")


def test_a_model_is_created_found_and_downloaded(registry: MLClient, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_text("1 2 3")

    made = registry.models.create_or_update(Model(name="net", version="1", path=str(tmp_path / "weights")))

    assert made.id == "azureml://registries/team/models/net/versions/1"
    assert registry.models.get("net", "1") == made
    assert [one.name for one in registry.models.list()] == ["net"]
    registry.models.download("net", "1", download_path=str(tmp_path / "down"))
    assert [path.read_text() for path in (tmp_path / "down").rglob("w.bin")] == ["1 2 3"]


def test_the_latest_version_of_data_is_found(registry: MLClient, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a")
    for version in ("one", "two"):
        registry.data.create_or_update(
            Data(name="rows", version=version, path=str(tmp_path / "a.csv"), type="uri_file")
        )

    assert registry.data.get("rows", label="latest").version == "two"
    assert {one.version for one in registry.data.list("rows")} == {"one", "two"}


@pytest.fixture
def runtime_of_jobs() -> ProcessRuntime:
    return ProcessRuntime(grace=0.1)


def test_what_a_workspace_shares_is_an_input_of_a_job(
    proxied: Emulator, workspace: MLClient, registry: MLClient, tmp_path: Path
) -> None:
    proxied.context.settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_text("1 2 3\n")
    workspace.models.create_or_update(Model(name="net", version="1", path=str(tmp_path / "weights")))

    workspace.models.share("net", "1", share_with_name="shared", share_with_version="7", registry_name="team")

    found = registry.models.get("shared", "7")
    job = ran(
        workspace,
        command(
            command="cat ${{inputs.net}}/w.bin",
            inputs={"net": Input(type="custom_model", path=found.id)},
            environment=Environment(name="ours", version="1", image="python:3.12"),
        ),
    )
    assert (job.status, log_of(proxied, job)) == ("Completed", "1 2 3\n")


def test_other_assets_and_registries_of_microsoft_say_that_they_are_not_there(
    proxied: Emulator, registry: MLClient
) -> None:
    with pytest.raises(HttpResponseError, match="NotEmulated"):
        list(registry.environments.list())
    with pytest.raises(HttpResponseError, match="The registry azureml of Microsoft is not emulated"):
        MLClient(credential(proxied), registry_name="azureml", cloud="AzureCloud")
    with pytest.raises(ResourceNotFoundError, match="Registry nobodys not found"):
        MLClient(credential(proxied), registry_name="nobodys", cloud="AzureCloud")


def test_a_registry_lasts(tmp_path: Path) -> None:
    with Emulator(tmp_path / "state", keep_state=True) as emulator:
        own = emulator.context.store.workspaces[0]
        path = REGISTRY.format(own.subscription_id, own.resource_group, "team")
        assert Arm(emulator).call("PUT", path, {"location": "westeurope"}).status == 201
        version = f"/mferp/managementfrontend{path}/models/net/versions/1"
        body = {"properties": {"modelUri": "https://account.blob.core.windows.net/container/net"}}
        made = Arm(emulator).call("PUT", version, body, api_version="2021-10-01-dataplanepreview")
        assert made.status == 200

    with Emulator(tmp_path / "state", keep_state=True) as emulator:
        assert Arm(emulator).call("GET", path).body["name"] == "team"
        found = Arm(emulator).call("GET", version, api_version="2021-10-01-dataplanepreview")

    assert found.body == made.body
