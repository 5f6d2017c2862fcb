"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from zenml_azureml.exceptions import AzureMLError


class Status(str, Enum):
    """How a check ends."""

    OK = "ok"
    #: Something that only some steps mind, or that will matter later.
    WARNING = "warning"
    FAILED = "failed"
    #: It could not be looked at.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        check: Name of the check.
        status: How it ended.
        found: What is the case, as a sentence or a phrase.
        hint: What to do about it, as sentences; empty if nothing has to be done.
    """

    check: str
    status: Status
    found: str
    hint: str = ""


@dataclass(frozen=True)
class Problem:
    """Why a fact is not known.

    Attributes:
        what: What went wrong, as a sentence.
        hint: What to do about it, as sentences.
    """

    what: str
    hint: str = ""

    @classmethod
    def of(cls, error: AzureMLError) -> Problem:
        """The same, in one line."""
        said = f" Azure: {error.azure_message}" if error.azure_message else ""
        return cls(" ".join(f"{error.what}{said}".split()), error.hint)


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, Status.OK, found)


def warning(check: str, found: str, hint: str) -> Finding:
    """Something that only some steps mind."""
    return Finding(check, Status.WARNING, found, hint)


def failed(check: str, found: str, hint: str) -> Finding:
    """Steps will fail."""
    return Finding(check, Status.FAILED, found, hint)


def unknown(check: str, problem: Problem) -> Finding:
    """It could not be looked at."""
    return Finding(check, Status.UNKNOWN, problem.what, problem.hint)
