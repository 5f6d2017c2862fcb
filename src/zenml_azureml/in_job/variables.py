"""The environment variables by which a job is told what to prepare for its step. No value of theirs is a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

#: What the names of all of them begin with.
PREFIX: Final = "ZENML_AZUREML_JOB_"

#: URL of the secret of a key vault which holds environment variables of the step.
VAULT_SECRET: Final = f"{PREFIX}VAULT_SECRET"

#: What tokens for that key vault are made out to, e.g. `https://vault.azure.net`.
VAULT_AUDIENCE: Final = f"{PREFIX}VAULT_AUDIENCE"

#: Set where other ranks of the step may run on the same node.
RANKS: Final = f"{PREFIX}RANKS"

#: Average seconds between two polls of the ZenML server for whether the step is over; not set for none.
STOP_CHECK_SECONDS: Final = f"{PREFIX}STOP_CHECK_SECONDS"

#: Ids of the step run, of its run, and of the run's parent, that one's parent and so on, separated by commas.
STEP_RUN_ID: Final = f"{PREFIX}STEP_RUN_ID"
RUN_ID: Final = f"{PREFIX}RUN_ID"
PARENT_RUN_IDS: Final = f"{PREFIX}PARENT_RUN_IDS"

#: `dynamic`, `in_failed_run`, or the execution mode of a static run.
RUN_MODE: Final = f"{PREFIX}RUN_MODE"

#: Set if several processes of a node may run the step, each with a watcher.
SHARED_NODE: Final = f"{PREFIX}SHARED_NODE"

_PREPARE: Final = "python -m zenml_azureml.in_job "

#: The same in an image that may not have this package, or no Python: then the step runs without a watcher. The words
#: that a substitution gives are the beginning of the command; if it gives none, the command is the step's own.
# Guess: Azure ML runs a command by bash, as it is; its own templates are `${{...}}`.
_PREPARE_IF_POSSIBLE: Final = (
    "$(python -c 'import zenml_azureml.in_job' >/dev/null 2>&1 && echo python -m zenml_azureml.in_job) "
)

#: First words of commands that are none of a program's, but the shell's: only the shell can run them.
_OF_SHELL: Final = re.compile(
    r"[.:\[]|alias|break|cd|command|continue|declare|eval|exec|exit|export|local|read|readonly|return|set|shift|shopt|source"
    r"|test|times|trap|type|ulimit|umask|unalias|unset|wait"
)


def prepared(command: str, variables: Iterable[str]) -> str:
    """The command of a job whose environment has such variables: what prepares it stands before the step's own.

    Args:
        command: The step's own, for a shell.
        variables: Names of the job's environment variables.

    Returns:
        The same command where there is nothing to prepare.
    """
    names = frozenset(variables)
    if names & {VAULT_SECRET, RANKS}:
        return f"{_PREPARE}{command}"
    return f"{_PREPARE_IF_POSSIBLE}{command}" if STOP_CHECK_SECONDS in names and _is_of_program(command) else command


def unprepared(command: str) -> str:
    """The step's own command again."""
    return command.removeprefix(_PREPARE).removeprefix(_PREPARE_IF_POSSIBLE)


def _is_of_program(command: str) -> bool:
    first = command.partition(" ")[0]
    return bool(first) and _OF_SHELL.fullmatch(first) is None and "=" not in first
