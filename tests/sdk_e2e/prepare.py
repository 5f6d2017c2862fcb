"""The workspace that the SDK's tests expect: it has three clusters."""

from __future__ import annotations

from tests.contract.arm import Arm
from zenml_azureml.emulator import Emulator

_CLUSTERS = ("testCompute", "cpu-cluster", "gpu-cluster")


def prepare(emulator: Emulator) -> None:
    """Create what the tests name without creating it."""
    arm = Arm(emulator)
    location = emulator.context.store.workspaces[0].location
    for name in _CLUSTERS:
        inner = {"vmSize": "STANDARD_DS2_V2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 2}}
        body = {"location": location, "properties": {"computeType": "AmlCompute", "properties": inner}}
        _put(arm, f"computes/{name}", body)


def _put(arm: Arm, path: str, body: object) -> None:
    answer = arm.call("PUT", path, body, api_version="2024-04-01")
    if answer.status != 201:
        raise RuntimeError(f"{path}: {answer.status} {answer.text}")
