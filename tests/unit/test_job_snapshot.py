"""A job at one moment: the same from the SDK's objects and from Resource Manager's JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from azure.ai.ml import MLClient
from azure.core.credentials import TokenCredential

from tests.contract.arm import Arm
from tests.contract.test_vault import CLUSTER
from zenml_azureml.azure.compute.placement import ANYWHERE, Placement
from zenml_azureml.azure.compute.provisioner import ComputeTarget
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.jobs.snapshot import JobSnapshot
from zenml_azureml.azure.jobs.submitter import JobSubmitter
from zenml_azureml.emulator import Emulator
from zenml_azureml.specs.job import JobOptions, JobSpec

RECORDED = sorted((Path(__file__).parents[1] / "contract" / "recorded").glob("job_get_*.json"))


@pytest.mark.parametrize("compute", ["", "gpus"])
def test_both_shapes_of_a_job_give_the_same(
    compute: str, emulator: Emulator, ml_client: MLClient, credential: TokenCredential
) -> None:
    arm = Arm(emulator)
    arm.call("PUT", "computes/gpus", CLUSTER)
    workspace = emulator.context.store.workspaces[0]
    address = WorkspaceAddress(workspace.subscription_id, workspace.resource_group, workspace.name)
    spec = JobSpec("job-1", "shown", "tests", "image", "true", {}, {"key": "value"}, JobOptions(), own_tag="key")
    placement = Placement(ComputeTarget(compute, "compute-cluster")) if compute else ANYWHERE
    JobSubmitter(WorkspaceConnection(address, lambda: credential)).submit(spec, placement)
    body = arm.call("GET", "jobs/job-1").body

    job = JobSnapshot.from_sdk(ml_client.jobs.get("job-1"))
    same = JobSnapshot.from_rest(body)

    assert job.compute == compute
    assert (same.name, same.tags, same.compute) == (job.name, job.tags, job.compute)
    assert job.studio_url.startswith(same.studio_url.partition("&")[0])
    assert job.created_at is not None


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_job_is_read(path: Path) -> None:
    body = json.loads(path.read_text())["response_body"]
    job = JobSnapshot.from_rest(body)

    assert job.name == body["name"]
    assert job.status == body["properties"]["status"]
    assert job.studio_url.startswith("https://ml.azure.com/")
    assert job.phase.ended == (job.status in ("Completed", "Failed", "Canceled"))
