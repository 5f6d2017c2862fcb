"""The tags by which a job, and what it has in a key vault, is found again: of which server, run and step run it is."""

from __future__ import annotations

from typing import Final
from uuid import UUID

PIPELINE: Final = "zenml_pipeline"
RUN: Final = "zenml_run"
RUN_ID: Final = "zenml_run_id"
RUN_URL: Final = "zenml_run_url"
STEP: Final = "zenml_step"
STEP_RUN_ID: Final = "zenml_step_run_id"
#: Step runs are known to one server only: a workspace may have the jobs of several.
SERVER_ID: Final = "zenml_server_id"
#: Address of the secret of a key vault that the job has its own secrets from.
VAULT_SECRET: Final = "zenml_vault_secret"  # noqa: S105 - its name

#: Which of these such a secret has too.
OF_SECRETS: Final = (SERVER_ID, RUN, RUN_ID, STEP_RUN_ID)

# Of such a secret itself: the job that it is for, and the ARM id of its workspace.
JOB: Final = "azureml_job"
WORKSPACE: Final = "azureml_workspace"

#: Of a job that takes the place of another one of its step run: the number of the attempt, from 2.
ATTEMPT: Final = "zenml_attempt"
#: Of the same: the job that it takes the place of.
PREVIOUS_JOB: Final = "zenml_previous_job"
#: Estimated US dollars per hour of all its nodes, where a price is known.
USD_PER_HOUR: Final = "zenml_usd_per_hour_all_nodes"
#: Of a job that is not at the first of its step's targets, or takes the place of another one: at which, from 0.
TARGET: Final = "zenml_target"


def of_run(run_id: UUID) -> str:
    """Key of a tag that only one run's jobs have: Azure ML's listings filter by a tag's key, not by its value."""
    return f"zenml_run_{run_id.hex}"
