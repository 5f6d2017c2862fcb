"""Why a job failed: recognised from what Azure ML, the job's own log and the step itself say. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from zenml_azureml.azure.failures.rules import (
    COMPUTE_FAILED,
    KILLED,
    NO_CAPACITY,
    PREEMPTED,
    QUOTA,
    SAID_BY_AZURE,
    SAID_BY_PROGRAM,
    SERVICE_FAULT,
    Cause,
    ended_itself,
)
from zenml_azureml.azure.failures.survived_errors import without_survived_errors
from zenml_azureml.azure.logs.frames import with_users_frames
from zenml_azureml.azure.logs.tail import LogTail
from zenml_azureml.contract.own_end import EXIT_CODES

#: So many of the last lines of a log are taken for what the program says about its end.
_LAST_WORDS = 5

#: So many lines of a log an error shows at the most.
_LONGEST_LOG = 40

_MEND = "Mend what the log shows, and run the pipeline again."
_LOOK = "The step's code did not get to report an error: look at the job's log and, in Studio, at its `system_logs`."

_EXIT_CODE = re.compile(r"exited with status code (-?\d+)")

#: Azure ML's words for the end of a command, and after them what the command itself has printed.
#: Source: Azure/azureml-examples#2614, MicrosoftDocs/azure-docs#105903.
_WORDS_AND_LOG = re.compile(r"(.*?User process .*?exited with status code -?\d+.*?)\s*Error: ?(.*)", re.DOTALL)


@dataclass(frozen=True)
class FailedJob:
    """What is known of a job that has failed.

    Attributes:
        message: What run history says of the failure; empty where it says nothing.
        code: The code of it, e.g. `UserError`.
        log_tail: The last lines of the job's log.
        reported: What the step's own code has reported of its end, e.g. `ValueError: no such thing`; empty for nothing.
        is_command: Whether it runs a command of the user's that reports nothing but its exit code.
        is_named: Whether the message, if it is about a process, is about that of the log.
        exception: What the last traceback in the log ends with, also where that has begun before its last lines.
        ended_itself: Why the job has ended itself, as its log says; empty if it does not.
    """

    message: str = ""
    code: str = ""
    log_tail: Sequence[str] = ()
    reported: str = ""
    is_command: bool = False
    is_named: bool = True
    exception: str = ""
    ended_itself: str = ""


def split_message(message: str) -> tuple[str, str]:
    """Tell Azure's own words apart from the end of the job's log that Azure repeats after them.

    Args:
        message: What run history says of a failure.

    Returns:
        Azure's own words, and what it repeats of the log, without errors that the process has survived; empty where
        there is none of it.
    """
    found = _WORDS_AND_LOG.fullmatch(message)
    return (found[1], "\n".join(without_survived_errors(found[2].splitlines()))) if found else (message, "")


def exit_code_of(message: str) -> int | None:
    """The exit code of the job's command, negative or above 128 for a signal; None if Azure tells none."""
    found = _EXIT_CODE.search(message)
    return int(found[1]) if found else None


def signal_of(exit_code: int) -> str:
    """The signal that ended a command, e.g. `SIGKILL`; empty if none did.

    Args:
        exit_code: Of the command: `-9` as Python tells a signal, or `137` as shells and Docker do.
    """
    try:
        return signal.Signals(-exit_code if exit_code < 0 else exit_code - 128).name
    except ValueError:
        return ""


def cause_of(job: FailedJob) -> Cause:
    """Why a job failed.

    Args:
        job: What is known of it.

    Returns:
        The cause; where none is recognised, one that says as much as can be said.
    """
    azure, repeated = split_message(job.message)
    log_tail = list(without_survived_errors(job.log_tail))
    exit_code = exit_code_of(azure)
    if not job.is_named:  # what it repeats is what came of it
        repeated = ""
    # Azure's words on a command that has ended tell nothing of why; the log tells, and the step's own account wins.
    said = job.reported or "\n".join([*_last_words(repeated.splitlines()), *_last_words(log_tail)])
    cause = _recognised(job, azure, exit_code, said)
    if cause is not None:
        return replace(cause, what=f"{cause.what} ({job.reported})") if job.reported else cause
    if job.reported:
        return Cause("user-error", job.reported, _MEND)
    if exit_code is not None and not job.is_named:
        return Cause("user-error", job.exception, _MEND)
    if exit_code is not None:
        return _end_of_command(exit_code, exception_in([*repeated.splitlines(), *log_tail]), job.is_command)
    if job.code not in ("", "UserError"):
        return SERVICE_FAULT
    return Cause("unknown", "", "Change what Azure names above, and run the pipeline again." if azure else _LOOK)


def is_preemption(message: str) -> bool:
    """Whether a job failed because Azure took its nodes away, by what run history says of the failure."""
    return exit_code_of(message) is None and _first(SAID_BY_AZURE, message) is PREEMPTED


def is_lack_of_capacity(message: str) -> bool:
    """Whether Azure had no machines for a job or a compute, by what it says of the failure."""
    return exit_code_of(message) is None and _first(SAID_BY_AZURE, message) in (NO_CAPACITY, QUOTA, COMPUTE_FAILED)


def exception_in(log: Sequence[str]) -> str:
    """What the last Python traceback in a log ends with, e.g. `ValueError: no such thing`; empty if there is none."""
    tail = LogTail()
    for line in log:
        tail.add(line)
    return tail.exception.strip()


def without_repetition(message: str, log_tail: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Azure's words and the end of the log, with no line of the log in both.

    Args:
        message: What run history says of the failure.
        log_tail: The last lines of the job's log.

    Returns:
        Azure's words, and the log's last lines: as Azure repeats them where it repeats more. Where either has
        something that the other has not, which is so if Azure repeats another log, both stay, but for common lines.
    """
    azure, repeated = split_message(message)
    lines = with_users_frames(repeated.splitlines())
    in_azure, in_tail = _words(lines), _words(log_tail)
    if in_azure <= in_tail:
        return azure, tuple(log_tail)
    if in_tail <= in_azure:
        return azure, tuple(lines[-_LONGEST_LOG:])
    whole = f"{azure} Error: " + "\n".join(lines)
    return whole, tuple(line for line in log_tail if line.strip() not in in_azure)


def _recognised(job: FailedJob, azure: str, exit_code: int | None, said: str) -> Cause | None:
    if job.ended_itself or (exit_code in EXIT_CODES and job.is_named):  # the line in the log may be cut off
        return ended_itself(job.ended_itself)
    cause = _first(SAID_BY_AZURE, azure) if exit_code is None else _first(SAID_BY_PROGRAM, said)
    if cause is None and exit_code is not None and job.is_named and signal_of(exit_code) == "SIGKILL":
        return KILLED
    return cause


def _end_of_command(exit_code: int, exception: str, is_command: bool) -> Cause:
    process, ended_by = "command" if is_command else "process", signal_of(exit_code)
    if ended_by:
        return Cause("exit-code", f"its {process} was ended by {ended_by} (exit code {exit_code})", _LOOK)
    what = f"its {process} ended with exit code {exit_code}"
    if exception:
        return Cause("user-error", f"{what}: {exception}", _MEND)
    if is_command:
        return Cause("exit-code", what, _MEND)
    return Cause("exit-code", f"{what} and reported no error", _LOOK)


def _first(table: Sequence[tuple[str, Cause]], text: str) -> Cause | None:
    return next((cause for pattern, cause in table if re.search(pattern, text, re.IGNORECASE)), None)


def _last_words(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.strip()][-_LAST_WORDS:]


def _words(lines: Sequence[str]) -> set[str]:
    return {line.strip() for line in lines if line.strip()}
