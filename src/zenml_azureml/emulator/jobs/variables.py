"""The environment variables of every process of a command job. Pure.

Names and forms are those of a public dump of a job of 2022 (a pod of Azure ML on Kubernetes), and those that public
programs read in jobs: `azureml-assets` (AZUREML_ARM_*, AZUREML_RUN_ID), the Azure ML SDKs (AZUREML_WORKSPACE_ID,
AZUREML_*_ENDPOINT, OBO_ENDPOINT), training scripts (AZUREML_NODE_COUNT).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

import jwt

from zenml_azureml.emulator.jobs.definition import root_run
from zenml_azureml.emulator.jobs.layout import data_folder
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.aml.catalogue import VmSize
from zenml_azureml.emulator.services.entra.machine_identities import (
    ENDPOINT,
    METADATA_ENDPOINT,
    acts_as_user,
    identities_of,
    user_endpoint,
)
from zenml_azureml.emulator.services.mlflow.uris import tracking_uri
from zenml_azureml.emulator.state import Workspace

#: Longest life of a job, and so of its token: Microsoft's "Manage and increase quotas and limits".
_LONGEST_LIFE = timedelta(days=21)


def azure_ml_variables(
    job: Job, workspace: Workspace, base_url: str, target: str | None, size: VmSize | None
) -> dict[str, str]:
    """Return the variables that say which job it is, and where it runs.

    Args:
        job: The job.
        workspace: Its workspace.
        base_url: URL of the emulator.
        target: Name of its compute; None for serverless.
        size: VM size of its nodes; None where these are no VMs of Azure ML.
    """
    properties = job.properties
    experiment = properties["experimentName"]
    token = run_token(job)
    common = {
        "subscription_id": workspace.subscription_id,
        "resource_group": workspace.resource_group,
        "workspace_name": workspace.name,
        "workspace_id": workspace.workspace_id,
        "service_endpoint": base_url,
        "discovery_endpoint": f"{base_url}/discovery",
        "experiment_name": experiment,
        "experiment_id": experiment_id(workspace, experiment),
        "root_run_id": root_run(properties, job.name),
        "run_id": job.name,
        "run_token": token,
        "run_history_service_endpoint": base_url,
        "data_container_id": f"dcid.{job.name}",
        "run_uuid": run_uuid(workspace, job.name),
    }
    return {
        "AZUREML_RUN_ID": job.name,
        # ZenML's Azure ML orchestrator identifies its pipelines by it. Guess: without a parent, the run's own.
        "AZUREML_ROOT_RUN_ID": root_run(properties, job.name),
        "AZUREML_ARM_SUBSCRIPTION": workspace.subscription_id,
        "AZUREML_ARM_RESOURCEGROUP": workspace.resource_group,
        "AZUREML_ARM_WORKSPACE_NAME": workspace.name,
        "AZUREML_ARM_PROJECT_NAME": experiment,
        "AZUREML_EXPERIMENT_ID": experiment_id(workspace, experiment),
        "AZUREML_RUN_TOKEN": token,
        # Guess: the form, seconds since 1970, as the first SDK reads it.
        "AZUREML_RUN_TOKEN_EXPIRY": str(int((job.created_at + _LONGEST_LIFE).timestamp())),
        "AZUREML_WORKSPACE_ID": workspace.workspace_id,
        "AZUREML_WORKSPACE_SCOPE": workspace.path,
        "AZUREML_EXPERIMENT_SCOPE": f"{workspace.path}/experiments/{experiment}",
        "AZUREML_SERVICE_ENDPOINT": base_url,
        "AZUREML_DISCOVERY_SERVICE_ENDPOINT": f"{base_url}/discovery",
        "AZUREML_RUN_HISTORY_SERVICE_ENDPOINT": base_url,
        "AZUREML_NODE_COUNT": str(properties["resources"]["instanceCount"]),
        "AZUREML_CR_CORRELATION_ID": job.name,
        "AZUREML_CR_DATA_CAPABILITY_PATH": str(data_folder(job.folder)),
        "AZUREML_CR_AZUREML_CONTEXT": json.dumps(common, separators=(",", ":")),
        "AZUREML_CR_COMPUTE_CONTEXT": json.dumps(_compute_context(job, target, size), separators=(",", ":")),
        "AZ_BATCHAI_JOB_NAME": job.name,
    }


def _compute_context(job: Job, target: str | None, size: VmSize | None) -> dict[str, object]:
    """Return where a job runs, with the keys of the dump. Guess: the values for serverless jobs."""
    return {
        "cluster_name": target,
        # Guess: the ids of nodes.
        "node_id": f"tvmps_{uuid.uuid5(uuid.NAMESPACE_URL, job.name).hex}_d",
        "vm_id": None,
        "run_attempt_count": job.attempt,
        "gpu_count": size.gpus if size else 0,
        "vm_size": size.name if size else None,
        "readable_cluster_name": target,
        # Guess: what clusters of low priority have.
        "vm_priority": "dedicated" if size else None,
        "use_vnet_or_private_link": False,
    }


def client_variables(job: Job, base_url: str, cloud: str) -> dict[str, str]:
    """Return the variables by which the Azure ML SDK and azure-identity in a job reach the emulator.

    Azure ML does not set them: there, the clients' own defaults lead to Azure. Without the last one, azure-identity
    asks the metadata service of the machine that the emulator runs on, which may be one of Azure. Without the name of
    the cloud, azureml-mlflow asks Azure Resource Manager for it.

    Args:
        job: The job.
        base_url: URL of the emulator.
        cloud: Name of the emulated cloud.
    """
    return {
        "AZUREML_CURRENT_CLOUD": cloud,
        "AZUREML_DEV_URL_MFE": base_url,
        "AZURE_AUTHORITY_HOST": base_url,
        "AZURE_POD_IDENTITY_AUTHORITY_HOST": f"{base_url}{METADATA_ENDPOINT.format(secret=job.machine_secret)}",
    }


@dataclass(frozen=True)
class JobProxy:
    """The proxy through which jobs reach the emulator at Azure's public hosts.

    Attributes:
        url: URL of the proxy, with its password.
        login_host: The first host of Microsoft Entra in the emulated cloud.
    """

    url: str = field(repr=False)
    login_host: str


def proxy_variables(proxy: JobProxy, base_url: str, own: Collection[str]) -> dict[str, str]:
    """Return the variables by which requests of a job to Azure's public hosts reach the emulator.

    Programs of a job also reach each other and the emulator itself, without the proxy.

    Args:
        proxy: The proxy.
        base_url: URL of the emulator.
        own: Names of the job's own variables, which count in either case.
    """
    directly = ",".join(dict.fromkeys((str(urlsplit(base_url).hostname), "127.0.0.1", "localhost")))
    variables = {
        "HTTPS_PROXY": proxy.url,
        "https_proxy": proxy.url,
        "NO_PROXY": directly,
        "no_proxy": directly,
        # The only address that azure-identity accepts without asking Microsoft about it.
        "AZURE_AUTHORITY_HOST": f"https://{proxy.login_host}",
    }
    taken = {name.lower() for name in own}
    return {name: value for name, value in variables.items() if name.lower() not in taken}


def identity_variables(job: Job, workspace: Workspace, base_url: str, target: str | None) -> dict[str, str]:
    """Return the variables with which a job gets tokens: of its managed identity, or of the user who submitted it.

    Args:
        job: The job.
        workspace: Its workspace.
        base_url: URL of the emulator.
        target: Name of its compute; None for serverless.
    """
    if acts_as_user(job):
        return {
            "OBO_ENDPOINT": f"{base_url}{user_endpoint(job)}",
            "AZUREML_OBO_ENABLED": "True",
            # Guess: nothing here accepts it. The dump has a token of the run in another scope.
            "AZUREML_OBO_CANARY_TOKEN": run_token(job),
        }
    identities = identities_of(job, workspace, target)
    if not identities:
        return {}
    return {
        "MSI_ENDPOINT": f"{base_url}{ENDPOINT}",
        "MSI_SECRET": job.machine_secret,
        "DEFAULT_IDENTITY_CLIENT_ID": identities[0].client_id,
    }


def mlflow_variables(job: Job, workspace: Workspace, base_url: str) -> dict[str, str]:
    """Return the variables by which MLflow logs to the job's own run.

    Azure ML's runtime overwrites those of the job with them (reported in Azure/azure-sdk-for-python#38813, of the URI,
    the run and the experiment's id; Guess: of the other two as well). The URI leads to the service itself, here the
    emulator. The token is the run's own.
    """
    experiment = job.properties["experimentName"]
    return {
        "MLFLOW_TRACKING_URI": tracking_uri(workspace, base_url, "v1.0"),
        "MLFLOW_RUN_ID": job.name,
        "MLFLOW_EXPERIMENT_ID": experiment_id(workspace, experiment),
        "MLFLOW_EXPERIMENT_NAME": experiment,
        # Guess: the two tokens are the same; azureml-mlflow uses either in the same way.
        "MLFLOW_TRACKING_TOKEN": run_token(job),
    }


def run_token(job: Job) -> str:
    """Return the token with which a job reports to its own run: a JWT, of which clients read when it expires."""
    # Guess: all other claims of a run's token. MLflow's API and run history's artifacts take it.
    return jwt.encode({"runId": job.name, "exp": job.created_at + _LONGEST_LIFE}, job.machine_secret)


def experiment_id(workspace: Workspace, name: str) -> str:
    """Return the id of an experiment, made from its name."""
    return str(uuid.uuid5(uuid.UUID(workspace.workspace_id), f"experiments/{name}"))


def run_uuid(workspace: Workspace, run: str) -> str:
    """Return the UUID of a run, made from its name."""
    return str(uuid.uuid5(uuid.UUID(workspace.workspace_id), f"runs/{run}"))
