"""An orchestrator that runs the steps of a static pipeline side by side, each in a process of its own.

As Kubernetes does. ZenML's own orchestrators that need nothing to be installed run one step after the other.
"""

from __future__ import annotations

import multiprocessing
import os
from typing import Any
from uuid import uuid4

from zenml.client import Client
from zenml.enums import ExecutionMode
from zenml.orchestrators.local.local_orchestrator import LocalOrchestrator, LocalOrchestratorFlavor
from zenml.utils.env_utils import temporary_environment


class ParallelOrchestrator(LocalOrchestrator):
    """Starts all steps at once and waits for all of them. Its own part in the execution modes it leaves out."""

    def submit_pipeline(
        self, snapshot: Any, stack: Any, base_environment: Any, step_environments: Any, placeholder_run: Any = None
    ) -> None:
        self._orchestrator_run_id = str(uuid4())
        fork = multiprocessing.get_context("fork")
        processes = []
        for name, step in snapshot.step_configurations.items():
            processes.append(fork.Process(target=self._run, args=(step, step_environments[name])))
            processes[-1].start()
        for process in processes:
            process.join()

    def _run(self, step: Any, environment: Any) -> None:
        try:
            Client().zen_store.reinitialize_session()  # type: ignore[attr-defined]  # not the connections of the others
            with temporary_environment(environment):
                self.run_step(step=step)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the step's end
            print(f"STEP {type(error).__name__}: {error}", flush=True)
            os._exit(1)
        os._exit(0)

    @property
    def supported_execution_modes(self) -> list[ExecutionMode]:
        return list(ExecutionMode)


class ParallelOrchestratorFlavor(LocalOrchestratorFlavor):
    @property
    def name(self) -> str:
        return "parallel"

    @property
    def implementation_class(self) -> type[ParallelOrchestrator]:
        return ParallelOrchestrator
