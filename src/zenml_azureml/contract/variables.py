"""The environment variables that control the preparation of a job for its step. Their values are not secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

#: Prefix of all of their names.
PREFIX: Final = "ZENML_AZUREML_JOB_"

#: URL of the secret of a key vault which holds environment variables of the step.
VAULT_SECRET: Final = f"{PREFIX}VAULT_SECRET"

#: Audience of the tokens for that key vault, e.g. `https://vault.azure.net`.
VAULT_AUDIENCE: Final = f"{PREFIX}VAULT_AUDIENCE"

#: Set if other ranks of the step may run on the same node.
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

#: Set if the job samples the use of its nodes.
SAMPLING: Final = f"{PREFIX}SAMPLING"


#: Name of a dynamic run among the execution modes, which only matter for static ones.
DYNAMIC: Final = "dynamic"


#: Name of a static run that had failed before this step run was submitted: ZenML accepts the step run of a restarted
#: orchestrator there. So the failure of the run does not concern this step.
IN_FAILED_RUN: Final = "in_failed_run"


#: Set in every job that this package submits, also for the step's own process: so without the prefix above, whose
#: variables end with the preparation.
SUBMITTED: Final = "ZENML_AZUREML_SUBMITTED"

#: Minutes for which a job is held if its step's function fails. The step's own process reads it too.
HOLD_MINUTES: Final = "ZENML_AZUREML_HOLD_MINUTES"

#: A variable that jobs of versions before `SUBMITTED` have by default.
_EARLIER_MARK: Final = "ZENML_ENABLE_RICH_TRACEBACK"

#: Set by Azure ML in every job.
_AZUREML_RUN: Final = "AZUREML_RUN_ID"

#: Set by ZenML in every step that a step operator submits.
_STEP_OPERATOR: Final = "ZENML_STEP_OPERATOR"


def is_job_of_built_in(environment: Mapping[str, str]) -> bool:
    """True in an Azure ML job that a step operator has submitted, but not that of this package.

    Args:
        environment: Environment variables of the step's process.
    """
    is_step = bool(environment.get(_AZUREML_RUN)) and environment.get(_STEP_OPERATOR, "").lower() in ("true", "1")
    return is_step and SUBMITTED not in environment and _EARLIER_MARK not in environment


STORE_URL: Final = "ZENML_STORE_URL"


def is_rest(environment: Mapping[str, str]) -> bool:
    """True if the environment names a ZenML server that is reached over HTTP."""
    return urlsplit(environment.get(STORE_URL, "")).scheme in ("http", "https")
