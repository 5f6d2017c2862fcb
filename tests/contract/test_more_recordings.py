"""Answers of the real service that Azure PowerShell's tests recorded in 2024 and 2025, against the emulator's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from azure.ai.ml import MLClient

from tests.contract.arm import Arm, recorded, shape
from tests.contract.recorded_answers import comparable
from tests.contract.waiting import eventually
from zenml_azureml.azure.sizes.parsing import vm_size
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.clock import ManualClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime
from zenml_azureml.emulator.services.aml import sizes as emulated_sizes

#: The api-version of these recordings.
VERSION = "2024-04-01"
PROVISIONING = 60.0


@pytest.fixture
def clocked(tmp_path: Path, clock: ManualClock) -> Iterator[Arm]:
    """An emulator in the region of the recordings, whose time passes when the test says so."""
    settings = Settings(compute_provisioning=PROVISIONING)
    runtime = SimulatedRuntime(clock, settings)
    workspaces = [WorkspaceName(location="eastus")]
    with Emulator(
        tmp_path / "state", workspaces=workspaces, clock=clock, settings=settings, runtime=runtime
    ) as emulator:
        yield Arm(emulator)


def put(arm: Arm, path: str, properties: dict[str, Any]) -> dict[str, Any]:
    answer = arm.call("PUT", path, {"properties": properties}, api_version=VERSION)
    assert answer.status == 201, answer.text
    body: dict[str, Any] = answer.body
    return body


def put_instance(arm: Arm) -> None:
    put(arm, "computes/instance1", {"computeType": "ComputeInstance", "properties": {"vmSize": "Standard_DS3_v2"}})
    assert eventually(lambda: provisioning_state(arm, "instance1") == "Succeeded")


def provisioning_state(arm: Arm, name: str) -> str:
    return str(arm.call("GET", f"computes/{name}", api_version=VERSION).body["properties"]["provisioningState"])


def test_a_cluster_with_nothing_but_a_size_gets_the_recorded_defaults(clocked: Arm, clock: ManualClock) -> None:
    creation, there = recorded("compute_aml_put_2025"), recorded("compute_aml_get_2025")

    answer = clocked.call("PUT", "computes/aml03", creation["request_body"], api_version=VERSION)

    assert answer.status == creation["status"]
    assert comparable(answer.body) == comparable(creation["response_body"])
    for _ in range(2):  # made, then resized to the nodes that it keeps
        clocked.emulator.run(clock.advance(PROVISIONING))
    body = clocked.call("GET", "computes/aml03", api_version=VERSION).body
    assert comparable(body) == comparable(there["response_body"])


def test_a_patch_is_accepted_as_recorded(clocked: Arm, clock: ManualClock) -> None:
    exchange = recorded("compute_aml_patch_2025")
    clocked.call("PUT", "computes/aml03", recorded("compute_aml_put_2025")["request_body"], api_version=VERSION)
    clocked.emulator.run(clock.advance(PROVISIONING))

    answer = clocked.call("PATCH", "computes/aml03", exchange["request_body"], api_version=VERSION)

    assert answer.status == exchange["status"]
    assert "Azure-AsyncOperation" in answer.headers
    theirs = exchange["response_body"]["properties"]
    for key in ("provisioningState", "provisioningErrors", "provisioningWarnings"):
        assert answer.body["properties"][key] == theirs[key]


def test_an_instance_has_the_recorded_keys_in_the_recorded_order(arm: Arm) -> None:
    _cluster, theirs = recorded("compute_list_2024")["response_body"]["value"]
    put_instance(arm)

    (mine,) = arm.call("GET", "computes", api_version=VERSION).body["value"]

    assert list(mine) == [key for key in theirs if key != "identity"]  # none was asked for
    assert list(mine["properties"]) == list(theirs["properties"])
    inner, their_inner = mine["properties"]["properties"], theirs["properties"]["properties"]
    assert list(inner) == list(their_inner)
    for key in set(inner) - {"osImageMetadata"}:
        assert shape(inner[key]) == shape(their_inner[key]), key
    assert list(inner["osImageMetadata"]) == list(their_inner["osImageMetadata"])


def test_a_cluster_without_nodes_lists_none_as_recorded(clocked: Arm, clock: ManualClock) -> None:
    exchange = recorded("compute_list_nodes_2024")
    clocked.call("PUT", "computes/aml03", recorded("compute_aml_put_2025")["request_body"], api_version=VERSION)
    clocked.emulator.run(clock.advance(PROVISIONING))

    answer = clocked.call("POST", "computes/aml03/listNodes", api_version=VERSION)

    assert (answer.status, answer.body) == (exchange["status"], exchange["response_body"])
    assert list(answer.body) == list(exchange["response_body"])


def test_an_environment_of_an_image_is_listed_as_recorded(arm: Arm) -> None:
    (theirs,) = recorded("environment_versions_list_2024")["response_body"]["value"]
    put(arm, "environments/batchenv1/versions/1", {"image": theirs["properties"]["image"]})

    (mine,) = arm.call("GET", "environments/batchenv1/versions", api_version=VERSION).body["value"]

    assert mine["properties"] == theirs["properties"]
    assert list(mine["properties"]) == list(theirs["properties"])
    assert shape(mine) == shape(theirs)


def test_a_job_on_an_instance_has_the_recorded_keys(arm: Arm) -> None:
    theirs = recorded("job_get_instance_2025")["response_body"]["properties"]
    put_instance(arm)
    sent = {key: theirs[key] for key in ("jobType", "command", "limits", "displayName", "experimentName")}
    compute = f"{arm.workspace}/computes/instance1"
    put(arm, "jobs/commandjob01", {**sent, "computeId": compute, "environmentId": "azureml:some:1"})
    assert eventually(lambda: job(arm)["status"] == "Completed")

    mine = job(arm)

    assert list(mine) == list(theirs)
    assert set(mine["properties"]) >= set(theirs["properties"])
    assert mine["properties"]["_azureml.ComputeTargetType"] == theirs["properties"]["_azureml.ComputeTargetType"]
    assert mine["properties"]["_azureml.ClusterName"] == "instance1"
    for key in ("tags", "services", "resources", "outputs", "limits"):
        assert shape(mine[key]) == shape(theirs[key]), key


def job(arm: Arm) -> dict[str, Any]:
    properties: dict[str, Any] = arm.call("GET", "jobs/commandjob01", api_version=VERSION).body["properties"]
    return properties


def test_recorded_sizes_are_read_with_the_price_of_linux_or_none(
    ml_client: MLClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = recorded("vmsizes_list_2025")["response_body"]["value"]
    # The emulator serves what was recorded instead of its own catalogue.
    monkeypatch.setattr(emulated_sizes, "catalogue", lambda: SimpleNamespace(sizes_in=lambda _location: answer))
    monkeypatch.setattr(emulated_sizes, "size_body", lambda size: size)

    sizes = {size.name: size for size in map(vm_size, ml_client.compute.list_sizes(location="eastus"))}

    def prices(name: str) -> tuple[float | None, float | None]:
        return sizes[name].price_per_hour, sizes[name].low_priority_price_per_hour

    assert prices("Standard_E8s_v3") == (0.5, 0.1)
    # Windows' prices stand under Linux too, before or after Linux's own.
    assert prices("Standard_D16ads_v5") == (0.82, 0.16)
    assert prices("Standard_E96ads_v5") == (6.29, 1.26)
    assert prices("Standard_F16s_v2") == (None, None)
