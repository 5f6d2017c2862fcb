"""The tags that identify the server, run and step run of a job and of its secret in a key vault."""

from __future__ import annotations

from typing import Final
from uuid import UUID

PIPELINE: Final = "zenml_pipeline"
RUN: Final = "zenml_run"
RUN_ID: Final = "zenml_run_id"
RUN_URL: Final = "zenml_run_url"
STEP: Final = "zenml_step"
STEP_RUN_ID: Final = "zenml_step_run_id"
#: Name of the step operator that submitted the job.
OPERATOR: Final = "zenml_step_operator"
#: Id of the ZenML server, since a workspace may have the jobs of several servers.
SERVER_ID: Final = "zenml_server_id"
#: Address of the key vault secret that holds the secrets of the job.
VAULT_SECRET: Final = "zenml_vault_secret"  # noqa: S105 - its name

#: The tags that such a key vault secret has too.
OF_SECRETS: Final = (SERVER_ID, RUN, RUN_ID, STEP_RUN_ID)

# Further tags of such a secret: its job, and the ARM id of the workspace.
JOB: Final = "azureml_job"
WORKSPACE: Final = "azureml_workspace"

#: Number of the attempt, from 2, of a job that replaces another one of its step run.
ATTEMPT: Final = "zenml_attempt"
#: Name of the job that such a job replaces.
PREVIOUS_JOB: Final = "zenml_previous_job"
#: Estimated US dollars per hour of all nodes of the job, if the price is known.
USD_PER_HOUR: Final = "zenml_usd_per_hour_all_nodes"
#: Largest number of US dollars that the job can cost, if its settings limit that.
RESERVED_USD: Final = "zenml_reserved_usd"
#: The cost limit that has shortened the time limit of the job, e.g. `max_usd=5`.
COST_LIMIT: Final = "zenml_cost_limit"
#: Number of the target, from 0, of a job on a fallback target or one that replaces another job.
TARGET: Final = "zenml_target"

#: Minutes for which the job is held open if its step's function fails.
HOLD: Final = "zenml_hold_on_failure_minutes"

#: Id of the run after whose jobs a compute is to be deleted: a tag of the compute.
DELETE_AFTER_RUN: Final = "zenml_delete_after_run"

#: The keys of this package's tags of jobs, except for that of their run.
RESERVED: Final = frozenset(
    {
        *(PIPELINE, RUN, RUN_ID, RUN_URL, STEP, STEP_RUN_ID, SERVER_ID, VAULT_SECRET),
        *(OPERATOR, ATTEMPT, PREVIOUS_JOB, USD_PER_HOUR, TARGET, HOLD, RESERVED_USD, COST_LIMIT),
    }
)

#: The tags of jobs whose settings limit the cost.
OF_COST: Final = frozenset({RESERVED_USD, COST_LIMIT})

#: Largest number of tags that this package gives a job without a hold and a cost limit.
MOST: Final = len(RESERVED - {HOLD} - OF_COST) + 1


def of_run(run_id: UUID) -> str:
    """Return the key of a tag for the jobs of one run: Azure ML's listings filter by a tag's key, not by its value."""
    return f"zenml_run_{run_id.hex}"
