"""Computes, answer by answer, against recordings of the real service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.arm import Answer, Arm, recorded
from tests.contract.recorded_answers import comparable
from tests.live.arm import LiveArm, chosen_target
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.clock import ManualClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime

#: The region of the recordings.
LOCATION = "eastus2euap"
PROVISIONING = 60.0


@pytest.fixture
def arm(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[Arm]:
    target = chosen_target(request)
    if target is not None:
        yield LiveArm(target)
        return
    settings = Settings(compute_provisioning=PROVISIONING)
    runtime = SimulatedRuntime(clock, settings)
    workspaces = [WorkspaceName(location=LOCATION), WorkspaceName(name="other", location=LOCATION)]
    with Emulator(
        tmp_path / "state", workspaces=workspaces, clock=clock, settings=settings, runtime=runtime
    ) as emulator:
        yield Arm(emulator)


def cluster(size: str = "Standard_DS2_v2", **inner: Any) -> dict[str, Any]:
    scale = {"maxNodeCount": 2, "minNodeCount": 0, "nodeIdleTimeBeforeScaleDown": "PT2M"}
    properties = {"vmSize": size, "scaleSettings": scale, **inner}
    return {"properties": {"computeType": "AmlCompute", "properties": properties}}


def instance(size: str = "Standard_DS2_v2") -> dict[str, Any]:
    return {"properties": {"computeType": "ComputeInstance", "properties": {"vmSize": size}}}


def finish(arm: Arm, clock: ManualClock, answer: Answer) -> dict[str, Any]:
    """Let the time of an operation pass; returns its last status."""
    arm.emulator.run(clock.advance(PROVISIONING))
    status: dict[str, Any] = arm.call("GET", answer.headers["Azure-AsyncOperation"]).body
    return status


def put(arm: Arm, clock: ManualClock, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Create a compute and wait for it; returns the last status of the operation."""
    answer = arm.call("PUT", f"computes/{name}", body=body)
    assert answer.status == 201, answer.text
    return finish(arm, clock, answer)


def cause(status: dict[str, Any]) -> str:
    assert status["status"] == "Failed"
    return str(status["error"]["message"])


def test_a_cluster_lives_as_recorded(arm: Arm, clock: ManualClock) -> None:
    creation = recorded("compute_aml_put_create")
    name, version = creation["response_body"]["name"], creation["api_version"]

    answer = arm.call("PUT", f"computes/{name}", body=creation["request_body"], api_version=version)

    assert answer.status == 201
    assert comparable(answer.body) == comparable(creation["response_body"])
    poll = arm.call("GET", answer.headers["Azure-AsyncOperation"])
    assert poll.body == recorded("compute_op_inprogress_all_headers")["response_body"]
    assert finish(arm, clock, answer) == recorded("compute_op_succeeded")["response_body"]
    assert comparable(arm.call("GET", f"computes/{name}", api_version=version).body) == comparable(
        recorded("compute_aml_get_resizing")["response_body"]
    )

    change = creation["request_body"]
    change["properties"]["properties"]["scaleSettings"]["nodeIdleTimeBeforeScaleDown"] = "PT3M20S"
    answer = arm.call("PUT", f"computes/{name}", body=change)
    assert answer.status == 201
    assert answer.body["properties"]["provisioningState"] == "Creating"
    finish(arm, clock, answer)
    assert comparable(arm.call("GET", f"computes/{name}", api_version=version).body) == comparable(
        recorded("compute_aml_get_steady")["response_body"]
    )

    deletion = recorded("compute_aml_delete")
    answer = arm.call("DELETE", f"computes/{name}?underlyingResourceAction=Delete")
    assert (answer.status, answer.text) == (deletion["status"], "")
    # The recorded number is of the limits that Resource Manager had until 2024.
    (counter,) = (name for name in deletion["response_headers"] if "ratelimit" in name)
    assert answer.headers[counter] == "199"
    assert arm.call("GET", f"computes/{name}").body["properties"]["provisioningState"] == ("Deleting")
    finish(arm, clock, answer)
    gone = arm.call("GET", f"computes/{name}")
    assert (gone.status, gone.text) == (404, "")


def test_an_instance_lives_as_recorded(arm: Arm, clock: ManualClock) -> None:
    creation = recorded("compute_ci_put")
    name, version = creation["response_body"]["name"], creation["api_version"]

    answer = arm.call("PUT", f"computes/{name}", body=creation["request_body"], api_version=version)
    assert answer.status == 201
    assert comparable(answer.body) == comparable(creation["response_body"])
    finish(arm, clock, answer)
    assert comparable(arm.call("GET", f"computes/{name}", api_version=version).body) == comparable(
        recorded("compute_ci_get_running")["response_body"]
    )

    for action, on_the_way, afterwards in (
        ("stop", "Stopping", "Stopped"),
        ("start", "Starting", "Running"),
    ):
        answer = arm.call("POST", f"computes/{name}/{action}")
        assert (answer.status, answer.text) == (
            recorded(f"compute_ci_{action}")["status"],
            "",
        )
        assert state_of(arm, name) == on_the_way
        finish(arm, clock, answer)
        assert state_of(arm, name) == afterwards
    assert comparable(arm.call("GET", f"computes/{name}", api_version=version).body) == comparable(
        recorded("compute_ci_get_restarted")["response_body"]
    )


def state_of(arm: Arm, name: str) -> str:
    body = arm.call("GET", f"computes/{name}").body
    return str(body["properties"]["properties"]["state"])


@pytest.mark.parametrize(
    ("version", "signature"),
    # Sources: compute_ci_put.json, compute_ci_stop_2024.json.
    [("2022-10-01-preview", ""), ("2024-04-01", r"&t=[\w-]+&c=[\w-]+&s=[\w-]+&h=[\w-]+")],
)
def test_an_operation_is_found_by_one_header_alone(arm: Arm, version: str, signature: str) -> None:
    answer = arm.call("PUT", "computes/cpu", body=cluster(), api_version=version)

    link = answer.headers["Azure-AsyncOperation"]
    path = (
        rf"/subscriptions/[^/]+/providers/Microsoft.MachineLearningServices/locations/{LOCATION}"
        r"/computeOperationsStatus/[0-9a-f-]{36}\?api-version="
        rf"{version}&service=new{signature}"
    )
    assert re.fullmatch(re.escape(arm.emulator.base_url) + path, link)
    assert "Location" not in answer.headers
    assert "Retry-After" not in answer.headers
    assert "Retry-After" not in arm.call("GET", link).headers


@pytest.mark.azure_verified
def test_a_missing_compute_is_an_answer_without_a_body(arm: Arm) -> None:
    expected = recorded("compute_get_404_empty")

    answer = arm.call("GET", "computes/cpu-cluster-non-existent")

    assert answer.status == expected["status"]
    for name in ("Content-Length", "x-ms-response-type", "Cache-Control", "Expires", "Pragma"):
        assert answer.headers[name] == expected["response_headers"][name]
    assert "Content-Type" not in answer.headers


@pytest.mark.parametrize(
    ("size", "quota", "cores"),
    [("Standard_ND40rs_v2", 0, 40), ("Standard_NC48ads_A100_v4", 24, 48)],
)
def test_a_cluster_of_no_nodes_still_needs_quota_for_one(
    arm: Arm, clock: ManualClock, size: str, quota: int, cores: int
) -> None:
    arm.emulator.context.store.workspaces[0].location = "westeurope"

    status = put(arm, clock, "gpu", cluster(size))

    assert "ClusterMinNodesExceedCoreQuota" in cause(status)
    quoted = recorded("quoted_quota_error")["response_body"]["message"]
    words = quoted.replace("of 6", f"of {quota}").replace("8 vCPUs", f"{cores} vCPUs")
    assert words.split("family")[1] in cause(status)
    body = arm.call("GET", "computes/gpu").body
    assert body["properties"]["provisioningState"] == "Failed"
    assert body["properties"]["provisioningErrors"][0]["error"]["code"] == ("ClusterMinNodesExceedCoreQuota")


def test_a_cluster_may_grow_beyond_its_quota_on_paper(arm: Arm, clock: ManualClock) -> None:
    wide = cluster("Standard_DS5_v2")
    wide["properties"]["properties"]["scaleSettings"]["maxNodeCount"] = 50

    assert put(arm, clock, "wide", wide)["status"] == "Succeeded"


def test_nodes_that_start_at_once_need_what_is_left_of_the_quota(arm: Arm, clock: ManualClock) -> None:
    # 100 vCPUs of the family: six instances of 16, and not a seventh.
    for index in range(6):
        status = put(arm, clock, f"inst{index}", instance("Standard_DS5_v2"))
        assert status["status"] == "Succeeded"

    assert "quota of 100" in cause(put(arm, clock, "inst6", instance("Standard_DS5_v2")))


def test_a_failed_compute_can_be_made_again(arm: Arm, clock: ManualClock) -> None:
    arm.emulator.context.store.workspaces[0].location = "westeurope"
    put(arm, clock, "cpu", cluster("Standard_ND40rs_v2"))

    assert put(arm, clock, "cpu", cluster("Standard_DS2_v2"))["status"] == "Succeeded"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (cluster("Standard_Nonsense"), "no such size"),
        (cluster("Standard_ND96isr_H100_v5"), "not offered in this region"),
        (instance("Standard_HB120rs_v2"), "not for instances"),
        (cluster("Standard_ND96isr_H100_v5", vmPriority="LowPriority"), "never at low priority"),
    ],
)
def test_a_size_that_cannot_be_had_fails_the_operation(
    arm: Arm, clock: ManualClock, body: dict[str, Any], why: str
) -> None:
    message = cause(put(arm, clock, "cpu", body))

    assert "InvalidPropertyValue" in message, why
    assert "for property Cluster.Properties.VMSize is not a supported VM size" in message
    assert "STANDARD_DS2_V2" in message


@pytest.mark.parametrize("name", ["ci-1", "a", "1st", "with_underscore", "x" * 25])
def test_names_that_the_service_refuses(arm: Arm, name: str) -> None:
    answer = arm.call("PUT", f"computes/{name}", body=cluster())

    assert answer.status == 400
    assert "must be between 3 and 24 characters" in answer.body["error"]["message"]


def test_bad_bodies_are_refused_before_anything_is_made(arm: Arm) -> None:
    bad_scale = cluster()
    bad_scale["properties"]["properties"]["scaleSettings"]["minNodeCount"] = 3
    bad = [
        bad_scale,
        cluster(scaleSettings=None),
        cluster(size=""),
        {"properties": {"computeType": "Kubernetes"}},
        {},
    ]

    answers = [arm.call("PUT", "computes/cpu", body=body) for body in bad]

    assert [answer.status for answer in answers] == [400] * len(bad)
    assert arm.call("GET", "computes").body == {"value": []}


def test_a_name_belongs_to_one_kind_and_one_size(arm: Arm, clock: ManualClock) -> None:
    put(arm, clock, "shared", instance())

    other_kind = arm.call("PUT", "computes/shared", body=cluster())
    other_size = arm.call("PUT", "computes/shared", body=instance("Standard_DS3_v2"))

    assert other_kind.status == 400
    assert "already in use" in other_kind.body["error"]["message"]
    assert other_size.status == 400


def test_an_instances_name_is_taken_in_the_whole_region(arm: Arm, clock: ManualClock) -> None:
    put(arm, clock, "mine", instance())
    elsewhere = arm.workspace.replace("workspaces/emulator", "workspaces/other")

    answer = arm.call("PUT", f"{elsewhere}/computes/mine", instance())

    assert answer.status == 400
    assert "Reason: AlreadyExists" in answer.body["error"]["message"]


def test_nothing_is_done_to_a_compute_while_something_is(arm: Arm) -> None:
    arm.call("PUT", "computes/inst", body=instance())

    answers = [
        arm.call("PUT", "computes/inst", body=instance()),
        arm.call("POST", "computes/inst/start"),
        arm.call("DELETE", "computes/inst?underlyingResourceAction=Delete"),
    ]

    assert [answer.status for answer in answers] == [409] * 3
    assert "Creating" in answers[0].body["error"]["message"]


def test_only_a_stopped_instance_can_be_started(arm: Arm, clock: ManualClock) -> None:
    put(arm, clock, "inst", instance())

    answer = arm.call("POST", "computes/inst/start")

    assert answer.status == 202
    message = cause(finish(arm, clock, answer))
    assert "StartComputeInstanceOnlyAllowedInStoppedState" in message
    assert "only allowed when the instance inst is in 'stopped' state" in message
    assert state_of(arm, "inst") == "Running"


def test_each_kind_refuses_what_only_the_other_can(arm: Arm, clock: ManualClock) -> None:
    put(arm, clock, "inst", instance())
    put(arm, clock, "cpu", cluster())

    nodes = arm.call("POST", "computes/inst/listNodes")
    start = arm.call("POST", "computes/cpu/start")

    assert nodes.status == start.status == 400
    assert nodes.body["error"]["message"] == ("ComputeListNodes with computeType ComputeInstance is not supported.")
    assert start.body["error"]["message"] == ("ComputeStart with computeType AmlCompute is not supported.")


def test_a_cluster_has_the_nodes_that_it_must_keep(arm: Arm, clock: ManualClock) -> None:
    kept = cluster()
    kept["properties"]["properties"]["scaleSettings"]["minNodeCount"] = 1
    put(arm, clock, "cpu", kept)

    inner = arm.call("GET", "computes/cpu").body["properties"]["properties"]
    nodes = arm.call("POST", "computes/cpu/listNodes").body

    assert (inner["currentNodeCount"], inner["nodeStateCounts"]["idleNodeCount"]) == (1, 1)
    example = recorded("example_compute_listnodes")["response_body"]["nodes"][1]
    assert list(nodes) == ["computeType", "nodes"]
    assert list(nodes["nodes"][0]) == list(example)
    assert nodes["nodes"][0]["nodeState"] == example["nodeState"]


def test_the_scale_of_a_cluster_can_be_patched(arm: Arm, clock: ManualClock) -> None:
    put(arm, clock, "cpu", cluster())
    scale = {"maxNodeCount": 7, "minNodeCount": 0, "nodeIdleTimeBeforeScaleDown": "PT5M"}

    answer = arm.call("PATCH", "computes/cpu", body={"properties": {"properties": {"scaleSettings": scale}}})

    assert answer.body["properties"]["provisioningState"] == "Updating"
    finish(arm, clock, answer)
    body = arm.call("GET", "computes/cpu").body
    assert body["properties"]["properties"]["scaleSettings"] == scale
    assert body["properties"]["provisioningState"] == "Succeeded"


def test_computes_are_found_in_any_case(arm: Arm, clock: ManualClock) -> None:
    put(arm, clock, "Cpu-Cluster", cluster())

    answer = arm.call("GET", "COMPUTES/cpu-cluster")

    assert answer.body["name"] == "Cpu-Cluster"
