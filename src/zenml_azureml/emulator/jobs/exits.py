"""Ends of jobs, and the exceptions that end one early: `lifecycle.py` handles them in one place."""

from __future__ import annotations

import asyncio
from datetime import datetime

from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.types import Json


class CanceledError(Exception):
    """The job was cancelled, or its time ran out."""


class FailedError(Exception):
    """The job has failed.

    Args:
        code: Of the failure in run history, e.g. `UserError`.
        message: Azure ML's message.
        component: Component of Azure ML that reports it.
    """

    def __init__(self, code: str, message: str, component: str = "CommonRuntime") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.component = component


class RestartedError(Exception):
    """The job lost its nodes, and restarts."""


def end_job(job: Job, now: datetime, status: str, error: Json | None = None) -> None:
    """Set the end of a job.

    Args:
        job: The job.
        now: The time.
        status: `Completed`, `Failed` or `Canceled`.
        error: Failure in run history.
    """
    job.ended_at = now
    job.status = status
    job.error = error
    if job.started_at is not None:
        job.properties["properties"]["StartTimeUtc"] = utc(job.started_at)
        job.properties["properties"]["EndTimeUtc"] = utc(job.ended_at)


def utc(moment: datetime) -> str:
    """Return a time as `2026-08-25 13:16:10`, as recorded in StartTimeUtc and EndTimeUtc."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


async def end_visits(job: Job) -> None:
    """End the shells that users have opened in a job."""
    for visit in tuple(job.visits):
        visit.cancel()
    await asyncio.gather(*job.visits, return_exceptions=True)
