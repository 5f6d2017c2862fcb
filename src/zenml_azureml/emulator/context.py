"""Shared state of the emulator, available to every handler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from zenml_azureml.emulator.clock import Clock, SystemClock
from zenml_azureml.emulator.http.bounds import MOST_LINES, PositiveSeconds, Seconds
from zenml_azureml.emulator.local.keys import Keys
from zenml_azureml.emulator.persistence.journal import Journal
from zenml_azureml.emulator.runtimes.base import Runtime
from zenml_azureml.emulator.scenarios.armed import Scenarios
from zenml_azureml.emulator.services.entra.clouds import CLOUDS, EmulatedCloud
from zenml_azureml.emulator.services.entra.identity import Identity
from zenml_azureml.emulator.state import Store


class Settings(BaseModel):
    """Settings that `POST /_emulator/settings` can change while the emulator runs. All times in seconds.

    Attributes:
        latency: Delay of every answer.
        compute_provisioning: Time for creating, starting, stopping or deleting a compute.
        job_preparation: Time for which a job is Starting or Preparing before it runs, if a node is free.
        job_finalization: Time for which a job is Finalizing after its command has ended.
        page_size: Number of items on one page of a listing.
        rate_limits: True if Resource Manager refuses requests above its limits (`http/rate_limits.py`).
        token_lifetime: Lifetime of a new access token.
        sas_lifetime: Lifetime of a new SAS URL.
        simulated_seconds: Duration of a simulated job, unless the job sets it.
        simulated_lines: Number of lines that such a job logs.
        simulated_exit_code: Exit code of such a job.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    latency: Seconds = 0.0
    compute_provisioning: Seconds = 2.0
    job_preparation: Seconds = 0.5
    job_finalization: Seconds = 0.2
    page_size: int = Field(20, ge=1, le=100_000, strict=True)
    rate_limits: bool = Field(True, strict=True)
    token_lifetime: PositiveSeconds = 3600.0
    sas_lifetime: PositiveSeconds = 8 * 3600.0
    simulated_seconds: Seconds = 0.0
    simulated_lines: int = Field(1, ge=0, le=MOST_LINES, strict=True)
    simulated_exit_code: int = Field(0, ge=-64, le=255, strict=True)


class Closing(Protocol):
    """Something that has to be ended."""

    async def close(self) -> None:
        """End it."""


@dataclass
class Context:
    """Parts of the emulator that its handlers use.

    Attributes:
        folder: The state folder; nothing is written outside of it.
        base_url: `https://127.0.0.1:PORT`, without a slash at the end.
        keys: The state folder's secrets beside those of the application.
        identity: The tenant, and the only application that can sign in.
        store: The workspaces and their contents.
        runtime: Executes the jobs.
        clock: The clock.
        settings: Settings that can change while it runs.
        ca_bundle: Certificates with which its clients and jobs trust it. None if no job has to reach it.
        cloud: The emulated Azure cloud.
        scenarios: Failures to inject into jobs.
        on_request: Called with method, path and body of each request, for tests that check all that was sent. Bodies
            contain secrets, and are not stored here.
        tasks: Background tasks; cancelled when the emulator is closed or reset.
        journal: Saves changes of the state; None if the state does not last.
        proxy_url: URL of its proxy for Azure's public hosts, with the password; None if it has none.
        mlflow: The runs of each workspace on its MLflow server, by the workspace's id; made when they are first needed.
    """

    folder: Path
    base_url: str
    identity: Identity
    keys: Keys
    store: Store
    runtime: Runtime
    clock: Clock = field(default_factory=SystemClock)
    settings: Settings = field(default_factory=Settings)
    ca_bundle: Path | None = None
    cloud: EmulatedCloud = CLOUDS["AzureCloud"]
    scenarios: Scenarios = field(default_factory=Scenarios)
    on_request: Callable[[str, str, bytes], None] | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    mlflow: dict[str, Closing] = field(default_factory=dict)
    journal: Journal | None = None
    proxy_url: str | None = field(default=None, repr=False)

    @property
    def tenant_id(self) -> str:
        """The Microsoft Entra tenant of everything in it."""
        return self.identity.tenant_id

    @property
    def client_id(self) -> str:
        """The application that can sign in."""
        return self.identity.client_id

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` in the background, until it is done or the emulator ends it."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if self.journal is not None:
            self.journal.mark()

    async def end_all(self) -> None:
        """Stop all background tasks, all jobs and what they have logged to."""
        tasks = tuple(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.runtime.close()
        servers = tuple(self.mlflow.values())
        self.mlflow.clear()
        await asyncio.gather(*(server.close() for server in servers))


CONTEXT: web.AppKey[Context] = web.AppKey("context", Context)
