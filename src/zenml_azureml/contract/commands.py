"""Commands of jobs: the prefix of a step's command, and the entrypoint of a rank. Pure; stdlib only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from zenml_azureml.contract.checks import CHECKS
from zenml_azureml.contract.mlflow import INJECTED, TRACKING_URI, named_by, own_name, workspace_of
from zenml_azureml.contract.variables import HOLD_MINUTES, RANKS, SAMPLING, STOP_CHECK_SECONDS, VAULT_SECRET

#: The entrypoint of a step's process in a job with several: `ranked_step.py`, by its path, because it imports ZenML.
ENTRYPOINT = "zenml_azureml.in_job.ranked_step.RankedEntrypointConfiguration"


#: The option before the entrypoint's path in the command that ZenML builds.
ENTRYPOINT_OPTION = "--entrypoint_config_source"


def rank_command(command: Sequence[str]) -> list[str]:
    """Return the command of a step's process with the entrypoint that handles ranks.

    Args:
        command: ZenML's command for the job.

    Returns:
        The same with our entrypoint; unchanged if it is not ZenML's (a command step's own command).
    """
    changed = list(command)
    if ENTRYPOINT_OPTION in changed:
        changed[changed.index(ENTRYPOINT_OPTION) + 1] = ENTRYPOINT
    return changed


_PREPARE: Final = "python -m zenml_azureml.in_job "

#: Line in the log of a job whose image has no watcher: it lacks this package, has an older version of it, or no Python.
NO_WATCHER: Final = (
    "zenml-azureml: This job does not check whether its step is over: its image has no zenml-azureml that can."
)
_HAS_WATCHER: Final = "python -c 'import zenml_azureml.in_job.watcher' >/dev/null 2>&1"
_IS_INSTALLED: Final = "python -c 'import zenml_azureml.in_job' >/dev/null 2>&1"
_SAY_NO_WATCHER: Final = f"echo '{NO_WATCHER}' >&2"

#: The same for an image that may lack this package, or Python: the step then runs without a watcher. The output of the
#: substitution becomes the beginning of the command; without output, the command is the step's own.
# Guess: Azure ML passes a command to bash unchanged; its own templates are `${{...}}`.
# `make live`: test_a_step_whose_use_is_sampled.
_PREPARE_IF_POSSIBLE: Final = (
    f"$({_HAS_WATCHER} && echo {_PREPARE}|| {{ {_SAY_NO_WATCHER}; {_IS_INSTALLED} && echo {_PREPARE}; }}) "
)

#: The same for a job that cannot run without this package, and may have an older version of it. The substitution has no
#: output, and is no command of its own: so the shell still becomes the step.
_PREPARE_AND_WATCH: Final = f"$({_HAS_WATCHER} || {_SAY_NO_WATCHER}){_PREPARE}"

#: The prefix of a job that is only sampled. If the image lacks this package, it is silent: the step needs no sampler.
_SAMPLE_IF_POSSIBLE: Final = f"$(python -c 'import zenml_azureml.in_job.sampler' >/dev/null 2>&1 && echo {_PREPARE}) "

#: The prefix for a hold without a watcher. Earlier versions have used it for possible watchers, too.
_PREPARE_TO_HOLD: Final = (
    "$(python -c 'import zenml_azureml.in_job' >/dev/null 2>&1 && echo python -m zenml_azureml.in_job) "
)


#: First words of commands that only the shell can run: its built-in commands.
_OF_SHELL: Final = re.compile(
    r"[.:\[]|alias|break|cd|command|continue|declare|eval|exec|exit|export|local|read|readonly|return|set|shift|shopt|source"
    r"|test|times|trap|type|ulimit|umask|unalias|unset|wait"
)


#: The prefix for MLflow variables: `env` exists in every image, and becomes the program that it starts.
_MLFLOW: Final = re.compile(r"env (-u MLFLOW_\w+ )+(MLFLOW_\w+=\"\$\w+\" )*")


def prepared(command: str, variables: Mapping[str, str]) -> str:
    """Return the command of a job, with the preparation before the step's own command.

    Args:
        command: The step's own command, for a shell.
        variables: The job's environment variables.

    Returns:
        The same command if there is nothing to prepare.
    """
    return f"{_mlflow_prefix(command, variables)}{_preparation(command, variables)}{command}"


def _preparation(command: str, variables: Mapping[str, str]) -> str:
    if CHECKS in variables:  # the checks prepare the job themselves, to report what fails
        return ""
    is_watched = STOP_CHECK_SECONDS in variables
    if variables.keys() & {VAULT_SECRET, RANKS}:
        return _PREPARE_AND_WATCH if is_watched else _PREPARE
    if not _is_of_program(command):
        return ""
    if is_watched:
        return _PREPARE_IF_POSSIBLE
    if HOLD_MINUTES in variables:
        return _PREPARE_TO_HOLD
    return _SAMPLE_IF_POSSIBLE if SAMPLING in variables else ""


def _mlflow_prefix(command: str, variables: Mapping[str, str]) -> str:
    """Return the prefix that replaces Azure ML's MLflow variables by the user's, if those name another server."""
    named = named_by(variables)
    # In the job, the hook on MLflow compares a URI of Azure ML with that of the job's own workspace.
    if TRACKING_URI not in named or workspace_of(variables.get(own_name(TRACKING_URI), "")):
        return ""
    if not _is_of_program(command):
        return ""
    cleared = "".join(f"-u {name} " for name in INJECTED)
    # Expanded in the job: the command has no values. Those in a key vault follow in the preparation.
    users = "".join(
        f'{name}="${own_name(name)}" ' for name in INJECTED if name in named and own_name(name) in variables
    )
    return f"env {cleared}{users}"


def unprepared(command: str) -> str:
    """Return the step's own command again."""
    found = _MLFLOW.match(command)
    command = command[found.end() :] if found else command
    for prefix in (_PREPARE, _PREPARE_AND_WATCH, _PREPARE_IF_POSSIBLE, _SAMPLE_IF_POSSIBLE, _PREPARE_TO_HOLD):
        if command.startswith(prefix):
            return command.removeprefix(prefix)
    return command


def _is_of_program(command: str) -> bool:
    first = command.partition(" ")[0]
    return bool(first) and _OF_SHELL.fullmatch(first) is None and "=" not in first
