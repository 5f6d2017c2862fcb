"""Classifier of failed jobs: finds the cause in Azure ML's message, the job's log and the step's report. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from zenml_azureml.azure.failures.cause import Cause
from zenml_azureml.azure.failures.causes_before import COMPUTE_FAILED, NO_CAPACITY, QUOTA
from zenml_azureml.azure.failures.causes_while import KILLED, PREEMPTED, SERVICE_FAULT
from zenml_azureml.azure.failures.registries import of_registry
from zenml_azureml.azure.failures.rules import (
    SAID_BY_AZURE,
    SAID_BY_PROGRAM,
    SERVICE_FAULT_CODES,
    ended_itself,
    of_refusal,
)
from zenml_azureml.azure.failures.survived_errors import without_survived_errors
from zenml_azureml.azure.logs.frames import with_users_frames
from zenml_azureml.azure.logs.tail import LogTail
from zenml_azureml.azure.refusals.lookup import recognised_in, recognised_in_log
from zenml_azureml.azure.refusals.refusal import Found
from zenml_azureml.contract.own_end import EXIT_CODES

#: Number of last lines of a log in which the program's message about its end is searched.
_LAST_WORDS = 5

#: Largest number of log lines in an error.
_LONGEST_LOG = 40

_FIX = "Fix the error shown in the log, and run the pipeline again."
_UNKNOWN = (
    "The operator does not recognize this failure. Follow Azure's message above, and check the job's `system_logs` in "
    "Studio. If they do not help, open a support request with the name of the job."
)
_LOOK = "The step's code could not report an error: check the job's log and, in Studio, its `system_logs`."

_EXIT_CODE = re.compile(r"exited with status code (-?\d+)")

#: Azure ML's message about the end of a command, followed by what the command itself has printed.
#: Source: Azure/azureml-examples#2614, MicrosoftDocs/azure-docs#105903.
_WORDS_AND_LOG = re.compile(r"(.*?User process .*?exited with status code -?\d+.*?)\s*Error: ?(.*)", re.DOTALL)


@dataclass(frozen=True)
class FailedJob:
    """The known facts about a failed job.

    Attributes:
        message: Run history's message about the failure; empty if it has none.
        code: Its code, e.g. `UserError`.
        further: The statements nested in the failure, such as inner codes and details, one a line.
        log_tail: The last lines of the job's log.
        reported: The error that the step's own code reported, e.g. `ValueError: no such thing`; empty if none.
        is_command: True if it runs a command of the user's that reports nothing but its exit code.
        is_named: True if the message, if it is about a process, is about the process of the log.
        exception: Last line of the last traceback in the log, even if the traceback begins before `log_tail`.
        ended_itself: The reason why the job ended itself, from its log; empty if it did not.
    """

    message: str = ""
    code: str = ""
    log_tail: Sequence[str] = ()
    reported: str = ""
    is_command: bool = False
    is_named: bool = True
    exception: str = ""
    ended_itself: str = ""
    further: str = ""


def split_message(message: str) -> tuple[str, str]:
    """Separate Azure's message from the end of the job's log that Azure appends to it.

    Args:
        message: Run history's message about a failure.

    Returns:
        Azure's message, and the repeated part of the log, without errors that the process has survived; empty if
        there is none.
    """
    found = _WORDS_AND_LOG.fullmatch(message)
    return (found[1], "\n".join(without_survived_errors(found[2].splitlines()))) if found else (message, "")


def exit_code_of(message: str) -> int | None:
    """Return the exit code of the job's command, negative or above 128 for a signal; None if Azure reports none."""
    found = _EXIT_CODE.search(message)
    return int(found[1]) if found else None


def signal_of(exit_code: int) -> str:
    """Return the signal that ended a command, e.g. `SIGKILL`; empty if none did.

    Args:
        exit_code: Of the command: `-9` as Python reports a signal, or `137` as shells and Docker do.
    """
    try:
        return signal.Signals(-exit_code if exit_code < 0 else exit_code - 128).name
    except ValueError:
        return ""


def cause_of(job: FailedJob) -> Cause:
    """Return the cause of a failed job.

    Args:
        job: The known facts about it.

    Returns:
        The cause; if none is recognised, a general one with the details that are known.
    """
    azure, repeated = split_message(job.message)
    log_tail = list(without_survived_errors(job.log_tail))
    exit_code = exit_code_of(azure)
    if not job.is_named:  # the repeated log is a consequence, not the cause
        repeated = ""
    # Azure's message about a command that has ended does not contain the reason. The log does, and the step's own
    # report takes precedence.
    said = job.reported or "\n".join([*_last_words(repeated.splitlines()), *_last_words(log_tail)])
    cause = _recognised(job, azure, exit_code, said)
    if cause is not None:
        error = job.reported
        if cause.names_error and not error:
            error = exception_in([*repeated.splitlines(), *log_tail])
        return replace(cause, what=f"{cause.what} ({error})") if error else cause
    if job.reported:
        return Cause("user-error", job.reported, _FIX)
    if exit_code is not None and not job.is_named:
        return Cause("user-error", job.exception, _FIX)
    if exit_code is not None:
        return _end_of_command(exit_code, exception_in([*repeated.splitlines(), *log_tail]), job.is_command)
    if job.code in SERVICE_FAULT_CODES:
        return SERVICE_FAULT
    return Cause("unknown", "", _UNKNOWN if azure else _LOOK)


def is_preemption(message: str) -> bool:
    """Return True if run history's message says that Azure preempted the job's nodes."""
    return exit_code_of(message) is None and _first(SAID_BY_AZURE, message) is PREEMPTED


def is_lack_of_capacity(message: str) -> bool:
    """Return True if Azure's message says that it had no machines for a job or a compute."""
    return exit_code_of(message) is None and _first(SAID_BY_AZURE, message) in (NO_CAPACITY, QUOTA, COMPUTE_FAILED)


def exception_in(log: Sequence[str]) -> str:
    """Return the last line of the last Python traceback in a log, e.g. `ValueError: no such thing`; empty if none."""
    tail = LogTail()
    for line in log:
        tail.add(line)
    return tail.exception.strip()


def without_repetition(message: str, log_tail: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return Azure's message and the end of the log, with no line of the log in both.

    Args:
        message: Run history's message about the failure.
        log_tail: The last lines of the job's log.

    Returns:
        Azure's message, and the log's last lines, or Azure's copy of them if that is longer. If each has lines that
        the other lacks, as when Azure repeats another log, both stay, without their common lines.
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
    if exit_code is None:
        return _said_by_azure(job, azure)
    cause = _first(SAID_BY_PROGRAM, said) or _refused(recognised_in_log(said))
    if cause is None and job.is_named and signal_of(exit_code) == "SIGKILL":
        return KILLED
    return cause


def _said_by_azure(job: FailedJob, azure: str) -> Cause | None:
    everything = "\n".join(filter(None, [f"({job.code}) {azure}", job.further]))
    cause = _refused(recognised_in(everything, lambda one: one.by_jobs)) or _first(SAID_BY_AZURE, azure)
    cause = cause or _first(SAID_BY_AZURE, everything)
    return of_registry(cause, azure) if cause is not None else None


def _refused(found: Found | None) -> Cause | None:
    return of_refusal(found.refusal, found.text) if found is not None else None


def _end_of_command(exit_code: int, exception: str, is_command: bool) -> Cause:
    process, ended_by = "command" if is_command else "process", signal_of(exit_code)
    if ended_by:
        return Cause("exit-code", f"its {process} was ended by {ended_by} (exit code {exit_code})", _LOOK)
    what = f"its {process} ended with exit code {exit_code}"
    if exception:
        return Cause("user-error", f"{what}: {exception}", _FIX)
    if is_command:
        return Cause("exit-code", what, _FIX)
    return Cause("exit-code", f"{what} and reported no error", _LOOK)


def _first(table: Sequence[tuple[str, Cause]], text: str) -> Cause | None:
    return next((cause for pattern, cause in table if re.search(pattern, text, re.IGNORECASE)), None)


def _last_words(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.strip()][-_LAST_WORDS:]


def _words(lines: Sequence[str]) -> set[str]:
    return {line.strip() for line in lines if line.strip()}
