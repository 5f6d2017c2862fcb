"""A workspace for one test, and the environment variables that lead to it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.local import shell_env
from zenml_azureml.emulator.local.instance import Options, Running
from zenml_azureml.emulator.services.entra.clouds import CLOUDS

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


@dataclass(frozen=True)
class EmulatedWorkspace:
    """A workspace that only one test uses.

    Attributes:
        emulator: The emulator that it is in.
        subscription_id: Its subscription.
        resource_group: Its resource group.
        name: Its name.
        environment: The environment variables of the test, for programs that it starts with an environment of
            their own.
    """

    emulator: Emulator = field(repr=False)
    subscription_id: str
    resource_group: str
    name: str
    environment: dict[str, str] = field(repr=False)

    def log(self, job: str) -> str:
        """Return all that a job has logged.

        Args:
            job: Name of the job.

        Raises:
            KeyError: If the workspace has no such job.
        """
        return self.emulator.run(self._log(job))

    async def _log(self, name: str) -> str:
        found = self.emulator.context.store.find_workspace(self.subscription_id, self.resource_group, self.name)
        job = found.find_job(name) if found else None
        if job is None:
            raise KeyError(name)
        files = sorted(path for path in job.log_folder.rglob("*") if path.is_file())
        return "".join(path.read_text(encoding="utf-8", errors="replace") for path in files)


@contextmanager
def new_workspace(emulator: Emulator) -> Iterator[EmulatedWorkspace]:
    """Create a workspace, and set the variables with which `DefaultAzureCredential` and the SDK find it.

    Args:
        emulator: The emulator.
    """
    first = emulator.context.store.workspaces[0]
    name = WorkspaceName(first.subscription_id, first.resource_group, f"test-{uuid.uuid4().hex[:12]}", first.location)
    emulator.add_workspace(name)
    try:
        with pytest.MonkeyPatch.context() as patch:
            running = _running(emulator, name)
            values = shell_env.variables(running, shell_env.ca_bundle(running, os.environ), os.environ)
            # The SDK sets it and leaves it set. What is set here is restored.
            values["AZUREML_CURRENT_CLOUD"] = _cloud(emulator)
            for unset in shell_env.unset_names(values):
                patch.delenv(unset, raising=False)
            for key, value in values.items():
                patch.setenv(key, value)
            yield EmulatedWorkspace(emulator, name.subscription_id, name.resource_group, name.name, values)
    finally:
        emulator.remove_workspace(name)


def client_of(workspace: EmulatedWorkspace) -> MLClient:
    """Return the SDK's client of a workspace.

    Args:
        workspace: The workspace; the environment variables lead to its emulator.
    """
    from azure.ai.ml import MLClient
    from azure.identity import ClientSecretCredential

    emulator = workspace.emulator
    credential = ClientSecretCredential(
        emulator.tenant_id,
        emulator.client_id,
        emulator.client_secret,
        authority=emulator.base_url,
        disable_instance_discovery=True,
    )
    return MLClient(
        credential,
        workspace.subscription_id,
        workspace.resource_group,
        workspace.name,
        enable_telemetry=False,
        polling_interval=0.1,  # seconds between two looks at a long-running operation; the SDK's default is 30
    )


def _cloud(emulator: Emulator) -> str:
    return next(name for name, cloud in CLOUDS.items() if cloud == emulator.context.cloud)


def _running(emulator: Emulator, name: WorkspaceName) -> Running:
    """Return the description of an emulator in this process, with another workspace as its own."""
    context = emulator.context
    return Running(
        state=context.folder,
        pid=os.getpid(),
        base_url=emulator.base_url,
        local_url=emulator.local_url,
        proxy_url=emulator.proxy_url,
        started_at="",
        ca_file=emulator.ca_file,
        ca_bundle=emulator.ca_bundle,
        tenant_id=emulator.tenant_id,
        client_id=emulator.client_id,
        federated_token_file=emulator.federated_token_file,
        options=Options(
            subscription_id=name.subscription_id,
            resource_group=name.resource_group,
            workspace_name=name.name,
            location=name.location,
            cloud=_cloud(emulator),
        ),
    )
