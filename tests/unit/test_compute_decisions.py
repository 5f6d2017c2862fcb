"""What is decided about a compute, by what Azure says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from azure.ai.ml import entities

from zenml_azureml.azure.compute import errors as compute_errors
from zenml_azureml.azure.compute.drift import differences
from zenml_azureml.azure.compute.mapping import entity_of, found_compute, span_of
from zenml_azureml.azure.compute.state import Action, FoundCompute, is_known, next_action
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.clouds import AZURE
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.compute import (
    ComputeCluster,
    ComputeIdentity,
    ComputeInstance,
    ComputeSchedule,
    ExistingCompute,
)

INSTANCE = FoundCompute("inst", "compute-instance", state="Running", provisioning_state="Succeeded")
CLUSTER = FoundCompute("cpu", "compute-cluster", provisioning_state="Succeeded")
WORKSPACE = WorkspaceAddress("sub", "rg", "ws", AZURE)
SUBNET = "/subscriptions/sub/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/net/subnets/default"

USE, WAIT, START, FAIL = Action.USE, Action.WAIT, Action.START, Action.FAIL


@pytest.mark.parametrize(
    ("state", "action"),
    [
        ("Running", USE),
        ("JobRunning", USE),
        ("Creating", WAIT),
        ("SettingUp", WAIT),
        ("UserSettingUp", WAIT),
        ("Starting", WAIT),
        ("Restarting", WAIT),
        ("Resizing", WAIT),
        ("Stopping", WAIT),
        ("Deleting", WAIT),
        ("Unknown", WAIT),
        ("Stopped", START),
        ("CreateFailed", FAIL),
        ("SetupFailed", FAIL),
        ("UserSetupFailed", FAIL),
        ("Unusable", FAIL),
        ("Hibernated", FAIL),
    ],
)
def test_what_comes_next_for_an_instance(state: str, action: Action) -> None:
    assert next_action(replace(INSTANCE, state=state)) is action


@pytest.mark.parametrize("provisioning_state", ["Succeeded", "Failed", "Updating", "Creating"])
def test_an_instance_that_runs_is_used_whatever_became_of_the_last_change_to_it(provisioning_state: str) -> None:
    assert next_action(replace(INSTANCE, provisioning_state=provisioning_state)) is USE


def test_an_instance_that_is_being_deleted_is_waited_for_though_it_still_runs() -> None:
    assert next_action(replace(INSTANCE, provisioning_state="Deleting")) is WAIT


def test_a_stopped_instance_that_is_not_to_be_started_is_an_error() -> None:
    assert next_action(replace(INSTANCE, state="Stopped"), start_if_stopped=False) is FAIL


@pytest.mark.parametrize("found", [CLUSTER, replace(INSTANCE, state=None), replace(CLUSTER, kind="kubernetes")])
@pytest.mark.parametrize(
    ("provisioning_state", "action"),
    [
        ("Succeeded", USE),
        ("Creating", WAIT),
        ("Updating", WAIT),
        ("Deleting", WAIT),
        ("Unknown", WAIT),
        ("Failed", FAIL),
        ("Canceled", FAIL),
        ("Paused", FAIL),
    ],
)
def test_what_comes_next_for_a_compute_without_a_state(
    found: FoundCompute, provisioning_state: str, action: Action
) -> None:
    assert next_action(replace(found, provisioning_state=provisioning_state)) is action


def test_the_words_of_the_sdk_are_all_known() -> None:
    models = pytest.importorskip("azure.ai.ml._restclient.arm_ml_service.models")
    for state in models.ComputeInstanceState:
        assert is_known(replace(INSTANCE, state=state.value)), state
    for state in models.ProvisioningState:
        assert is_known(replace(CLUSTER, provisioning_state=state.value)), state


@pytest.mark.parametrize(
    ("request_", "found", "wanted", "has"),
    [
        (ComputeInstance("inst", size="Standard_DS4_v2"), {"size": "STANDARD_DS3_V2"}, "Standard_DS4_v2", "DS3_V2"),
        (ComputeInstance("inst", idle_time_before_shutdown=timedelta(hours=1)), {}, "60 minutes", "none"),
        (ComputeInstance("inst", ssh_public_key="ssh-rsa AAAAB3Nz"), {"ssh_enabled": False}, "AAAAB3Nz", "no SSH"),
        (ComputeInstance("inst", vnet_name="other", subnet="default"), {"subnet": SUBNET}, "other", SUBNET),
        (
            ComputeInstance("inst", identity=ComputeIdentity(system_assigned=True)),
            {"identity": ComputeIdentity(user_assigned=("/id/a",))},
            "a system-assigned one",
            "`/id/a`",
        ),
        (
            ComputeInstance("inst", schedules=(ComputeSchedule("stop", "0 19 * * *"),)),
            {"schedules": (ComputeSchedule("stop", "0 22 * * *"),)},
            "stop at `0 19 * * *` (UTC)",
            "stop at `0 22 * * *` (UTC)",
        ),
        (ComputeCluster("cpu", location="northeurope"), {"location": "westeurope"}, "northeurope", "westeurope"),
        (ComputeCluster("cpu", tier="low_priority"), {"tier": "dedicated"}, "low_priority", "dedicated"),
        (ComputeCluster("cpu", min_instances=1), {"min_instances": 0}, "1", "0"),
        (ComputeCluster("cpu", max_instances=8), {"max_instances": 4}, "8", "4"),
        (
            ComputeCluster("cpu", idle_time_before_scale_down=timedelta(minutes=10)),
            {"idle_time": timedelta(minutes=2)},
            "600 seconds",
            "120 seconds",
        ),
        (
            ComputeCluster("cpu", ssh_public_key="ssh-rsa AAAAmine me@here"),
            {"ssh_public_key": "ssh-rsa AAAAtheirs"},
            "AAAAmine",
            "AAAAtheirs",
        ),
        (ComputeCluster("cpu", ssh_admin_username="me"), {"ssh_admin_username": "azureuser"}, "me", "azureuser"),
    ],
)
def test_a_setting_that_differs_is_one_line_with_both_values(
    request_: ComputeInstance | ComputeCluster, found: dict[str, Any], wanted: str, has: str
) -> None:
    existing = replace(INSTANCE if isinstance(request_, ComputeInstance) else CLUSTER, **found)

    (line,) = differences(request_, existing)

    asked, _, there = line.partition(", the compute ")
    assert wanted in asked
    assert has in there


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (ComputeInstance("inst", size="Standard_DS3_v2"), {"size": "STANDARD_DS3_V2"}),
        (ComputeInstance("inst", vnet_name="net", subnet="default"), {"subnet": SUBNET}),
        (ComputeInstance("inst", subnet=SUBNET.upper()), {"subnet": SUBNET}),
        (ComputeInstance("inst", ssh_public_key="ssh-rsa AAAA"), {"ssh_enabled": True}),
        (
            ComputeInstance("inst", identity=ComputeIdentity(user_assigned=("/ID/a", "/id/b"))),
            {"identity": ComputeIdentity(user_assigned=("/id/b", "/id/A"))},
        ),
        (ComputeCluster("cpu", location="West Europe"), {"location": "westeurope"}),
        (ComputeCluster("cpu", tier="LowPriority"), {"tier": "low_priority"}),
        (ComputeCluster("cpu"), {"size": "STANDARD_DS3_V2", "max_instances": 4, "tier": "dedicated"}),
        (ExistingCompute("cpu"), {"size": "STANDARD_DS3_V2"}),
    ],
)
def test_the_same_in_other_letters_is_no_difference(
    request_: ComputeInstance | ComputeCluster | ExistingCompute, found: dict[str, Any]
) -> None:
    assert differences(request_, replace(CLUSTER, **found)) == ()


@pytest.mark.parametrize("value", [timedelta(minutes=30), 1800, 1800.0, "1800", "PT30M", "PT0.5H", "PT1800S"])
def test_a_length_of_time_is_understood_in_every_form(value: object) -> None:
    assert span_of(value) == timedelta(minutes=30)


@pytest.mark.parametrize("request_", [ComputeInstance("inst"), ComputeCluster("cpu")])
def test_what_is_left_to_azure_is_left_to_the_sdk(request_: ComputeInstance | ComputeCluster) -> None:
    made = entity_of(request_, "westeurope")
    plain = (
        entities.ComputeInstance(name="inst")
        if isinstance(request_, ComputeInstance)
        else entities.AmlCompute(name="cpu", location="westeurope")
    )

    assert vars(made) == vars(plain)


@pytest.mark.parametrize(("vnet", "subnet"), [("net", None), (None, "default")])
def test_a_network_named_by_halves_is_refused(vnet: str | None, subnet: str | None) -> None:
    with pytest.raises(AzureMLError, match="Set both `vnet_name` and `subnet`"):
        entity_of(ComputeCluster("cpu", vnet_name=vnet, subnet=subnet), "westeurope")


def test_a_compute_that_the_sdk_does_not_know_is_of_no_kind() -> None:
    assert found_compute(entities.VirtualMachineCompute(name="vm", resource_id="/vm")).kind is None


def test_all_that_azure_says_went_wrong_is_kept() -> None:
    entry = {"error": {"code": "Quota", "message": "Too much."}}
    inner = {
        "errors": [entry, {"error": {"code": "Node", "message": "It is unusable."}}],
        "lastOperation": {"operationName": "Start", "operationStatus": "StartFailed"},
    }

    said = compute_errors.errors_of({"properties": {"provisioningErrors": [entry], "properties": inner}})

    assert said == "(Quota) Too much. (Node) It is unusable. Its last operation, Start, ended as StartFailed."


@pytest.mark.parametrize("body", [{}, {"properties": None}, {"properties": {"provisioningErrors": None}}])
def test_azure_need_not_say_anything(body: dict[str, Any]) -> None:
    assert compute_errors.errors_of(body) == ""
