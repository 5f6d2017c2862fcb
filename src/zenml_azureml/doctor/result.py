"""Result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.safe_text import one_line


class Status(str, Enum):
    """Status of a check."""

    OK = "ok"
    #: A problem for some steps only, or at a later time.
    WARNING = "warning"
    FAILED = "failed"
    #: The check could not run.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """Result of a check.

    Attributes:
        check: Name of the check.
        status: Status of the check.
        found: Result, as a sentence or a phrase.
        hint: Next steps, as sentences; empty if there are none.
    """

    check: str
    status: Status
    found: str
    hint: str = ""


@dataclass(frozen=True)
class Problem:
    """Reason why a fact is unknown.

    Attributes:
        what: The problem, as a sentence.
        hint: Next steps, as sentences.
    """

    what: str
    hint: str = ""

    @classmethod
    def of(cls, error: AzureMLError) -> Problem:
        """Return an error as a problem, in one line."""
        said = f" Azure: {error.azure_message}" if error.azure_message else ""
        return cls(one_line(f"{error.summary}{said}"), error.hint)


def ok(check: str, found: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(check, Status.OK, found)


def warning(check: str, found: str, hint: str) -> Finding:
    """Return a problem for some steps only."""
    return Finding(check, Status.WARNING, found, hint)


def failed(check: str, found: str, hint: str) -> Finding:
    """Return a problem that makes steps fail."""
    return Finding(check, Status.FAILED, found, hint)


def unknown(check: str, problem: Problem) -> Finding:
    """Return that a check could not run."""
    return Finding(check, Status.UNKNOWN, problem.what, problem.hint)
