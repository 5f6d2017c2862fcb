"""A workspace whose jobs have secrets, and a key vault for them."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from azure.core.credentials import TokenCredential

from tests.contract.arm import Arm
from tests.contract.test_vault import CLUSTER
from tests.e2e.requests_of import requests_of
from tests.vault_access import grant, own_vault
from zenml_azureml.azure.client import Workspace
from zenml_azureml.azure.compute.placement import Demands
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.azure.jobs.submitter import SubmittedJob
from zenml_azureml.clock import SystemTime
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.secrets.classification import certain_secrets, secret_names
from zenml_azureml.specs.compute import ExistingCompute, Serverless
from zenml_azureml.specs.job import JobOptions, JobSpec

WRITER, READER = "Key Vault Secrets Officer", "Key Vault Secrets User"
VARIABLES = {"ZENML_STORE_API_TOKEN": "hush-hush", "ZENML_STORE_URL": "https://zenml.example"}
IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/trainer"


class FastTime(SystemTime):
    """A time that passes where somebody waits, and at once."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Bench:
    """A workspace of an emulator, with a cluster that has an identity."""

    def __init__(self, emulator: Emulator, credential: TokenCredential) -> None:
        self.emulator = emulator
        self.arm = Arm(emulator)
        self.arm.call("PUT", "computes/gpus", CLUSTER, api_version="2024-04-01")
        body = self.arm.call("GET", "computes/gpus", api_version="2024-04-01").body
        self.principal = str(body["identity"]["principalId"])
        self.vault = own_vault(emulator)
        name = WorkspaceName()
        address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
        self.time = FastTime()
        self.workspace = Workspace(address, lambda: credential, self.time)

    @property
    def slept(self) -> list[float]:
        """The pauses, in seconds."""
        return self.time.slept

    def let_all(self) -> None:
        """Let the operator write, and the cluster's jobs read."""
        grant(self.emulator, WRITER)
        grant(self.emulator, READER, self.principal)

    def submit(
        self, name: str = "job", *, serverless: bool = False, variables: dict[str, str] | None = None, **options: Any
    ) -> SubmittedJob:
        own = options.pop("environment_variables", {})
        every = {**(VARIABLES if variables is None else variables), **own}
        request = JobSpec(
            *(name, name, "tests", "image", "python train.py"),
            environment_variables=VARIABLES if variables is None else variables,
            tags={"zenml_step_run_id": name},
            options=JobOptions(environment_variables=own, **options),
            own_tag="zenml_step_run_id",
            secret_names=secret_names(every),
            certain_secret_names=certain_secrets(every),
            secret_tags={"zenml_step_run_id": name},
        )
        return self.workspace.submit(request, Serverless() if serverless else ExistingCompute("gpus"), Demands())

    def job(self, name: str = "job") -> dict[str, Any]:
        """A job as Azure ML has it."""
        return self.emulator.context.store.workspaces[0].jobs[name].properties

    def asked(self, begin: int = 0) -> list[tuple[str, str]]:
        """The requests to vaults, and about them."""
        return [
            (entry["method"], entry["path"].rpartition("/")[2])
            for entry in requests_of(self.emulator)[begin:]
            if "/secrets" in entry["path"] or "/Microsoft.Key" in entry["path"]
        ]

    def fail(self, path: str, times: int = 1, method: str = ".*", **fault: Any) -> None:
        answer = self.arm.call("POST", "/_emulator/faults", {"path": path, "method": method, "times": times, **fault})
        assert answer.status == 201, answer.text


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was warned of."""
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
