"""The `zenml-azureml` command in this process, on a workspace that is named, as without a ZenML server."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import zenml.logger  # noqa: F401 - takes hold of stdout and stderr where it is first imported: not of a test's
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Environment
from click.testing import CliRunner, Result

from tests.contract.waiting import eventually
from zenml_azureml.cli import main
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.resources import Job


@dataclass(frozen=True)
class Cli:
    """The command, and what it is about.

    Attributes:
        emulator: Where the workspace is.
        client: Another client of it.
    """

    emulator: Emulator
    client: MLClient

    def run(self, *arguments: str, code: int = 0) -> Result:
        """Run the command on the workspace; it has to end with that exit code."""
        with _without_pytests_handlers():
            result = CliRunner().invoke(main, [*arguments, *self.where()])
        assert result.exit_code == code, result.output + repr(result.exception)
        return result

    def where(self) -> list[str]:
        """The options that name the workspace."""
        workspace = self.emulator.context.store.workspaces[0]
        where = ["--subscription", workspace.subscription_id, "--resource-group", workspace.resource_group]
        return [*where, "--workspace", workspace.name]

    def json(self, *arguments: str) -> Any:
        """What it prints with `--json`: nothing else is on stdout."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def submit(self, name: str, *, status: str = "Completed", tags: Mapping[str, str] = {}, **simulated: str) -> Job:
        """A job that is simulated with these variables, once it has a status."""
        variables = {f"SIMULATE_{key.upper()}": value for key, value in simulated.items()}
        environment = Environment(name="train", version="1", image="example.azurecr.io/train:1")
        self.client.jobs.create_or_update(
            command(
                name=name, command="true", environment=environment, environment_variables=variables, tags=dict(tags)
            )
        )
        job = self.emulator.context.store.workspaces[0].find_job(name)
        assert job is not None
        eventually(lambda: job.status == status)
        return job


@contextmanager
def _without_pytests_handlers() -> Iterator[None]:
    """Leave pytest its log: the command sends what ZenML logs to the stderr that it has, which is gone afterwards."""
    root = logging.getLogger()
    before = [(one, one.stream) for one in root.handlers if isinstance(one, logging.StreamHandler)]
    pytests = [handler for handler, stream in before if isinstance(stream, io.StringIO)]
    for handler in pytests:
        root.removeHandler(handler)
    try:
        yield
    finally:
        for handler, stream in before:
            handler.setStream(stream)
        for handler in pytests:
            root.addHandler(handler)


@pytest.fixture
def cli(emulator: Emulator, ml_client: MLClient, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command, signed in as the emulator's application."""
    for name, value in {
        "AZURE_AUTHORITY_HOST": emulator.base_url,
        "AZURE_TENANT_ID": emulator.tenant_id,
        "AZURE_CLIENT_ID": emulator.client_id,
        "AZURE_CLIENT_SECRET": emulator.client_secret,
    }.items():
        monkeypatch.setenv(name, value)
    return Cli(emulator, ml_client)
