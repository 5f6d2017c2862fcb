"""What is made when a compute is missing, when that is noticed, and what is said if it goes wrong."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from azure.ai.ml import command
from azure.ai.ml.entities import Environment

from tests.azure.compute_scenarios import CLUSTER, INSTANCE, an_instance_is_stopped
from tests.azure.compute_world import World, cluster
from zenml_azureml import tags
from zenml_azureml.azure.compute.deletion import delete_compute
from zenml_azureml.azure.compute.left import computes_left
from zenml_azureml.azure.compute.provisioner import ensure_compute
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.compute import (
    ComputeCluster,
    ComputeIdentity,
    ComputeInstance,
    ComputeSchedule,
    ComputeSpec,
)

KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ me@here"
IDENTITY = "/subscriptions/sub/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/reader"

#: Seconds that Azure takes in these tests.
LONG = 90


def test_an_instance_is_created_with_everything_asked_for(world: World, caplog: pytest.LogCaptureFixture) -> None:
    request = ComputeInstance(
        "inst",
        size="Standard_DS2_v2",
        idle_time_before_shutdown=timedelta(hours=2),
        ssh_public_key=KEY,
        vnet_name="net",
        subnet="default",
        identity=ComputeIdentity(user_assigned=(IDENTITY,)),
        tags={"zenml_delete_after_run": "run"},
        schedules=(ComputeSchedule("stop", "0 19 * * 1-5", "W. Europe Standard Time"),),
    )

    target = world.ensure(request)

    assert (target.name, target.kind, target.size, target.max_nodes) == (
        "inst",
        "compute-instance",
        "STANDARD_DS2_V2",
        1,
    )
    body = world.arm.call("GET", "computes/inst").body
    inner = body["properties"]["properties"]
    assert inner["idleTimeBeforeShutdown"] == "PT120M"
    assert inner["sshSettings"]["sshPublicAccess"] == "Enabled"
    assert inner["subnet"]["id"].endswith("/virtualNetworks/net/subnets/default")
    assert list(body["identity"]["userAssignedIdentities"]) == [IDENTITY]
    (schedule,) = inner["schedules"]["computeStartStop"]
    assert (schedule["action"], schedule["cron"]["expression"]) == ("Stop", "0 19 * * 1-5")
    assert_found_as_asked_for(world, request, caplog)


def test_a_cluster_is_created_with_everything_asked_for(world: World, caplog: pytest.LogCaptureFixture) -> None:
    request = ComputeCluster(
        "cpu",
        size="Standard_DS2_v2",
        location="West Europe",
        min_instances=1,
        max_instances=3,
        idle_time_before_scale_down=timedelta(minutes=10),
        tier="low_priority",
        ssh_public_key=KEY,
        ssh_admin_username="me",
        vnet_name="net",
        subnet="default",
        identity=ComputeIdentity(system_assigned=True, user_assigned=(IDENTITY,)),
        tags={"zenml_delete_after_run": "run"},
    )

    target = world.ensure(request)

    assert (target.name, target.kind, target.size, target.max_nodes) == ("cpu", "compute-cluster", "STANDARD_DS2_V2", 3)
    body = world.arm.call("GET", "computes/cpu").body
    inner = body["properties"]["properties"]
    assert inner["scaleSettings"] == {
        "minNodeCount": 1,
        "maxNodeCount": 3,
        "nodeIdleTimeBeforeScaleDown": "PT10M",
    }
    assert inner["vmPriority"] == "LowPriority"
    assert inner["userAccountCredentials"]["adminUserName"] == "me"
    assert inner["userAccountCredentials"]["adminUserSshPublicKey"] == KEY
    assert inner["subnet"]["id"].endswith("/virtualNetworks/net/subnets/default")
    assert body["identity"]["type"] == "SystemAssigned,UserAssigned"
    assert_found_as_asked_for(world, request, caplog)


def assert_found_as_asked_for(world: World, request: ComputeSpec, caplog: pytest.LogCaptureFixture) -> None:
    """The same step, run again, finds nothing different from what it asks for."""
    assert not world.ensure(request).created
    (left,) = computes_left(world.connection)
    assert (left.run_id, left.target.name) == ("run", getattr(request, "name", None))
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.message for record in warnings if record.name.startswith("zenml_azureml")] == []


def create(world: World) -> ComputeSpec:
    world.provisioning_takes(LONG)
    return CLUSTER


def be_created_by_others(world: World) -> ComputeSpec:
    world.provisioning_takes(LONG)
    world.others_create("cpu", cluster())
    return CLUSTER


def start(world: World) -> ComputeSpec:
    an_instance_is_stopped(world)
    world.sleep(0)
    world.provisioning_takes(LONG)
    return INSTANCE


@pytest.mark.parametrize("begin", [create, be_created_by_others, start])
def test_a_compute_that_is_ready_is_noticed_within_two_seconds(
    world: World, begin: Callable[[World], ComputeSpec]
) -> None:
    request = begin(world)
    began = world.clock.monotonic()

    world.ensure(request)

    # The clock moves by what our side sleeps, and by nothing else.
    assert LONG <= world.clock.monotonic() - began <= LONG + 2


def test_a_cluster_of_another_size_than_asked_for_is_an_error(world: World) -> None:
    def make_it_larger() -> None:
        world.say("cpu", vmSize="STANDARD_DS5_V2")

    with pytest.raises(AzureMLError, match="with the size STANDARD_DS5_V2 instead of Standard_DS3_v2") as error:
        world.while_our_look_is_on_its_way(CLUSTER, make_it_larger, at="computeOperationsStatus")

    assert "az ml compute delete --name cpu" in str(error.value)


@pytest.mark.parametrize(
    ("begin", "by_hand"),
    [(create, "az ml compute delete --name cpu"), (start, "az ml compute stop --name inst")],
)
def test_what_is_interrupted_is_not_left_in_silence(
    world: World, begin: Callable[[World], ComputeSpec], by_hand: str, caplog: pytest.LogCaptureFixture
) -> None:
    request = begin(world)

    def ctrl_c() -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_compute(world.connection, request, clock=ctrl_c, sleep=world.sleep)

    assert "may still be" in caplog.text
    assert by_hand in caplog.text
    # It does, and the next step waits for it.
    assert not world.ensure(request).created


def test_a_missing_workspace_is_not_a_missing_compute(world: World) -> None:
    world.emulator.context.store.workspaces[0].name = "renamed"

    with pytest.raises(AzureMLError, match="--workspace_name="):
        world.ensure(CLUSTER)

    assert world.sent == ["GET compute"]


def test_an_unreachable_service_is_told_once_the_retries_are_over(world: World) -> None:
    world.arm_fault(path="/computes/", reset=True, times=99)

    with pytest.raises(AzureMLError, match="Azure could not be reached"):
        world.ensure(CLUSTER)

    assert set(world.sent) == {"GET compute"}


def test_a_cluster_that_cannot_be_told_from_another_one_is_not_deleted(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    target = world.ensure(CLUSTER)

    assert not delete_compute(world.connection, replace(target, created_on=None))

    assert "does not report when it was created" in caplog.text
    assert world.compute("cpu").provisioning_state == "Succeeded"


def left_in(world: World, name: str | None = None) -> list[tuple[str, str, str | None]]:
    return [(left.run_id, left.server_id, left.target.name) for left in computes_left(world.connection, name)]


def test_the_computes_that_are_left_are_those_whose_tags_name_a_run_and_that_nobody_deletes(world: World) -> None:
    world.others_create("mine", {**cluster(), "tags": {tags.DELETE_AFTER_RUN: "run", tags.SERVER_ID: "server"}})
    world.others_create("old", {**cluster(), "tags": {tags.DELETE_AFTER_RUN: "earlier"}})
    world.others_create("theirs", {**cluster(), "tags": {"team": "a"}})
    world.sleep(0)
    mine, old = ("run", "server", "mine"), ("earlier", "", "old")

    assert sorted(left_in(world)) == [old, mine]
    assert left_in(world, "mine") == [mine]
    assert left_in(world, "theirs") == left_in(world, "missing") == []
    assert all(left.target.created for left in computes_left(world.connection)), "so that they may be deleted"
    world.provisioning_takes(LONG)
    world.others_delete("mine")
    assert left_in(world) == [old]
    assert left_in(world, "mine") == []


@pytest.mark.parametrize("name", [None, "mine"])
def test_computes_that_may_not_be_looked_for_are_an_error(name: str | None, world: World) -> None:
    world.arm_fault(method="GET", path="/computes", status=403, body={"error": {"code": "AuthorizationFailed"}})

    with pytest.raises(AzureMLError, match="look for the computes that steps have left"):
        left_in(world, name)


def test_a_job_runs_on_the_compute_that_was_made_for_it(world: World) -> None:
    target = world.ensure(CLUSTER)

    job = world.connection.client.jobs.create_or_update(
        command(command="train", environment=Environment(image="ubuntu"), compute=target.name)
    )

    assert job.compute == "cpu"


@pytest.mark.parametrize("spec", [ComputeCluster("cpu-cluster-1"), ComputeInstance("ci-1"), ComputeCluster("k8")])
def test_a_name_that_no_new_compute_can_have_is_refused_once_it_is_known_not_to_exist(
    world: World, spec: ComputeInstance | ComputeCluster
) -> None:
    with pytest.raises(AzureMLError, match=f"There is no compute named `{spec.name}`, and Azure ML creates none"):
        world.ensure(spec)

    assert world.sent == ["GET compute"]


@pytest.mark.parametrize("name", ["cpu-cluster-1", "k8"])
def test_a_cluster_of_earlier_years_is_used_whatever_its_name_ends_in(world: World, name: str) -> None:
    world.ensure(ComputeCluster("cluster", size="Standard_DS3_v2"))
    computes = world.emulator.context.store.workspaces[0].computes
    # Source: MicrosoftDocs/azure-docs#55961: such clusters exist; Azure ML does not create them any more.
    old = computes.pop("cluster")
    old.name = old.body["name"] = name
    computes[name] = old

    assert world.ensure(ComputeCluster(name)).name == name


# Refusals, and operations that are under way


def a_refusal(code: str, message: str, status: int) -> dict[str, object]:
    return {"status": status, "body": {"error": {"code": code, "message": message}}}


LOCKED = a_refusal("ScopeLocked", "The scope 'x' cannot perform write operation: scope(s) are locked: 'y'.", 409)
DISABLED = a_refusal("ReadOnlyDisabledSubscription", "The subscription is disabled and marked as read only.", 409)
POLICY = a_refusal("RequestDisallowedByPolicy", "Resource 'inst' was disallowed by policy.", 403)
PROVIDER = a_refusal("MissingSubscriptionRegistration", "It is not registered to use namespace 'Microsoft.X'.", 409)
FULL = a_refusal("BadRequest", "StartCompute is not allowed when ComputeInstance disk is full.", 400)

#: Refusals of a new and of an existing compute, with the advice for each.
OBSTACLES = [
    (LOCKED, "az lock list"),
    (DISABLED, "re-enable it"),
    (POLICY, "ask the administrator of the policy"),
    (PROVIDER, "az provider register --namespace Microsoft.X"),
]


@pytest.mark.parametrize(
    ("fault", "advice"),
    [*OBSTACLES, (FULL, "`sudo reboot`")],
)
def test_a_start_that_is_refused_is_not_tried_again_as_if_it_were_under_way(
    world: World, fault: dict[str, object], advice: str
) -> None:
    """Locks, disabled subscriptions and missing registrations answer with 409 too, as an instance that starts does."""
    an_instance_is_stopped(world)
    world.arm_fault(method="POST", path="/start$", times=100, **fault)

    with pytest.raises(AzureMLError) as raised:
        world.ensure(INSTANCE)

    assert advice in raised.value.hint
    assert world.sent.count("POST start") == 1
    assert world.clock.monotonic() < 60


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 409},
        a_refusal("Conflict", "Conflict of operation, another operation on same entity is already running.", 409),
        a_refusal(
            "StartComputeInstanceOnlyAllowedInStoppedState",
            "Start Azure ML Compute Instance is only allowed when the instance inst is in 'stopped' state",
            400,
        ),
    ],
    ids=["plain", "in words", "by its code"],
)
def test_an_instance_that_another_operation_is_busy_with_is_looked_at_again(
    world: World, fault: dict[str, object]
) -> None:
    an_instance_is_stopped(world)
    world.arm_fault(method="POST", path="/start$", times=2, **fault)

    target = world.ensure(INSTANCE)

    assert target.name == INSTANCE.name
    assert world.sent.count("POST start") == 3


@pytest.mark.parametrize(
    ("fault", "advice"),
    OBSTACLES,
)
def test_a_creation_that_is_refused_says_what_helps(world: World, fault: dict[str, object], advice: str) -> None:
    world.arm_fault(method="PUT", path="/computes/", times=100, **fault)

    with pytest.raises(AzureMLError) as raised:
        world.ensure(CLUSTER)

    assert advice in raised.value.hint
    assert "Correct what Azure names above" not in raised.value.hint
    assert sum(sent.startswith("PUT") for sent in world.sent) == 1


def test_an_operation_that_fails_because_of_a_policy_says_which_one(world: World) -> None:
    """The cause is nested as a text in the status of the operation (form: microsoft/vscode-tools-for-ai#2096)."""
    violation = {"type": "PolicyViolation", "info": {"policyDefinitionDisplayName": "Deny public computes"}}
    cause = {
        "code": "RequestDisallowedByPolicy",
        "message": "Resource 'cluster' was disallowed by policy.",
        "additionalInfo": [violation],
    }
    failed = {"code": "BadRequest", "message": json.dumps({"error": cause})}
    world.arm_fault(path="/computeOperationsStatus/", status=200, body={"status": "Failed", "error": failed}, times=9)
    world.arm_fault(method="GET", path="/computes/", status=404, times=9)  # it leaves none behind

    with pytest.raises(AzureMLError) as raised:
        world.ensure(CLUSTER)

    assert "The policy is `Deny public computes`." in raised.value.hint
    assert "was disallowed by policy" in raised.value.azure_message


def test_an_instance_whose_disk_is_full_says_how_to_free_it(world: World) -> None:
    an_instance_is_stopped(world)
    message = "The disk of the compute instance is full. Free at least 5 GB."
    world.say(INSTANCE.name, state="Unusable", errors=[{"error": {"code": "DiskFull", "message": message}}])

    with pytest.raises(AzureMLError) as raised:
        world.ensure(INSTANCE)

    assert message in raised.value.azure_message
    assert "`sudo reboot`" in raised.value.hint
    assert f"az ml compute delete --name {INSTANCE.name}" in raised.value.hint
