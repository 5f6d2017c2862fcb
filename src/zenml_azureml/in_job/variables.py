"""The environment variables by which a job is told what to prepare for its step. No value of theirs is a secret."""

from __future__ import annotations

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

_PREPARE: Final = "python -m zenml_azureml.in_job "


def prepared(command: str, variables: Iterable[str]) -> str:
    """The command of a job whose environment has such variables: what prepares it stands before the step's own.

    Args:
        command: The step's own, for a shell.
        variables: Names of the job's environment variables.

    Returns:
        The same command where there is nothing to prepare.
    """
    return f"{_PREPARE}{command}" if any(name.startswith(PREFIX) for name in variables) else command


def unprepared(command: str) -> str:
    """The step's own command again."""
    return command.removeprefix(_PREPARE)
