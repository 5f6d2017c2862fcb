"""Decides which secrets in key vaults are stale: their process was killed before it could delete them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from zenml_azureml import tags
from zenml_azureml.job_admin.orphans import NoStepRun, StepRunFacts

#: Longest time between the creation of a secret and of its job. The operator writes one right after the other, but
#: Azure ML may be unavailable between the two, for `max_unreachable_minutes`.
SUBMIT_TIME = timedelta(hours=2)


@dataclass(frozen=True)
class SecretFacts:
    """Facts about a secret.

    Attributes:
        tags: Its tags.
        created: When it was written; None if unknown.
        job_ended: True if its job has ended; None if there is no such job.
    """

    tags: Mapping[str, str]
    created: datetime | None
    job_ended: bool | None


def is_left(
    secret: SecretFacts, server_id: str | None, step_run: StepRunFacts | NoStepRun, now: datetime, *, run_stopped: bool
) -> bool:
    """True if no job needs a secret any more. Only for secrets of this server: the steps of others are unknown here.

    Args:
        secret: The secret.
        server_id: Id of this ZenML server; None if it cannot be reached.
        step_run: The step run of the secret, as this server knows it.
        now: The time.
        run_stopped: True if this process has stopped the whole run.
    """
    if secret.job_ended is not None:
        return secret.job_ended
    if run_stopped:
        return True
    if server_id is None or secret.tags.get(tags.SERVER_ID) != server_id:
        return False
    over = step_run is NoStepRun.GONE or (isinstance(step_run, StepRunFacts) and step_run.finished)
    return over or (secret.created is not None and now - secret.created > SUBMIT_TIME)
