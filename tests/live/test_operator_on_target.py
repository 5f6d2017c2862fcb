"""The operator's whole path, through ZenML: on an emulator here, on Azure by `make live`."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.live.guard import MOST_MINUTES, datastore_of, prices_in
from tests.live.pipelines import Pipelines, facts_in
from tests.live.target import TAG

pytestmark = pytest.mark.long

#: What a step runs that reads its data.
READ = 'cat "$AZURE_ML_INPUT_labels/labels.txt"'

#: The same, and whether a variable has the address of an input of the mode `direct`.
READ_AND_FIND = f'{READ}; case "$AZURE_ML_INPUT_place" in azureml:*) echo it has an address;; esac'


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


def write(pipelines: Pipelines, name: str) -> dict[str, Any]:
    """Let a step write a file and register it; what ZenML knows of that."""
    command = "echo 3 cats > $AZURE_ML_OUTPUT_model/labels.txt"
    written, output = pipelines.facts(f"run('writes', {command!r}, outputs={{'model': {{'register_as': {name!r}}}}})")
    assert written["status"] == "completed", output
    found: dict[str, Any] = written["outputs"]["model"]
    return found


def register(arm: Arm, name: str, uri: str) -> None:
    """Register a folder as a data asset, as a user does."""
    body = {"properties": {"dataType": "uri_folder", "dataUri": uri}}
    made = arm.call("PUT", f"data/{name}/versions/1", body)
    assert made.status == 201, made.text


def forget(arm: Arm, *names: str) -> None:
    """Delete data assets."""
    for name in names:
        assert arm.call("DELETE", f"data/{name}/versions/1").status in (200, 204)


@pytest.mark.azure_verified(jobs=2, environments=1)
def test_data_that_a_step_writes_and_another_one_reads(pipelines: Pipelines) -> None:
    arm = pipelines.arm
    name, again = arm.name("labels"), arm.name("registered")
    asset = write(pipelines, name)
    assert (asset["asset"], asset["version"]) == (name, "1"), "Azure ML gives the first output the version 1"
    register(arm, again, asset["uri"])

    read, output = pipelines.facts(
        f"""
run("reads", {READ_AND_FIND!r}, identity="user",
    inputs={{"labels": "azureml:{again}@latest", "place": {{"path": "azureml:{again}@latest", "mode": "direct"}}}})
"""
    )

    assert read["status"] == "completed", output
    assert "[reads] 3 cats" in output
    assert "[reads] it has an address" in output
    assert (read["inputs"]["labels"]["asset"], read["inputs"]["labels"]["version"]) == (again, "1")
    forget(arm, name, again)


@pytest.mark.azure_verified(jobs=1, environments=1)
def test_a_cost_limit_is_the_time_limit_of_a_job_and_refuses_the_next_one(pipelines: Pipelines) -> None:
    arm = pipelines.arm
    subscription = arm.workspace.partition("/resourceGroups/")[0]
    sizes = f"{subscription}/providers/Microsoft.MachineLearningServices/locations/{arm.region}/vmSizes"
    size = str(arm.cheap_job()["resources"]["instanceType"])
    price = prices_in(arm.call("GET", sizes).body)[size.lower()]
    # The job has less than its own ten minutes, and more than the five that it must have.
    limited, output = pipelines.facts(
        f"run('costly', 'echo it runs', timeout_minutes={MOST_MINUTES}, max_usd={price * 6 / 60})"
    )

    assert limited["status"] == "completed", output
    job = arm.call("GET", f"jobs/{limited['job']}").body["properties"]
    assert job["limits"]["timeout"] in ("PT6M", "PT360S"), output
    assert job["tags"]["zenml_cost_limit"].startswith("max_usd=")
    refused, output = pipelines.facts(f"run('refused', 'echo it runs', max_usd={price * 4 / 60})")
    assert (refused["status"], refused["job"]) == ("failed", None), output
    assert "was not submitted: its cost limit" in refused["message"]


@pytest.mark.needs_identity
@pytest.mark.azure_verified(jobs=3, clusters=1, environments=1)
def test_data_that_the_identity_of_a_cluster_reads(pipelines: Pipelines) -> None:
    """From a datastore without credentials, so that Azure asks who reads."""
    arm = pipelines.arm
    store = datastore_of(arm.tags[TAG] if arm.tags else "", "plain")
    name, again = arm.name("pictures"), arm.name("plain")
    written = write(pipelines, name)["uri"]
    own = arm.call("GET", "datastores/workspaceblobstore").body["properties"]
    # An emulator's datastores have an address where Azure's have the name of the account.
    account = arm.call("GET", arm.workspace).body["properties"]["storageAccount"].rpartition("/")[2]
    keys = ("subscriptionId", "resourceGroup", "containerName", "endpoint")
    place = {"datastoreType": "AzureBlob", "accountName": account, **{key: own.get(key) for key in keys}}
    body = {"properties": {**place, "credentials": {"credentialsType": "None"}}}
    assert arm.call("PUT", f"datastores/{store}", body).status in (200, 201)
    register(arm, again, f"azureml://datastores/{store}/paths/{written.partition('/paths/')[2]}")
    cluster = cluster_with_identity(pipelines, "reader")

    read, output = pipelines.facts(
        f"""
GIVEN["settings"].pop("instance_type")
run("reads", {READ!r}, compute_target_name={cluster!r}, identity="managed",
    inputs={{"labels": "azureml:{again}:1"}})
"""
    )

    assert read["status"] == "completed", output
    assert "[reads] 3 cats" in output
    alone, output = pipelines.facts(f"run('alone', {READ!r}, inputs={{'labels': 'azureml:{again}:1'}})")
    assert alone["status"] == "completed", f"a serverless job acts as the user: {output}"
    forget(arm, name, again)
    assert arm.call("DELETE", f"datastores/{store}").status in (200, 204)
    assert arm.call("DELETE", f"computes/{cluster}?underlyingResourceAction=Delete").status == 202


def cluster_with_identity(pipelines: Pipelines, short: str) -> str:
    """Make a cluster without nodes whose jobs have the identity; its name."""
    arm = pipelines.arm
    name, size = arm.name(short), arm.cheap_job()["resources"]["instanceType"]
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
    return name


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
    arm, name = pipelines.arm, cluster_with_identity(pipelines, "vault")

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
