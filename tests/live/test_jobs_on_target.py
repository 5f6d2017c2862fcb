"""Jobs, clusters and environments, request by request: on an emulator here, on Azure by `make live`."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.contract.arm import Answer, Arm
from tests.contract.visitor import visiting
from tests.contract.waiting import eventually
from tests.live.pipelines import BARE_IMAGE
from tests.live.run import HOLD
from tests.live.target import TAG
from zenml_azureml.azure.jobs.run_history import details_of

ENDED = ("Completed", "Failed", "Canceled")


def environment(arm: Arm) -> str:
    path = f"environments/{arm.name('env')}/versions/1"
    answer = arm.call("PUT", path, {"properties": {"image": BARE_IMAGE, "tags": arm.tags}})
    assert answer.status == 201, answer.text
    return str(answer.body["id"])


def job(arm: Arm, command: str, **variables: str) -> dict[str, Any]:
    """A job; the variables let a simulated one do the same."""
    return {
        "jobType": "Command",
        "command": command,
        "environmentId": environment(arm),
        "environmentVariables": variables,
        "experimentName": "zenml-azureml-live",
        **arm.cheap_job(),
    }


def submit(arm: Arm, name: str, properties: dict[str, Any]) -> Answer:
    answer = arm.call("PUT", f"jobs/{name}", {"properties": properties})
    assert answer.status == 201, answer.text
    return answer


def status(arm: Arm, name: str) -> str:
    return str(arm.call("GET", f"jobs/{name}").body["properties"]["status"])


def end_of(arm: Arm, name: str, *, later: float = 0) -> str:
    """The status with which a job has ended, so many seconds later than others."""
    patience = arm.patience + later
    return eventually(lambda: ((found := status(arm, name)) in ENDED and found) or "", patience, pause=arm.pause)


@pytest.mark.azure_verified(jobs=1, environments=1)
def test_a_serverless_job_runs_to_its_end(arm: Arm) -> None:
    name, properties = arm.name("echo"), job(arm, "echo hello from a job")

    made = submit(arm, name, properties)
    again = arm.call("PUT", f"jobs/{name}", {"properties": properties})
    other = arm.call("PUT", f"jobs/{name}", {"properties": {**properties, "command": "echo something else"}})

    assert made.headers["Location"].partition("?")[0].endswith(f"/jobs/{name}")
    assert again.status == 200
    assert (other.status, other.body["error"]["code"]) == (400, "UserError")
    assert end_of(arm, name) == "Completed"
    cancelled = arm.call("POST", f"jobs/{name}/cancel")
    assert cancelled.status == 200
    listed = arm.call("GET", f"jobs?tag={TAG}" if arm.tags else "jobs").body["value"]
    assert name in [one["name"] for one in listed]
    details = arm.call("GET", f"{history(arm)}/runs/{name}/details", api_version=None)
    assert details.status == 200
    assert any(file.startswith("user_logs/") for file in details.body["logFiles"])


@pytest.mark.azure_verified(jobs=1, environments=1)
def test_a_job_that_fails(arm: Arm) -> None:
    name = arm.name("fails")
    submit(arm, name, job(arm, "echo no such file >&2; exit 3", SIMULATE_EXIT_CODE="3"))

    assert end_of(arm, name) == "Failed"
    asked = {"runId": name, "selectRunMetadata": True, "selectRunDefinition": True, "selectJobSpecification": True}
    told = arm.call("POST", f"{history(arm)}/rundata", asked, api_version=None)
    assert told.status == 200
    assert told.body["runMetadata"]["error"]["error"]["code"] == "UserError"


@pytest.mark.azure_verified(jobs=1, environments=1)
def test_a_job_that_is_cancelled(arm: Arm) -> None:
    name = arm.name("cancelled")
    submit(arm, name, job(arm, "sleep 280", SIMULATE_SECONDS="280"))

    accepted = arm.call("POST", f"jobs/{name}/cancel", api_version="2023-04-01-preview")

    assert (accepted.status, accepted.text) == (202, "null")
    location = accepted.headers["Location"]
    eventually(lambda: arm.call("GET", location).status == 200, arm.patience, pause=arm.pause)
    assert end_of(arm, name) == "Canceled"


@pytest.mark.azure_verified(jobs=1, environments=1)
def test_a_job_with_services_that_keeps_its_container_until_it_is_cancelled(arm: Arm) -> None:
    """What a held job needs of Azure: services on serverless compute, and a cancel that ends a process which waits."""
    name, kinds = arm.name("held"), ("VSCode", "JupyterLab")
    properties = job(arm, "trap 'exit 7' TERM; echo it has failed; sleep 280 & wait", SIMULATE_SECONDS="280")
    key = asyncssh.generate_private_key("ssh-ed25519")
    login = {"jobServiceType": "SSH", "properties": {"sshPublicKeys": key.export_public_key().decode()}}
    asked = {**{kind.lower(): {"jobServiceType": kind} for kind in kinds}, "terminal": login}
    submit(arm, name, {**properties, "services": asked})

    eventually(lambda: status(arm, name) == "Running", arm.patience, pause=arm.pause)
    services = arm.call("GET", f"jobs/{name}").body["properties"]["services"]
    assert {kind: services[kind.lower()]["jobServiceType"] for kind in kinds} == dict(zip(kinds, kinds, strict=True))
    look_around(arm, name, key)
    assert arm.call("POST", f"jobs/{name}/cancel").status in (200, 202)
    assert end_of(arm, name) == "Canceled"


def look_around(arm: Arm, name: str, key: asyncssh.SSHKey) -> None:
    """What `jobs shell` needs of Azure: the SSH service of a node, its tunnel, its user, and what a session sees."""
    asked = f"{history(arm)}/runs/{name}/serviceinstances/0"

    def started() -> dict[str, Any]:
        found: dict[str, Any] = arm.call("GET", asked, api_version=None).body["instances"]["terminal"]
        return found if found["status"] in ("Running", "Failed") else {}

    found = eventually(started, arm.patience, pause=arm.pause)
    assert found["type"] == "SSH"
    if found["status"] == "Failed":  # an emulator that simulates jobs has no place for a shell
        assert "no place for a shell" in found["error"]["error"]["message"]
        return
    bundle = os.environ.get("REQUESTS_CA_BUNDLE")
    ca = Path(bundle) if bundle else None

    async def look() -> str:
        url = f"{found['properties']['ProxyEndpoint']}/nbip/v1.0/ws-tcp"
        async with visiting(url, token=arm.token(), ca=ca, keys=[key]) as connection:
            return str((await connection.run("id; pwd; env | cut -d= -f1 | sort; ls -d /tmp", check=True)).stdout)

    seen = asyncio.run(look())
    print(seen)  # what is not known of Azure: the user, its folder, the names of its variables
    assert "uid=" in seen


@pytest.mark.azure_verified(jobs=1, environments=1, holds=1)
def test_a_job_that_only_waits_keeps_its_node_until_its_time_limit_ends_it(arm: Arm) -> None:
    """What a held job needs of Azure, and what ends it, and one at its cost limit, without an orchestrator."""
    # Of an emulator, nothing is learned by waiting.
    name, seconds = arm.name("limited"), 60 * int(os.environ[HOLD]) if arm.is_azure else 1
    properties = job(arm, "trap '' TERM; while true; do sleep 1; done", SIMULATE_SECONDS="100000")
    submit(arm, name, {**properties, "limits": {"jobLimitsType": "Command", "timeout": f"PT{seconds}S"}})

    assert end_of(arm, name, later=seconds) == "Canceled"
    answer = arm.call("GET", f"{history(arm)}/runs/{name}/details", api_version=None)
    assert details_of(answer.body).time_used_up == timedelta(seconds=seconds)


@pytest.mark.azure_verified(clusters=1)
def test_a_cluster_without_nodes_is_made_changed_and_deleted(arm: Arm) -> None:
    path = f"computes/{arm.name('cpu')}"
    size = arm.cheap_job()["resources"]["instanceType"]
    scale = {"minNodeCount": 0, "maxNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "PT2M"}
    inner = {"vmSize": size, "scaleSettings": scale}
    body = {"location": arm.region, "tags": arm.tags, "properties": {"computeType": "AmlCompute", "properties": inner}}

    made = arm.call("PUT", path, body)
    assert made.status == 201, made.text
    assert last_of(arm, made) == "Succeeded"
    found = arm.call("GET", path).body["properties"]
    assert (found["provisioningState"], found["properties"]["currentNodeCount"]) == ("Succeeded", 0)
    assert arm.call("POST", f"{path}/listNodes").body["nodes"] == []

    scale["maxNodeCount"] = 2
    changed = arm.call("PUT", path, body)
    assert changed.status in (200, 201), changed.text  # it differs between api-versions
    eventually(
        lambda: arm.call("GET", path).body["properties"]["provisioningState"] == "Succeeded",
        arm.patience,
        pause=arm.pause,
    )
    assert arm.call("GET", path).body["properties"]["properties"]["scaleSettings"]["maxNodeCount"] == 2

    deleted = arm.call("DELETE", f"{path}?underlyingResourceAction=Delete")
    assert deleted.status == 202
    eventually(lambda: arm.call("GET", path).status == 404, arm.patience, pause=arm.pause)


def last_of(arm: Arm, answer: Answer) -> str:
    """The last status of an operation."""
    link = answer.headers["Azure-AsyncOperation"]

    def ask() -> str:
        found = str(arm.call("GET", link).body["status"])
        return "" if found == "InProgress" else found

    return eventually(ask, arm.patience, pause=arm.pause)


def history(arm: Arm) -> str:
    """The address of run history, without what stands for one run."""
    workspace = arm.call("GET", arm.workspace).body["properties"]
    api = arm.call("GET", workspace["discoveryUrl"], api_version=None).body["history"]
    return f"{api}/history/v1.0{arm.workspace}"
