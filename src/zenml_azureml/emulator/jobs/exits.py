"""How a job's life can be cut short: raised where it happens, told in one place."""

from __future__ import annotations


class CanceledError(Exception):
    """Somebody asked for the job's end, or its time ran out."""


class FailedError(Exception):
    """The job has failed.

    Args:
        code: Of the failure in run history, e.g. `UserError`.
        message: Azure ML's words for it.
        component: Which of Azure ML's parts says so.
    """

    def __init__(self, code: str, message: str, component: str = "CommonRuntime") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.component = component


class RestartedError(Exception):
    """The job lost its nodes, and begins anew."""
