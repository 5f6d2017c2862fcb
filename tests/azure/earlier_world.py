"""A step with two step runs, and an operator on an emulated workspace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from azure.core.credentials import TokenCredential

from tests.contract.arm import Arm
from tests.contract.test_scenarios import ready, submit
from tests.e2e.requests_of import requests_of
from tests.unit.lifecycle.world import Clock
from zenml_azureml import tags
from zenml_azureml.azure.client import Workspace
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.lifecycle.earlier_jobs import EarlierJobs
from zenml_azureml.lifecycle.execution import StepExecution
from zenml_azureml.lifecycle.predecessor_search import Search
from zenml_azureml.lifecycle.state import StepPhase, StepState
from zenml_azureml.run_store import step_runs
from zenml_azureml.settings.models import AzureMLStepOperatorSettings
from zenml_azureml.settings.step_plan import plan_of

RUN, OTHER_RUN = uuid4(), uuid4()
STARTED = datetime(2026, 1, 1)
BY_CODE = SimpleNamespace(source="builtins.ValueError", message="a mistake")
ENDED_ITSELF = SimpleNamespace(
    source="zenml_azureml.exceptions.AzureMLError",
    message="The Azure ML job of step `train` was stopped: it ended itself, because its step was over on the ZenML "
    "server: its run is failed, and none of its steps is.",
)
BY_OPERATOR = SimpleNamespace(source="zenml_azureml.exceptions.AzureMLError", message="the node has failed")


class World:
    """An operator on an emulated workspace, a step with two step runs, and what the server returns of the first."""

    def __init__(
        self,
        emulator: Emulator,
        credential: TokenCredential,
        monkeypatch: pytest.MonkeyPatch,
        name: WorkspaceName = WorkspaceName(),  # noqa: B008 - it cannot be changed
    ) -> None:
        emulator.context.settings.simulated_seconds = 3600
        self.emulator, self.arm, self.clock = emulator, ready(Arm(emulator)), Clock()
        self._before = len(requests_of(emulator))
        address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
        self._workspace = Workspace(address, lambda: credential, self.clock)
        self.settings = AzureMLStepOperatorSettings()
        self.first, self.second = self.step_run(1), self.step_run(2)
        self.earlier, self.listings = [self.first], 0
        self.earlier_jobs = EarlierJobs(cast("Any", self), self.clock)

        def earlier(step_run: Any) -> list[Any]:
            self.listings += 1
            assert step_run is self.second
            return self.earlier

        monkeypatch.setattr(step_runs, "earlier", earlier)

    def workspace(self, _settings: AzureMLStepOperatorSettings) -> Workspace:
        return self._workspace

    def of_step(self, _step_run: Any) -> Workspace:
        return self._workspace

    def step(self, step_run: Any) -> StepExecution:
        return StepExecution(step_run, plan_of(self.settings), StepState(StepPhase.QUEUED, ()))

    def step_run(self, version: int) -> Any:
        return SimpleNamespace(
            id=uuid4(),
            name="train",
            version=version,
            pipeline_run_id=RUN,
            start_time=STARTED + timedelta(hours=version),
            run_metadata={},
            exception_info=None,
        )

    def submit(self, name: str, step_run_id: UUID | None = None, *, run: UUID = RUN, listed: bool = True) -> str:
        job_tags = {tags.STEP: "train", tags.STEP_RUN_ID: str(step_run_id or self.first.id), tags.RUN_ID: str(run)}
        submit(self.arm, name, tags={**job_tags, **({tags.of_run(run): ""} if listed else {})})
        return name

    def end(self, check: Callable[[], None] = lambda: None) -> Search | None:
        return self.earlier_jobs.end(self.step(self.second), check)

    def end_and_look_again(self) -> None:
        if (search := self.end()) is not None:
            search.look_again()

    def requests(self) -> list[tuple[str, str]]:
        """What the operator has requested about jobs; the test itself only makes some, and asks for their status."""
        served = requests_of(self.emulator)[self._before :]
        of_jobs = [(entry["method"], entry["path"].rpartition("/jobs")) for entry in served]
        return [(method, path) for method, (_, found, path) in of_jobs if found and method != "PUT"]
