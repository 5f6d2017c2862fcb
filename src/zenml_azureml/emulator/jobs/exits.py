"""Exceptions that end a job early; `lifecycle.py` handles them in one place."""

from __future__ import annotations


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
