"""The operator's whole path, through ZenML: on an emulator here, on Azure by `make live`."""

from __future__ import annotations

import signal

import pytest

from tests.contract.waiting import eventually
from tests.live.pipelines import Pipelines, facts_in

pytestmark = pytest.mark.long


@pytest.mark.azure_verified(jobs=1, environments=1)
def test_a_serverless_step_and_its_log(pipelines: Pipelines) -> None:
    facts, output = pipelines.facts('run("echo", "echo hello from a step")')

    assert facts["status"] == "completed", output
    assert "[echo] hello from a step" in output
    assert pipelines.arm.call("GET", f"jobs/{facts['job']}").body["properties"]["status"] == "Completed"


@pytest.mark.azure_verified(jobs=1, environments=1)
def test_a_step_that_fails_explains_itself(pipelines: Pipelines) -> None:
    facts, output = pipelines.facts('run("fails", "echo the last words >&2; exit 7")')

    assert facts["status"] == "failed", output
    assert "The Azure ML job of step `fails` failed: its command ended with exit code 7." in facts["message"]
    assert "the last words" in facts["message"]


@pytest.mark.azure_verified(jobs=1, environments=1)
def test_an_interrupted_step_leaves_no_job(pipelines: Pipelines) -> None:
    with pipelines.running('run("sleeper", "echo it sleeps; sleep 280")') as process:
        assert process.stdout is not None
        seen = ""
        for line in process.stdout:
            seen += line
            if "[sleeper] it sleeps" in line:
                break
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=pipelines.arm.patience)

    job = facts_in(output)["job"]
    assert job, seen + output
    arm = pipelines.arm
    status = eventually(
        lambda: str(arm.call("GET", f"jobs/{job}").body["properties"]["status"]) == "Canceled", 60, pause=arm.pause
    )
    assert status, seen + output


@pytest.mark.azure_verified(jobs=1, clusters=1, environments=1)
def test_a_step_on_a_cluster_that_the_operator_makes_and_deletes(pipelines: Pipelines) -> None:
    arm = pipelines.arm
    name, size = arm.name("own"), arm.cheap_job()["resources"]["instanceType"]
    facts, output = pipelines.facts(
        f"""
GIVEN["settings"].pop("instance_type")
run("clustered", "echo on a cluster", mode="compute-cluster", compute_name={name!r}, size={size!r},
    min_instances=0, max_instances=1, idle_time_before_scaledown_down=120, delete_compute_after=True)
"""
    )

    assert facts["status"] == "completed", output
    assert "[clustered] on a cluster" in output
    eventually(lambda: arm.call("GET", f"computes/{name}").status == 404, arm.patience, pause=arm.pause)


@pytest.mark.azure_verified(jobs=1, environments=1)
def test_data_that_a_step_writes_and_registers(pipelines: Pipelines) -> None:
    name = pipelines.arm.name("labels")
    write = "echo 3 cats > $AZURE_ML_OUTPUT_model/labels.txt"
    written, output = pipelines.facts(f"run('writes', {write!r}, outputs={{'model': {{'register_as': {name!r}}}}})")

    assert written["status"] == "completed", output
    asset = written["outputs"]["model"]
    assert (asset["asset"], asset["version"]) == (name, "1"), "Azure ML gives the first output the version 1"
    assert pipelines.arm.call("DELETE", f"data/{name}/versions/1").status in (200, 204)


@pytest.mark.needs_image
@pytest.mark.azure_verified(jobs=1, environments=1)
def test_a_step_whose_use_is_sampled(pipelines: Pipelines) -> None:
    facts, output = pipelines.facts('run("used", "echo it works; sleep 20")')

    assert facts["status"] == "completed", output
    memory = facts["usage"]["memory"]
    assert memory["limit"] > memory["peak"] > 0, facts["usage"]


@pytest.mark.needs_image
@pytest.mark.azure_verified(jobs=1, nodes=2, environments=1)
def test_a_step_on_two_nodes(pipelines: Pipelines) -> None:
    facts, output = pipelines.facts(
        """
run("nodes", "echo this is rank $RANK of $WORLD_SIZE", instance_count=2,
    distribution={"type": "pytorch", "process_count_per_instance": 1})
"""
    )

    assert facts["status"] == "completed", output
    assert "this is rank 0 of 2" in output
    assert "this is rank 1 of 2" in output


@pytest.mark.needs_image
@pytest.mark.needs_identity
@pytest.mark.azure_verified(jobs=1, clusters=1, environments=1, secrets=1)
def test_secrets_travel_by_the_vault(pipelines: Pipelines) -> None:
    arm = pipelines.arm
    name, size = arm.name("vault"), arm.cheap_job()["resources"]["instanceType"]
    inner = {
        "vmSize": size,
        "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "PT2M"},
    }
    body = {
        "location": arm.region,
        "tags": arm.tags,
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {pipelines.identity: {}}},
        "properties": {"computeType": "AmlCompute", "properties": inner},
    }
    assert arm.call("PUT", f"computes/{name}", body).status == 201
    eventually(
        lambda: arm.call("GET", f"computes/{name}").body["properties"]["provisioningState"] == "Succeeded",
        arm.patience, pause=arm.pause,
    )  # fmt: skip

    facts, output = pipelines.facts(
        f"""
GIVEN["settings"].pop("instance_type")
run("secret", "echo the length is ${{#DATABASE_PASSWORD}}", compute_target_name={name!r}, secrets_via="key-vault",
    environment_variables={{"DATABASE_PASSWORD": "swordfish-4711"}})
"""
    )

    assert facts["status"] == "completed", output
    assert "[secret] the length is 14" in output
    assert "swordfish" not in arm.call("GET", f"jobs/{facts['job']}").text
    assert arm.call("DELETE", f"computes/{name}?underlyingResourceAction=Delete").status == 202
