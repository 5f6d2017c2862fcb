"""What the SDK's tests expect: a workspace with three clusters, and registries."""

from __future__ import annotations

from tests.contract.arm import Arm
from zenml_azureml.emulator import Emulator

_REGISTRIES = ("testFeed", "UnsecureTest-testFeed", "sdk-test", "UnsecureTest-hello-world")
_CLUSTERS = ("testCompute", "cpu-cluster", "gpu-cluster")


def prepare(emulator: Emulator) -> None:
    """Create what the tests name without creating it."""
    arm = Arm(emulator)
    location = emulator.context.store.workspaces[0].location
    for name in _CLUSTERS:
        inner = {"vmSize": "STANDARD_DS2_V2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 2}}
        body = {"location": location, "properties": {"computeType": "AmlCompute", "properties": inner}}
        _put(arm, f"computes/{name}", body)
    scope = arm.workspace.rpartition("/workspaces/")[0]
    for name in _REGISTRIES:
        _put(arm, f"{scope}/registries/{name}", {"location": location, "properties": {}})


def _put(arm: Arm, path: str, body: object) -> None:
    answer = arm.call("PUT", path, body, api_version="2024-04-01")
    if answer.status != 201:
        raise RuntimeError(f"{path}: {answer.status} {answer.text}")
