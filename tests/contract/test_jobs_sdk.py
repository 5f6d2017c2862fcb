"""Jobs, as the real SDK and an independent client submit, find and cancel them."""

from __future__ import annotations

import pytest
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Command, Environment
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.mgmt.machinelearningservices import MachineLearningServicesMgmtClient, models

from tests.contract.arm import Arm
from tests.contract.test_jobs_contract import wait_for
from zenml_azureml.emulator import Emulator


@pytest.fixture
def environment(ml_client: MLClient) -> str:
    made = ml_client.environments.create_or_update(Environment(name="ours", version="1", image="repo/image:1"))
    return f"azureml:{made.name}:{made.version}"


def submit(ml_client: MLClient, environment: str, name: str, **variables: str) -> Command:
    job = command(name=name, command="echo", environment=environment, environment_variables=variables)
    submitted = ml_client.jobs.create_or_update(job)
    assert isinstance(submitted, Command)
    return submitted


def test_the_sdk_submits_and_finds_its_job(ml_client: MLClient, environment: str) -> None:
    submitted = submit(ml_client, environment, "My-Job")

    assert submitted.name == "my-job"
    assert "/runs/my-job?wsid=/subscriptions/" in str(submitted.studio_url)
    assert ml_client.jobs.get("my-job").id == submitted.id
    assert [job.name for job in ml_client.jobs.list()] == ["my-job"]


def test_the_sdk_says_that_a_job_failed(ml_client: MLClient, environment: str) -> None:
    submit(ml_client, environment, "fails", SIMULATE_EXIT_CODE="9")

    with pytest.raises(Exception, match="exited with status code 9"):
        ml_client.jobs.stream("fails")


def test_the_sdk_cancels_a_running_job(emulator: Emulator, ml_client: MLClient, environment: str) -> None:
    submit(ml_client, environment, "long", SIMULATE_SECONDS="1000")
    wait_for(Arm(emulator), "long", "Running")

    ml_client.jobs.begin_cancel("long").result()

    assert ml_client.jobs.get("long").status == "Canceled"


def test_the_sdk_archives_and_restores_a_job(emulator: Emulator, ml_client: MLClient, environment: str) -> None:
    submit(ml_client, environment, "old")

    ml_client.jobs.archive("old")
    assert list(ml_client.jobs.list()) == []
    assert "PATCH" in {entry["method"] for entry in Arm(emulator).call("GET", "/_emulator/requests").body}

    ml_client.jobs.restore("old")
    assert [job.name for job in ml_client.jobs.list()] == ["old"]


def test_the_sdk_changes_what_can_be_changed(ml_client: MLClient, environment: str) -> None:
    submit(ml_client, environment, "named")

    changed = ml_client.jobs.update("named", display_name="Better", tags={"a": "1"})

    assert (changed.display_name, changed.tags["a"]) == ("Better", "1")


def test_the_sdk_reads_all_pages(emulator: Emulator, ml_client: MLClient, environment: str) -> None:
    emulator.context.settings.page_size = 2
    for number in range(5):
        submit(ml_client, environment, f"job-{number}")

    assert len(list(ml_client.jobs.list())) == 5


def test_the_sdk_tells_a_missing_job_from_a_refused_one(ml_client: MLClient, environment: str) -> None:
    with pytest.raises(ResourceNotFoundError, match=r"\(UserError\) Job nobody not found"):
        ml_client.jobs.get("nobody")
    submit(ml_client, environment, "taken")
    with pytest.raises(HttpResponseError, match="EnvironmentVariables cannot be changed"):
        submit(ml_client, environment, "taken", A="1")


# A client that nobody here wrote, of another age


def test_an_independent_client_submits_lists_and_cancels(
    emulator: Emulator, credential: ClientSecretCredential
) -> None:
    workspace = emulator.context.store.workspaces[0]
    where = {"resource_group_name": workspace.resource_group, "workspace_name": workspace.name}
    client = MachineLearningServicesMgmtClient(
        credential, workspace.subscription_id, base_url=emulator.base_url, polling_interval=0
    )
    job = models.CommandJob(
        command="sleep", environment_id="azureml:some:1", environment_variables={"SIMULATE_SECONDS": "1000"}
    )

    made = client.jobs.create_or_update(**where, id="theirs", body=models.JobBase(properties=job))
    assert isinstance(made.properties, models.CommandJob)
    assert made.properties.resources is not None
    assert made.properties.resources.shm_size == "2g"
    assert [found.name for found in client.jobs.list(**where)] == ["theirs"]
    wait_for(Arm(emulator), "theirs", "Running")
    client.jobs.begin_cancel(**where, id="theirs").result()

    assert client.jobs.get(**where, id="theirs").properties.status == "Canceled"
