"""One step, its job and the calls that the lifecycle makes: what its unit tests share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

from zenml_azureml import AzureMLStepOperatorSettings
from zenml_azureml.azure.jobs.handle import JobHandle
from zenml_azureml.lifecycle.action_executor import ActionExecutor
from zenml_azureml.lifecycle.azure_jobs import AzureJobs
from zenml_azureml.lifecycle.canceller import Canceller
from zenml_azureml.lifecycle.controller import StepController
from zenml_azureml.lifecycle.execution import Executions, StepExecution
from zenml_azureml.lifecycle.publisher import Publisher
from zenml_azureml.lifecycle.recovery import Attempt
from zenml_azureml.lifecycle.right_size import Machine
from zenml_azureml.lifecycle.state import StepPhase, StepState
from zenml_azureml.lifecycle.step_checks import StepChecks
from zenml_azureml.settings.step_plan import plan_of

#: So many pauses are a wait without an end.
MOST_PAUSES = 100_000


class Clock:
    """Time that passes only where it is waited for; `happens` is what happens meanwhile."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses = 0
        self.happens: Callable[[float], None] = lambda now: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self._count()
        self.now += seconds
        self.happens(self.now)

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        self._count()
        if not event.is_set():
            self.sleep(seconds or 0)
        return event.is_set()

    def _count(self) -> None:
        self.pauses += 1
        assert self.pauses < MOST_PAUSES, "it waits without an end"


class Jobs:
    """The Azure side of one job; `cancel` ends it."""

    def __init__(self, time: Any) -> None:
        self.job = JobHandle("zenml-1", status="Running", time=time)
        self.happened: list[str] = []

    def workspace(self, _step: StepExecution, _target: int = 0) -> Any:
        return SimpleNamespace(release=lambda name: self.happened.append(f"release {name}"))

    def watch(self, _step: StepExecution, *, quietly: bool = False) -> JobHandle:
        return self.job

    def cancel(self, step: StepExecution) -> bool:
        self.happened.append(f"cancel {step.job_name}")
        self.end("Canceled")
        return True

    def how_to_cancel(self, step: StepExecution) -> str:
        return f"To cancel it: az ml job cancel --name {step.job_name}"

    def machine(self, _step: StepExecution) -> Machine:
        return Machine(cast("Any", None), "")

    def metrics(self, _step: StepExecution) -> dict[str, float | str]:
        return {}

    def written_data(self, _step: StepExecution, _job: JobHandle) -> dict[str, object]:
        return {}

    def drop_secret(self, _step: StepExecution, *, in_background: bool = False) -> None:
        pass

    def release(self, _step: StepExecution) -> None:
        pass

    def release_earlier(self, step: StepExecution, job_name: str) -> None:
        AzureJobs.release_earlier(cast("Any", self), step, job_name)

    def end(self, status: str) -> None:
        self.job.status = status
        self.job.settle()


class World:
    """A step with a job, and the parts that control it.

    Args:
        time: The clock.
        settings: Settings of the step.
    """

    def __init__(self, time: Any, **settings: Any) -> None:
        self.time = time
        self.jobs = Jobs(time)
        self.step_run = cast(
            "Any",
            SimpleNamespace(
                id=uuid4(),
                pipeline_run_id=uuid4(),
                name="train",
                run_metadata={},
                config=SimpleNamespace(command=["true"]),
            ),
        )
        plan = plan_of(AzureMLStepOperatorSettings(**settings))
        self.executions = Executions(cast("Any", SimpleNamespace(plan=lambda _step_run: plan)))
        self.step = self.executions.of(self.step_run)
        self.step.state = StepState(StepPhase.QUEUED, (Attempt(0, "zenml-1", place="serverless compute"),))
        jobs = cast("Any", self.jobs)
        self.canceller = Canceller(jobs, time)
        self.publisher = publisher = Publisher(uuid4(), self.executions, jobs, time)
        self.checks = checks = StepChecks(self.executions, time)
        self.executor = ActionExecutor(
            self.executions,
            jobs,
            cast("Any", SimpleNamespace()),
            self.canceller,
            publisher,
            cast("Any", SimpleNamespace(note_end=lambda _step_run: None)),
            checks,
            time,
        )
        self.controller = StepController(self.executor)
