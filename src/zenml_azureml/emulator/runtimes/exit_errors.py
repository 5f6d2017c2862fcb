"""Azure ML's messages for the failure of a job's command."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from zenml_azureml.emulator.local.private_files import full_disk
from zenml_azureml.emulator.runtimes.base import JobEnd

_TAIL_BYTES = 64 * 1024
_TAIL_LINES = 20
_SHELL = "/bin/bash"
_PUNCTUATION = frozenset("();<>|&")
_TRACEBACK = "Traceback (most recent call last):"


def end_of_command(command: str, exit_code: int, log_file: Path) -> JobEnd:
    """Return the end of a job, given the end of its command.

    The wording is quoted by users: Azure/azureml-examples#2614, MicrosoftDocs/azure-docs#105903.

    Args:
        command: The job's command.
        exit_code: Of the command, negative for a signal.
        log_file: Output of the command; may not exist.
    """
    if exit_code == 0:
        return JobEnd(exit_code=0)
    # Guess: Azure ML has stderr apart from stdout, and how much of it is shown for an error that is
    # no Python exception has not been recorded; nor has the code for a signal.
    words, full = explaining_part(read_tail(log_file)), full_disk(log_file.parent)
    if full and "No space left" not in words:  # which the command could not write
        words = f"{words}\n{full}".lstrip()
    message = (
        f"Execution failed. User process '{program_of(command)}' exited with status code "
        f"{exit_code}. Please check log file 'user_logs/{log_file.name}' for error details. "
        f"Error: {words}"
    )
    return JobEnd(exit_code=exit_code, error_code="UserError", message=message.rstrip())


def program_of(command: str) -> str:
    """Return the process that Azure ML names: the command's program, or the shell if it needs one."""
    # Guess: 'python' and full paths have been quoted, but not what decides between them.
    words = shlex.shlex(command, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    try:
        program, *rest = words
    except ValueError:  # nothing, or a quote that is not closed
        return _SHELL
    needs_shell = "\n" in command or any(word and _PUNCTUATION.issuperset(word) for word in rest)
    return _SHELL if needs_shell else program


def explaining_part(log: str) -> str:
    """Return the last traceback of a log and all after it, or its last lines without a traceback."""
    start = log.rfind(_TRACEBACK)
    if start >= 0:
        return log[start:]
    return "\n".join(log.splitlines()[-_TAIL_LINES:])


def read_tail(log_file: Path) -> str:
    """Return the end of a log; empty if there is no log."""
    try:
        with log_file.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return log.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:  # a job can delete it, and put a folder in its place
        return ""
