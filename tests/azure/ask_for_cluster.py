"""A program that asks for the compute cluster `cpu` once it is told to, and says what it got, as JSON.

Arguments: subscription, resource group and name of the workspace, and a pipe that has a line when it is told to. The
rest is in the environment.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from azure.identity import DefaultAzureCredential

from tests.azure.compute_world import ObservedTransport
from zenml_azureml.azure.compute.provisioner import ensure_compute
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.specs.compute import ComputeCluster

if __name__ == "__main__":
    subscription, resource_group, workspace, word = sys.argv[1:]
    transport = ObservedTransport(time.sleep)
    credential = DefaultAzureCredential(disable_instance_discovery=True)
    connection = WorkspaceConnection(
        WorkspaceAddress(subscription, resource_group, workspace), lambda: credential, transport
    )
    # What takes long is done before the race: the SDK's imports, the token.
    print(connection.location, flush=True)
    Path(word).read_text()
    target = ensure_compute(connection, ComputeCluster("cpu", size="Standard_DS3_v2", max_instances=4))
    print(json.dumps({"target": asdict(target), "puts": transport.sent.count("PUT compute")}))
