"""What clients do with jobs beside running them; and the clients that run in jobs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.ai.ml import AmlTokenConfiguration, MLClient, UserIdentityConfiguration, command
from azure.ai.ml.entities import AmlCompute, AzureBlobDatastore, Data, Environment, JupyterLabJobService
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from tests.contract.arm import Arm
from tests.contract.test_job_data import error_of, folder_of, log_of, ran
from zenml_azureml.emulator import Emulator

ENVIRONMENT = Environment(name="ours", version="1", image="python:3.12")

#: As people write it in a training script: by the variables that Azure ML sets.
LISTS_ITS_DATASTORES = """
import os
from azure.ai.ml import MLClient
from azure.ai.ml.identity import AzureMLOnBehalfOfCredential

names = [os.environ[f"AZUREML_ARM_{name}"] for name in ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")]
client = MLClient(AzureMLOnBehalfOfCredential(), *names)
print(client.jobs.get(os.environ["AZUREML_RUN_ID"]).status)
"""

SIGNS_IN = """
import sys

hosts = set()
sys.addaudithook(lambda event, found: hosts.add(found[1][0]) if event == "socket.connect" else None)

from azure.identity import DefaultAzureCredential

try:
    DefaultAzureCredential().get_token("https://management.azure.com/.default")
except Exception as error:
    print(type(error).__name__)
print(sorted(hosts))
"""


def test_a_job_is_deleted_with_its_files(client: MLClient, bench: Emulator) -> None:
    job = ran(client, command(command="touch outputs/a", environment=ENVIRONMENT))
    assert (folder_of(bench, job)).exists()

    client.jobs.begin_delete(job.name).result()

    with pytest.raises(ResourceNotFoundError):
        client.jobs.get(job.name)
    assert job.name not in [one.name for one in client.jobs.list()]
    assert not (folder_of(bench, job)).exists()


def test_numbers_in_texts_are_taken_as_people_write_them(client: MLClient, bench: Emulator, tmp_path: Path) -> None:
    job = ran(
        client,
        command(
            command="echo $EPOCHS $RATE $FAST",
            environment=ENVIRONMENT,
            environment_variables={"EPOCHS": 5, "RATE": 0.1, "FAST": True},
            tags={"fold": 1},
            properties={"fold": 2},
        ),
    )

    assert log_of(bench, job) == "5 0.1 true\n"
    tags, properties = job.tags or {}, job.properties or {}
    assert (tags["fold"], properties["fold"]) == ("1", "2")
    tags["fold"] = 3
    assert (client.jobs.create_or_update(job).tags or {})["fold"] == "3"
    (tmp_path / "rows.csv").write_text("a\n1\n")
    data = Data(name="rows", path=str(tmp_path / "rows.csv"), type="uri_file", tags={"rows": 1})
    assert client.data.create_or_update(data).tags == {"rows": "1"}
    cluster = AmlCompute(name="numbered", size="Standard_DS3_v2", tags={"cost_center": 42})
    assert client.compute.begin_create_or_update(cluster).result().tags == {"cost_center": "42"}
    store = AzureBlobDatastore(name="numbered", account_name="other", container_name="data", tags={"year": 2026})
    assert client.datastores.create_or_update(store).tags == {"year": "2026"}


def test_a_job_that_runs_is_not_deleted(client: MLClient) -> None:
    job = client.jobs.create_or_update(command(command="sleep 600", environment=ENVIRONMENT))

    with pytest.raises(HttpResponseError, match="Cancel it before"):
        client.jobs.begin_delete(job.name)

    client.jobs.begin_cancel(job.name).result()
    client.jobs.begin_delete(job.name).result()


def test_an_archived_job_comes_back(client: MLClient) -> None:
    job = ran(client, command(command="true", environment=ENVIRONMENT))

    client.jobs.archive(job.name)
    archived = [one.name for one in client.jobs.list()]
    client.jobs.restore(job.name)

    assert job.name not in archived
    assert job.name in [one.name for one in client.jobs.list()]


def test_children_are_listed_by_their_parent(client: MLClient, bench: Emulator) -> None:
    arm = Arm(bench)
    parent = ran(client, command(command="true", environment=ENVIRONMENT))
    sent = {"jobType": "Command", "command": "true", "environmentId": "azureml:ours:1", "parentJobName": parent.name}
    for name in ("child-1", "child-2"):
        body: dict[str, Any] = {"properties": {**sent, "tags": {}, "properties": {}}}
        assert arm.call("PUT", f"jobs/{name}", body, api_version="2025-01-01-preview").status == 201

    assert [one.name for one in client.jobs.list(parent_job_name=parent.name)] == ["child-2", "child-1"]
    assert list(client.jobs.list(parent_job_name="child-1")) == []


def test_services_of_a_job(client: MLClient) -> None:
    plain = ran(client, command(command="true", environment=ENVIRONMENT))
    lab = JupyterLabJobService(nodes="all")
    served = ran(client, command(command="true", environment=ENVIRONMENT, services={"lab": lab}))

    shown = client.jobs.show_services(served.name)

    assert client.jobs.show_services(plain.name) is None
    assert shown is not None
    assert [(name, one.type, one.status) for name, one in shown.items()] == [("lab", "JupyterLab", "Stopped")]


def test_the_addresses_of_a_job_are_those_of_the_emulator(client: MLClient, bench: Emulator) -> None:
    services = client.jobs.create_or_update(command(command="true", environment=ENVIRONMENT)).services

    assert services is not None
    assert {urlsplit(one.endpoint).netloc for one in services.values()} == {urlsplit(bench.base_url).netloc}


def test_the_sdk_in_a_job_acts_as_its_user(client: MLClient, bench: Emulator, tmp_path: Path) -> None:
    (tmp_path / "who.py").write_text(LISTS_ITS_DATASTORES)
    job = command(
        code=str(tmp_path),
        command=f"{sys.executable} who.py",
        environment=ENVIRONMENT,
        identity=UserIdentityConfiguration(),
    )

    done = ran(client, job)

    assert done.status == "Completed", error_of(bench, done.name)
    assert log_of(bench, done).splitlines()[-1].upper().endswith("RUNNING")


def test_another_job_does_not_act_as_its_user(client: MLClient, bench: Emulator) -> None:
    job = ran(
        client, command(command="echo ${OBO_ENDPOINT:-none}", environment=ENVIRONMENT, identity=AmlTokenConfiguration())
    )

    assert log_of(bench, job) == "none\n"
    secret = bench.context.store.workspaces[0].jobs[str(job.name)].machine_secret
    answer = Arm(bench).call("GET", f"/obo/{secret}/token?resource=https://management.azure.com", api_version=None)
    assert answer.status == 401


def test_a_job_without_an_identity_gets_none_from_the_machine_of_the_emulator(
    client: MLClient, bench: Emulator, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text(SIGNS_IN)

    job = ran(client, command(code=str(tmp_path), command=f"{sys.executable} main.py", environment=ENVIRONMENT))

    assert log_of(bench, job).splitlines()[-2:] == ["ClientAuthenticationError", "['127.0.0.1']"]
