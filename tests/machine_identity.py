"""A job that has a managed identity."""

from __future__ import annotations

from tests.contract.arm import Arm
from zenml_azureml.emulator.resources import Job


def running_job(arm: Arm, compute: str, name: str = "with-identity") -> Job:
    """Return a job on a compute that runs until it is cancelled."""
    body = {
        "jobType": "Command",
        "command": "true",
        "environmentId": "azureml:any:1",
        "computeId": f"{arm.workspace}/computes/{compute}",
        "environmentVariables": {"SIMULATE_SECONDS": "100000"},
    }
    answer = arm.call("PUT", f"jobs/{name}", {"properties": body})
    assert answer.status in (200, 201), answer.text
    job = arm.emulator.context.store.workspaces[0].find_job(name)
    assert job is not None
    return job
