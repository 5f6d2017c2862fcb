"""Which secrets in key vaults no job needs any more: their process was killed before it could delete them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from zenml_azureml import tags
from zenml_azureml.job_admin.orphans import NoStepRun, StepRunFacts

#: How long a secret may be there before its job is: both are written one right after the other, but Azure ML may be out
#: of reach between the two, for `max_unreachable_minutes`.
SUBMIT_TIME = timedelta(hours=2)


@dataclass(frozen=True)
class SecretFacts:
    """What is known of a secret.

    Attributes:
        tags: Its tags.
        created: When it was written; None if that is not known.
        job_ended: Whether its job is over; None if there is no such job.
    """

    tags: Mapping[str, str]
    created: datetime | None
    job_ended: bool | None


def is_left(
    secret: SecretFacts, server_id: str | None, step_run: StepRunFacts | NoStepRun, now: datetime, *, run_stopped: bool
) -> bool:
    """Whether nobody needs a secret any more. Only of this server: what another one's steps need is unknown here.

    Args:
        secret: The secret.
        server_id: Id of this ZenML server; None if it cannot be reached.
        step_run: The step run that it is for, as this server knows it.
        now: The time.
        run_stopped: Whether the whole run has been stopped from here.
    """
    if secret.job_ended is not None:
        return secret.job_ended
    if run_stopped:
        return True
    if server_id is None or secret.tags.get(tags.SERVER_ID) != server_id:
        return False
    over = step_run is NoStepRun.GONE or (isinstance(step_run, StepRunFacts) and step_run.finished)
    return over or (secret.created is not None and now - secret.created > SUBMIT_TIME)
