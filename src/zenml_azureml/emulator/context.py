"""What every handler of the emulator can reach, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from zenml_azureml.emulator.clock import Clock, SystemClock
from zenml_azureml.emulator.runtimes.base import Runtime
from zenml_azureml.emulator.state import Store


@dataclass
class Settings:
    """What `POST /_emulator/settings` can change while the emulator runs. All times in seconds.

    Attributes:
        latency: Added to every answer.
        compute_provisioning: How long creating, starting, stopping or deleting a compute takes.
        job_preparation: How long a job is Starting or Preparing before it runs, a free node given.
        page_size: Items on one page of a listing.
    """

    latency: float = 0.0
    compute_provisioning: float = 2.0
    job_preparation: float = 0.5
    page_size: int = 20


@dataclass
class Context:
    """The emulator's parts, as its handlers see them.

    Attributes:
        folder: The state folder; nothing is written outside of it.
        base_url: `https://127.0.0.1:PORT`, without a slash at the end.
        store: The workspaces and what is in them.
        runtime: Executes the jobs.
        clock: The time.
        settings: What can be changed while it runs.
    """

    folder: Path
    base_url: str
    store: Store
    runtime: Runtime
    clock: Clock = field(default_factory=SystemClock)
    settings: Settings = field(default_factory=Settings)


CONTEXT: web.AppKey[Context] = web.AppKey("context", Context)
