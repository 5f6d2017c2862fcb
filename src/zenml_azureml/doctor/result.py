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
        do_next: What to do about it, as sentences; empty if nothing has to be done.
    """

    check: str
    status: Status
    found: str
    do_next: str = ""


@dataclass(frozen=True)
class Problem:
    """Why a fact is not known.

    Attributes:
        what: What went wrong, as a sentence.
        do_next: What to do about it, as sentences.
    """

    what: str
    do_next: str = ""

    @classmethod
    def of(cls, error: AzureMLError) -> Problem:
        """The same, in one line."""
        said = f" Azure: {error.azure_says}" if error.azure_says else ""
        return cls(" ".join(f"{error.what}{said}".split()), error.do_next)


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, Status.OK, found)


def warning(check: str, found: str, do_next: str) -> Finding:
    """Something that only some steps mind."""
    return Finding(check, Status.WARNING, found, do_next)


def failed(check: str, found: str, do_next: str) -> Finding:
    """Steps will fail."""
    return Finding(check, Status.FAILED, found, do_next)


def unknown(check: str, problem: Problem) -> Finding:
    """It could not be looked at."""
    return Finding(check, Status.UNKNOWN, problem.what, problem.do_next)
