"""The hold of a job whose step's function has failed, as the job and its client agree on it. Pure; stdlib only.

The job itself saves the end of its hold as metadata of its step run, before ZenML reports the failure. A job without
that metadata is not held: its image may have a version of this package that cannot hold it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from zenml_azureml.contract.commands import ENTRYPOINT_OPTION
from zenml_azureml.contract.variables import HOLD_MINUTES

#: Key of the metadata of the step run: the end of the hold, in ISO 8601 with its time zone.
HELD_UNTIL: Final = "azureml_held_until"

#: ZenML's entrypoint of a step, and the one that does the same and then holds the job.
STEP_ENTRYPOINT: Final = (
    "zenml.step_operators.step_operator_entrypoint_configuration.StepOperatorEntrypointConfiguration"
)
HOLDING_ENTRYPOINT: Final = "zenml_azureml.in_job.holding_step.HoldingEntrypointConfiguration"


def hold_time(environment: Mapping[str, str]) -> timedelta:
    """Return the time for which a job is held if its step's function fails; zero for no hold."""
    try:
        minutes = float(environment.get(HOLD_MINUTES) or 0)
        return timedelta(minutes=minutes) if math.isfinite(minutes) and minutes > 0 else timedelta()
    except (ValueError, OverflowError):
        return timedelta()


def held_until(metadata: Mapping[str, Any]) -> datetime | None:
    """Return the end of the hold of a step run's job, from the metadata of the step run; None if it has none."""
    try:
        end = datetime.fromisoformat(str(metadata.get(HELD_UNTIL) or ""))
    except ValueError:
        return None
    return end if end.tzinfo is not None else None


def holding_command(command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return the command of a step with the entrypoint that holds its job, if the environment asks for a hold.

    Args:
        command: The step's command.
        environment: Environment variables of the job.

    Returns:
        The command; unchanged if its entrypoint is not ZenML's own.
    """
    changed = list(command)
    if hold_time(environment) and ENTRYPOINT_OPTION in changed[:-1]:
        place = changed.index(ENTRYPOINT_OPTION) + 1
        if changed[place] == STEP_ENTRYPOINT:
            changed[place] = HOLDING_ENTRYPOINT
    return changed
