"""The life of a pipeline's job: NotStarted, Running, and its end; its nodes are jobs of their own."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zenml_azureml.emulator.context import Context
from zenml_azureml.emulator.jobs.lifecycle import live
from zenml_azureml.emulator.jobs.pipelines.bindings import BindingError, bound_output, order, upstream
from zenml_azureml.emulator.jobs.pipelines.nodes import nested_pipeline, node_id, node_job
from zenml_azureml.emulator.local.private_files import in_words
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.storage.files import part_of_job
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

_log = logging.getLogger(__name__)

#: The log of a pipeline, in the folder `logs` of its files. azure-ai-ml reads it.
EXECUTION_LOG = "azureml/executionlogs.txt"

#: Makes the job of a node from its name and its `properties` as sent, and adds it to the workspace.
Accept = Callable[[str, Json], Job]


@dataclass(frozen=True)
class Node:
    """A node of a pipeline.

    Attributes:
        sent: The node as it was sent, or as the component has it whose node it is.
        spec: Specification of its component.
        nodes: Its own nodes by name, if it is a pipeline; else empty.
    """

    sent: Mapping[str, Any]
    spec: Mapping[str, Any]
    nodes: Mapping[str, Node] = field(default_factory=dict)


@dataclass
class PipelineRun:
    """A pipeline that runs.

    Attributes:
        context: The emulator.
        workspace: The workspace of the pipeline.
        job: The pipeline's job.
        nodes: Its nodes by name.
        accept: Makes the jobs of nodes.
    """

    context: Context
    workspace: Workspace
    job: Job
    nodes: Mapping[str, Node]
    accept: Accept
    _jobs: dict[str, Job] = field(default_factory=dict)
    _tasks: dict[asyncio.Task[None], str] = field(default_factory=dict)

    async def live(self) -> None:
        """Take the pipeline from its acceptance to its end."""
        try:
            self.job.folder.mkdir(parents=True, exist_ok=True)
            await self._stopped(self.context.settings.job_preparation / 2)
            if not self.job.cancel_requested.is_set():
                self.job.started_at, self.job.status = self.context.clock.now(), "Running"
                await self._run()
            self._end()
        except BindingError as error:
            self._fail("UserError", str(error))
        except OSError as error:
            self._fail("SystemError", in_words(error, self.context.folder))
        except Exception as error:  # noqa: BLE001 - a pipeline that cannot be run is a failed one
            _log.exception("Pipeline %s could not be run", self.job.name)
            self._fail("SystemError", f"{type(error).__name__}: {error}")
        finally:
            for job in self._jobs.values():
                job.cancel_requested.set()

    async def _run(self) -> None:
        waiting = order({name: node.sent for name, node in self.nodes.items()})
        stop = asyncio.ensure_future(self.job.cancel_requested.wait())
        try:
            while True:
                if not self._is_stopping():
                    for name in [name for name in waiting if self._is_ready(name)]:
                        waiting.remove(name)
                        self._start(name)
                if not self._tasks:
                    return
                await asyncio.wait({*self._tasks, stop}, return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in self._tasks if task.done()]:
                    self._complete(self._tasks.pop(task))
                if self._is_stopping():
                    for job in self._jobs.values():
                        job.cancel_requested.set()
                    if stop.done() and self._tasks:
                        await asyncio.wait(self._tasks)
        finally:
            stop.cancel()

    async def _stopped(self, seconds: float) -> None:
        """Wait, but not longer than until the pipeline is canceled."""
        waits = [asyncio.ensure_future(self.context.clock.sleep(seconds))]
        waits.append(asyncio.ensure_future(self.job.cancel_requested.wait()))  # type: ignore[arg-type]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _is_ready(self, name: str) -> bool:
        return all(
            other in self._jobs and self._jobs[other].status == "Completed" for other in upstream(self.nodes[name].sent)
        )

    def _is_stopping(self) -> bool:
        """True if no further node starts, and those that run are canceled."""
        return self.job.cancel_requested.is_set() or (bool(self._failed) and not continues(self.job.properties))

    @property
    def _failed(self) -> list[str]:
        return [name for name, job in self._jobs.items() if job.is_terminal and job.status != "Completed"]

    def _start(self, name: str) -> None:
        job_name, node = str(uuid.uuid4()), self.nodes[name]
        sent = node_job(
            node.sent,
            node.spec,
            node_name=name,
            job_name=job_name,
            pipeline=self.job.properties,
            pipeline_name=self.job.name,
            datastore=default_datastore(self.job.properties),
            output_of=self._output_of,
        )
        self._note(f"Submitting 1 runs, first five are: {node_id(name)}:{job_name}")
        if node.nodes:
            sent = nested_pipeline(sent, {inner: one.sent for inner, one in node.nodes.items()}, self.job.properties)
        self._jobs[name] = job = self.accept(job_name, sent)
        if node.nodes:
            life = PipelineRun(self.context, self.workspace, job, node.nodes, self.accept).live()
        else:
            life = live(self.context, self.workspace, job)
        self._tasks[self.context.spawn(life)] = name

    def _complete(self, name: str) -> None:
        """Note the end of a node; what it has written for the pipeline is an output of the pipeline."""
        job = self._jobs[name]
        self._note(f"Completing processing run id {job.name}.")
        for output, asset in job.output_assets.items():
            result = bound_output(self.nodes[name].sent, output)
            if result is not None and result in self.job.properties["outputs"]:
                self.job.output_assets[result] = asset

    def _output_of(self, node: str, output: str) -> tuple[str, str] | None:
        found = self._jobs[node].properties["outputs"].get(output) if node in self._jobs else None
        return (found["jobOutputType"], found["uri"]) if found else None

    def _end(self) -> None:
        if self.job.cancel_requested.is_set():
            self._finish("Canceled")
        elif self._failed:
            names = ", ".join(f"{name} ({self._jobs[name].name})" for name in self._failed)
            # Guess: code and message.
            self._fail(
                "UserError", f"Pipeline has failed child jobs. Failed nodes: {names}. See their logs for details."
            )
        else:
            self._note("Finishing experiment: no runs left and nothing to schedule.")
            self._finish("Completed")

    def _fail(self, code: str, message: str) -> None:
        self.job.error = {"code": code, "message": message, "component": "Pipeline"}
        self._finish("Failed")

    def _finish(self, status: str) -> None:
        self.job.ended_at = self.context.clock.now()
        self.job.status = status

    def _note(self, line: str) -> None:
        """Add a line to the pipeline's log. Guess: the file and the lines are those that users quote in public."""
        log = part_of_job(self.job, "logs") / EXECUTION_LOG
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"[{self.context.clock.now():%Y-%m-%d %H:%M:%SZ}] {line}\n")


def continues(properties: Mapping[str, Any]) -> bool:
    """True if the nodes that do not need a failed one still run.

    Recorded: a pipeline without the setting has the property `azureml.continue_on_step_failure` with the value True.

    Args:
        properties: `properties` of the pipeline's job.
    """
    sent = (properties["settings"] or {}).get("continue_on_step_failure")
    return True if sent is None else str(sent).lower() == "true"


def default_datastore(properties: Mapping[str, Any]) -> str:
    """Return the datastore of outputs that name none.

    Args:
        properties: `properties` of the pipeline's job.
    """
    sent = (properties["settings"] or {}).get("default_datastore")
    return str(sent or "workspaceblobstore").removeprefix("azureml:").rpartition("/")[2]
