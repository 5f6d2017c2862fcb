"""The plan of a job that checks itself: from ZenML's data and the settings, before anything is created."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from zenml.client import Client
from zenml.enums import APITokenType, StackComponentType

from zenml_azureml.doctor.facts import stack_of
from zenml_azureml.doctor.run_job.request import Origin, check_job, options_of
from zenml_azureml.doctor.run_job.run import Planned
from zenml_azureml.job_admin.launcher import TOKEN, environment_of, has_server
from zenml_azureml.run_store.server import server_id
from zenml_azureml.settings.plan import resolve
from zenml_azureml.settings.step_plan import Target
from zenml_azureml.submission.resources import demands_of
from zenml_azureml.submission.secret_references import with_secrets

if TYPE_CHECKING:
    from zenml_azureml.azure.client import Workspace
    from zenml_azureml.doctor.run_job.subject import Subject

logger = logging.getLogger(__name__)

#: Life of the token for ZenML's server that the job gets: it may be queued for a while.
_TOKEN_LIFE: Final = timedelta(hours=2)


@dataclass(frozen=True)
class Plan:
    """A job that can be submitted.

    Attributes:
        workspace: The workspace.
        planned: The job.
    """

    workspace: Workspace
    planned: Planned


def plan_job(subject: Subject, cloud: str | None) -> Plan:
    """Return the plan of a job.

    Args:
        subject: What it imitates.
        cloud: Name of the Azure cloud; None for that of the settings.

    Raises:
        AzureMLError: If a secret, the compute or a VM size is missing, or ZenML's server refuses a token.
    """
    settings = subject.settings.model_copy(update={"cloud": cloud}) if cloud else subject.settings
    resolution = with_secrets(resolve(settings))
    options = options_of(resolution.options)
    demands = demands_of(subject.resources, settings)
    workspace = subject.operator.workspace(settings)
    estimate = workspace.estimate(resolution.compute, options, demands)
    stack = stack_of(subject.operator)
    stores = stack.components.get(StackComponentType.ARTIFACT_STORE, []) if stack else []
    token = _token()
    environment = environment_of(subject.environment, token, stack)
    if token:
        environment[TOKEN] = token
    origin = Origin(
        subject.step,
        subject.operator.name,
        str(server_id()),
        subject.image,
        subject.docker,
        str(stores[0].id) if stores else "",
    )
    spec = check_job(origin, environment, options)
    planned = Planned(
        spec,
        resolution.compute,
        demands,
        estimate,
        delete_compute_after=settings.delete_compute_after,
        queue_timeout=Target(settings, resolution).queue_timeout,
    )
    return Plan(workspace, planned)


def _token() -> str:
    """Return a short-lived token for ZenML's server; empty without a server, or if it gives none."""
    if not has_server():
        return ""
    from zenml.zen_stores.rest_zen_store import RestZenStore

    store = Client().zen_store
    if not isinstance(store, RestZenStore):
        return ""
    try:
        return store.get_api_token(APITokenType.GENERIC, expires_in=int(_TOKEN_LIFE.total_seconds()))
    except Exception as error:  # noqa: BLE001 - the job then gets the token of this client
        logger.debug("The ZenML server gives no token for the job: %s", error)
        return ""
