"""Computes, answer by answer, against recordings of the real service."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.contract.arm_client import ArmClient
from tests.contract.hand_clock import HandClock
from tests.contract.recorded_answers import comparable, recorded
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.simulated import SimulatedRuntime

#: The region of the recordings.
LOCATION = "eastus2euap"
PROVISIONING = 60.0


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def arm(tmp_path: Path, clock: HandClock) -> Iterator[ArmClient]:
    settings = Settings(compute_provisioning=PROVISIONING)
    runtime = SimulatedRuntime(clock, settings)
    workspaces = [WorkspaceName(location=LOCATION), WorkspaceName(name="other", location=LOCATION)]
    with Emulator(
        tmp_path / "state", workspaces=workspaces, clock=clock, settings=settings, runtime=runtime
    ) as emulator:
        client = ArmClient(emulator)
        yield client
        client.close()


def cluster(size: str = "Standard_DS2_v2", **inner: Any) -> dict[str, Any]:
    scale = {"maxNodeCount": 2, "minNodeCount": 0, "nodeIdleTimeBeforeScaleDown": "PT2M"}
    properties = {"vmSize": size, "scaleSettings": scale, **inner}
    return {"properties": {"computeType": "AmlCompute", "properties": properties}}


def instance(size: str = "Standard_DS2_v2") -> dict[str, Any]:
    return {"properties": {"computeType": "ComputeInstance", "properties": {"vmSize": size}}}


def finish(arm: ArmClient, clock: HandClock, answer: requests.Response) -> dict[str, Any]:
    """Let the time of an operation pass; returns its last status."""
    clock.advance(PROVISIONING)
    for _ in range(500):
        status: dict[str, Any] = arm.send("GET", answer.headers["Azure-AsyncOperation"]).json()
        if status["status"] != "InProgress":
            return status
        time.sleep(0.01)
    raise AssertionError("the operation does not end")


def put(arm: ArmClient, clock: HandClock, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Create a compute and wait for it; returns the last status of the operation."""
    answer = arm.send("PUT", f"/computes/{name}", body=body)
    assert answer.status_code == 201, answer.text
    return finish(arm, clock, answer)


def cause(status: dict[str, Any]) -> str:
    assert status["status"] == "Failed"
    return str(status["error"]["message"])


def test_a_cluster_lives_as_recorded(arm: ArmClient, clock: HandClock) -> None:
    creation = recorded("compute_aml_put_create")
    name = creation["response_body"]["name"]

    answer = arm.send("PUT", f"/computes/{name}", body=creation["request_body"])

    assert answer.status_code == 201
    assert comparable(answer.json()) == comparable(creation["response_body"])
    poll = arm.send("GET", answer.headers["Azure-AsyncOperation"])
    assert poll.json() == recorded("compute_op_inprogress_all_headers")["response_body"]
    assert finish(arm, clock, answer) == recorded("compute_op_succeeded")["response_body"]
    assert comparable(arm.send("GET", f"/computes/{name}").json()) == comparable(
        recorded("compute_aml_get_resizing")["response_body"]
    )

    change = creation["request_body"]
    change["properties"]["properties"]["scaleSettings"]["nodeIdleTimeBeforeScaleDown"] = "PT3M20S"
    answer = arm.send("PUT", f"/computes/{name}", body=change)
    assert answer.status_code == 201
    assert answer.json()["properties"]["provisioningState"] == "Creating"
    finish(arm, clock, answer)
    assert comparable(arm.send("GET", f"/computes/{name}").json()) == comparable(
        recorded("compute_aml_get_steady")["response_body"]
    )

    deletion = recorded("compute_aml_delete")
    answer = arm.send("DELETE", f"/computes/{name}", underlyingResourceAction="Delete")
    assert (answer.status_code, answer.content) == (deletion["status"], b"")
    assert arm.send("GET", f"/computes/{name}").json()["properties"]["provisioningState"] == ("Deleting")
    finish(arm, clock, answer)
    gone = arm.send("GET", f"/computes/{name}")
    assert (gone.status_code, gone.content) == (404, b"")


def test_an_instance_lives_as_recorded(arm: ArmClient, clock: HandClock) -> None:
    creation = recorded("compute_ci_put")
    name = creation["response_body"]["name"]

    answer = arm.send("PUT", f"/computes/{name}", body=creation["request_body"])
    assert answer.status_code == 201
    assert comparable(answer.json()) == comparable(creation["response_body"])
    finish(arm, clock, answer)
    assert comparable(arm.send("GET", f"/computes/{name}").json()) == comparable(
        recorded("compute_ci_get_running")["response_body"]
    )

    for action, on_the_way, afterwards in (
        ("stop", "Stopping", "Stopped"),
        ("start", "Starting", "Running"),
    ):
        answer = arm.send("POST", f"/computes/{name}/{action}")
        assert (answer.status_code, answer.content) == (
            recorded(f"compute_ci_{action}")["status"],
            b"",
        )
        assert state_of(arm, name) == on_the_way
        finish(arm, clock, answer)
        assert state_of(arm, name) == afterwards
    assert comparable(arm.send("GET", f"/computes/{name}").json()) == comparable(
        recorded("compute_ci_get_restarted")["response_body"]
    )


def state_of(arm: ArmClient, name: str) -> str:
    body = arm.send("GET", f"/computes/{name}").json()
    return str(body["properties"]["properties"]["state"])


def test_an_operation_is_found_by_one_header_alone(arm: ArmClient) -> None:
    answer = arm.send("PUT", "/computes/cpu", body=cluster(), api_version="2022-10-01-preview")

    link = answer.headers["Azure-AsyncOperation"]
    path = (
        rf"/subscriptions/[^/]+/providers/Microsoft.MachineLearningServices/locations/{LOCATION}"
        r"/computeOperationsStatus/[0-9a-f-]{36}\?api-version=2022-10-01-preview&service=new"
    )
    assert re.fullmatch(re.escape(arm.base_url) + path, link)
    assert "Location" not in answer.headers
    assert "Retry-After" not in answer.headers
    assert "Retry-After" not in arm.send("GET", link).headers


def test_a_missing_compute_is_an_answer_without_a_body(arm: ArmClient) -> None:
    expected = recorded("compute_get_404_empty")

    answer = arm.send("GET", "/computes/cpu-cluster-non-existent")

    assert answer.status_code == expected["status"]
    for name in ("Content-Length", "x-ms-response-type", "Cache-Control", "Expires", "Pragma"):
        assert answer.headers[name] == expected["response_headers"][name]
    assert "Content-Type" not in answer.headers


@pytest.mark.parametrize(
    ("size", "quota", "cores"),
    [("Standard_ND40rs_v2", 0, 40), ("Standard_NC48ads_A100_v4", 24, 48)],
)
def test_a_cluster_of_no_nodes_still_needs_quota_for_one(
    arm: ArmClient, clock: HandClock, size: str, quota: int, cores: int
) -> None:
    arm.workspace.location = "westeurope"

    status = put(arm, clock, "gpu", cluster(size))

    assert "ClusterMinNodesExceedCoreQuota" in cause(status)
    quoted = recorded("quoted_quota_error")["response_body"]["message"]
    words = quoted.replace("of 6", f"of {quota}").replace("8 vCPUs", f"{cores} vCPUs")
    assert words.split("family")[1] in cause(status)
    body = arm.send("GET", "/computes/gpu").json()
    assert body["properties"]["provisioningState"] == "Failed"
    assert body["properties"]["provisioningErrors"][0]["error"]["code"] == ("ClusterMinNodesExceedCoreQuota")


def test_a_cluster_may_grow_beyond_its_quota_on_paper(arm: ArmClient, clock: HandClock) -> None:
    wide = cluster("Standard_DS5_v2")
    wide["properties"]["properties"]["scaleSettings"]["maxNodeCount"] = 50

    assert put(arm, clock, "wide", wide)["status"] == "Succeeded"


def test_nodes_that_start_at_once_need_what_is_left_of_the_quota(arm: ArmClient, clock: HandClock) -> None:
    # 100 vCPUs of the family: six instances of 16, and not a seventh.
    for index in range(6):
        status = put(arm, clock, f"inst{index}", instance("Standard_DS5_v2"))
        assert status["status"] == "Succeeded"

    assert "quota of 100" in cause(put(arm, clock, "inst6", instance("Standard_DS5_v2")))


def test_a_failed_compute_can_be_made_again(arm: ArmClient, clock: HandClock) -> None:
    arm.workspace.location = "westeurope"
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
    arm: ArmClient, clock: HandClock, body: dict[str, Any], why: str
) -> None:
    message = cause(put(arm, clock, "cpu", body))

    assert "InvalidPropertyValue" in message, why
    assert "for property Cluster.Properties.VMSize is not a supported VM size" in message
    assert "STANDARD_DS2_V2" in message


@pytest.mark.parametrize("name", ["ci-1", "a", "1st", "with_underscore", "x" * 25])
def test_names_that_the_service_refuses(arm: ArmClient, name: str) -> None:
    answer = arm.send("PUT", f"/computes/{name}", body=cluster())

    assert answer.status_code == 400
    assert "must be between 3 and 24 characters" in answer.json()["error"]["message"]


def test_bad_bodies_are_refused_before_anything_is_made(arm: ArmClient) -> None:
    bad_scale = cluster()
    bad_scale["properties"]["properties"]["scaleSettings"]["minNodeCount"] = 3
    bad = [
        bad_scale,
        cluster(scaleSettings=None),
        cluster(size=""),
        {"properties": {"computeType": "Kubernetes"}},
        {},
    ]

    answers = [arm.send("PUT", "/computes/cpu", body=body) for body in bad]

    assert [answer.status_code for answer in answers] == [400] * len(bad)
    assert arm.send("GET", "/computes").json() == {"value": []}


def test_a_name_belongs_to_one_kind_and_one_size(arm: ArmClient, clock: HandClock) -> None:
    put(arm, clock, "shared", instance())

    other_kind = arm.send("PUT", "/computes/shared", body=cluster())
    other_size = arm.send("PUT", "/computes/shared", body=instance("Standard_DS3_v2"))

    assert other_kind.status_code == 400
    assert "already in use" in other_kind.json()["error"]["message"]
    assert other_size.status_code == 400


def test_an_instances_name_is_taken_in_the_whole_region(arm: ArmClient, clock: HandClock) -> None:
    put(arm, clock, "mine", instance())
    elsewhere = f"{arm.base_url}{arm.workspace.path.replace('workspaces/emulator', 'workspaces/other')}"

    answer = arm.send(
        "PUT",
        f"{elsewhere}/computes/mine",
        body=instance(),
        **{"api-version": "2023-08-01-preview"},
    )

    assert answer.status_code == 400
    assert "Reason: AlreadyExists" in answer.json()["error"]["message"]


def test_nothing_is_done_to_a_compute_while_something_is(arm: ArmClient) -> None:
    arm.send("PUT", "/computes/inst", body=instance())

    answers = [
        arm.send("PUT", "/computes/inst", body=instance()),
        arm.send("POST", "/computes/inst/start"),
        arm.send("DELETE", "/computes/inst", underlyingResourceAction="Delete"),
    ]

    assert [answer.status_code for answer in answers] == [409] * 3
    assert "Creating" in answers[0].json()["error"]["message"]


def test_only_a_stopped_instance_can_be_started(arm: ArmClient, clock: HandClock) -> None:
    put(arm, clock, "inst", instance())

    answer = arm.send("POST", "/computes/inst/start")

    assert answer.status_code == 202
    message = cause(finish(arm, clock, answer))
    assert "StartComputeInstanceOnlyAllowedInStoppedState" in message
    assert "only allowed when the instance inst is in 'stopped' state" in message
    assert state_of(arm, "inst") == "Running"


def test_each_kind_refuses_what_only_the_other_can(arm: ArmClient, clock: HandClock) -> None:
    put(arm, clock, "inst", instance())
    put(arm, clock, "cpu", cluster())

    nodes = arm.send("POST", "/computes/inst/listNodes")
    start = arm.send("POST", "/computes/cpu/start")

    assert nodes.status_code == start.status_code == 400
    assert nodes.json()["error"]["message"] == ("ComputeListNodes with computeType ComputeInstance is not supported.")
    assert start.json()["error"]["message"] == ("ComputeStart with computeType AmlCompute is not supported.")


def test_a_cluster_has_the_nodes_that_it_must_keep(arm: ArmClient, clock: HandClock) -> None:
    kept = cluster()
    kept["properties"]["properties"]["scaleSettings"]["minNodeCount"] = 1
    put(arm, clock, "cpu", kept)

    inner = arm.send("GET", "/computes/cpu").json()["properties"]["properties"]
    nodes = arm.send("POST", "/computes/cpu/listNodes").json()

    assert (inner["currentNodeCount"], inner["nodeStateCounts"]["idleNodeCount"]) == (1, 1)
    example = recorded("example_compute_listnodes")["response_body"]["nodes"][1]
    assert list(nodes) == ["nodes"]
    assert list(nodes["nodes"][0]) == list(example)
    assert nodes["nodes"][0]["nodeState"] == example["nodeState"]


def test_the_scale_of_a_cluster_can_be_patched(arm: ArmClient, clock: HandClock) -> None:
    put(arm, clock, "cpu", cluster())
    scale = {"maxNodeCount": 7, "minNodeCount": 0, "nodeIdleTimeBeforeScaleDown": "PT5M"}

    answer = arm.send("PATCH", "/computes/cpu", body={"properties": {"properties": {"scaleSettings": scale}}})

    assert answer.json()["properties"]["provisioningState"] == "Updating"
    finish(arm, clock, answer)
    body = arm.send("GET", "/computes/cpu").json()
    assert body["properties"]["properties"]["scaleSettings"] == scale
    assert body["properties"]["provisioningState"] == "Succeeded"


def test_computes_are_found_in_any_case(arm: ArmClient, clock: HandClock) -> None:
    put(arm, clock, "Cpu-Cluster", cluster())

    answer = arm.send("GET", "/COMPUTES/cpu-cluster")

    assert answer.json()["name"] == "Cpu-Cluster"
