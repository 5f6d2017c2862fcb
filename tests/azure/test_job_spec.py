"""A job as YAML: submitted through the real `load_job`, it is the job that the step operator submits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from azure.ai.ml import MLClient, load_job
from azure.ai.ml.entities import Environment

from tests.contract.arm import Arm
from zenml_azureml.azure.jobs.manifest import as_yaml, spec_of
from zenml_azureml.azure.jobs.submitter import build_command_job, environment_name
from zenml_azureml.emulator import Emulator
from zenml_azureml.specs.data import DataInput, DataOutput
from zenml_azureml.specs.job import JobIdentity, JobOptions, JobService, JobSpec

IMAGE = "example.azurecr.io/zenml:train-1"
REQUEST = JobSpec(
    name="mine",
    display_name="trainer (training-1)",
    experiment="training",
    image=IMAGE,
    command="python -m zenml.entrypoints.entrypoint --step_name 'a b' && echo \"$HOME\"",
    environment_variables={"A": "1", "YES": "true", "LINES": "one\ntwo"},
    tags={"zenml_step": "trainer", "zenml_run_1": "", "number": "1"},
    own_tag="zenml_step",
)
WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
ALL = JobOptions(
    display_name="My job",
    description="What it is: a test # no comment",
    tags={"team": "vision"},
    experiment="mine",
    timeout=timedelta(minutes=90),
    shm_size="2g",
    docker_args="--ipc=host -v '/a b:/c'",
    environment_variables={"B": "2"},
    identity=JobIdentity("managed", "11111111-1111-1111-1111-111111111111"),
    services=(
        JobService("s", "ssh", ssh_public_keys="ssh-rsa AAAA ada"),
        JobService("t", "tensor_board", log_dir="logs"),
        JobService("j", "jupyter_lab", nodes="all"),
        JobService("v", "vs_code", port=8080),
    ),
    instance_type="Standard_DS3_v2",
    instance_count=2,
    job_tier="spot",
    priority="low",
    locations=("westeurope",),
    inputs=(
        DataInput("train", "azureml://datastores/workspaceblobstore/paths/a/", "uri_folder", "download"),
        DataInput("words", "azureml:words:3", "uri_file"),
        DataInput("by_id", f"{WORKSPACE}/data/words/versions/3", "uri_file"),
        DataInput("by_prefixed_id", f"azureml:{WORKSPACE}/data/words/versions/3", "uri_file"),
        DataInput("web", "https://example.com/a.csv", "uri_file", "direct"),
        DataInput("blob", "wasbs://container@account.blob.core.windows.net/a"),
        DataInput("shared", "azureml://registries/shared/data/images/versions/3", "uri_folder"),
    ),
    outputs=(
        DataOutput("model", register_as="files"),
        DataOutput("late", "uri_file", path="azureml://datastores/d/paths/a", mode="upload"),
    ),
)


def put(client: MLClient, emulator: Emulator, job: Any) -> dict[str, Any]:
    """What the service keeps of a job that is submitted, without what differs from job to job."""
    name = client.jobs.create_or_update(job).name
    properties = emulator.context.store.workspaces[0].jobs[name].properties
    sent = {"command", "computeId", "description", "displayName", "environmentId", "environmentVariables", "tags"}
    sent |= {
        "inputs",
        "experimentName",
        "identity",
        "limits",
        "queueSettings",
        "resources",
        "distribution",
        "isArchived",
    }
    # What the service itself adds as a job goes on.
    properties = {**properties, "tags": {k: v for k, v in properties["tags"].items() if not k.startswith("_aml_")}}
    services = {key: value for key, value in properties["services"].items() if key not in ("Tracking", "Studio")}
    outputs = {key: value for key, value in properties["outputs"].items() if key != "default"}
    return {**{key: properties[key] for key in sent if key in properties}, "services": services, "outputs": outputs}


@pytest.mark.parametrize(
    ("options", "compute"),
    [
        (JobOptions(), None),
        (JobOptions(), "cpus"),
        (ALL, None),
        (replace(ALL, instance_type=None, job_tier=None, priority=None, locations=()), "cpus"),
        (JobOptions(identity=JobIdentity("user")), None),
        (JobOptions(identity=JobIdentity("aml_token")), None),
    ],
    ids=["serverless", "cluster", "all of serverless", "all of cluster", "as the user", "with a token"],
)
def test_what_load_job_makes_of_it_is_the_same_job(
    options: JobOptions, compute: str | None, ml_client: MLClient, emulator: Emulator, tmp_path: Path
) -> None:
    inner = {"vmSize": "Standard_DS3_v2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 2}}
    cluster = {"location": "westeurope", "properties": {"computeType": "AmlCompute", "properties": inner}}
    Arm(emulator).call("PUT", "computes/cpus", cluster)
    ml_client.environments.create_or_update(Environment(name=environment_name(IMAGE), version="1", image=IMAGE))
    job = build_command_job(replace(REQUEST, options=options), compute)
    path = tmp_path / "job.yml"
    path.write_text(as_yaml(spec_of(replace_name(job, "by-file"))))

    assert put(ml_client, emulator, load_job(path)) == put(ml_client, emulator, replace_name(job, "by-operator"))
    assert {"by-file", "by-operator"} <= set(emulator.context.store.workspaces[0].jobs)


def test_it_reads_from_what_it_is_to_what_it_needs() -> None:
    document = spec_of(build_command_job(REQUEST, None))

    assert list(document) == [
        *("$schema", "type", "name", "display_name", "experiment_name", "tags", "command"),
        *("environment", "environment_variables"),
    ]
    assert yaml.safe_load(as_yaml(document)) == document
    assert f"command: {REQUEST.command.split()[0]}" in as_yaml(document)


def replace_name(job: Any, name: str) -> Any:
    job.name = name
    return job
