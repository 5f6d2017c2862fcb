"""The variables by which Azure ML leads MLflow to a job's own run, and those of them that the user named. Pure.

Azure ML overwrites variables of these names in a job (reported in Azure/azure-sdk-for-python#38813). So a job also has
the user's values under other names, and the names of those that were set on purpose. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

TRACKING_URI: Final = "MLFLOW_TRACKING_URI"
TRACKING_TOKEN: Final = "MLFLOW_TRACKING_TOKEN"  # noqa: S105 - the name of the variable
#: All that Azure ML sets, from a public dump of a job's environment, and from azureml-mlflow, which reads them.
INJECTED: Final = (TRACKING_URI, "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", TRACKING_TOKEN)

#: Names of those that the user has set, separated by commas. The step keeps it, unlike the variables of `variables.py`.
NAMED: Final = "ZENML_AZUREML_MLFLOW"

#: Part of the path of every tracking URI of Azure ML, in lower case.
_OF_AZURE_ML: Final = "/providers/microsoft.machinelearningservices/workspaces/"


def own_name(name: str) -> str:
    """Return the name under which a job has the user's value of a variable, which Azure ML does not overwrite."""
    return f"ZENML_AZUREML_{name}"


def named_by(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the variables that the user has set, from the environment of a job."""
    return frozenset(environment.get(NAMED, "").split(",")) & frozenset(INJECTED)


def marker(variables: Iterable[str]) -> dict[str, str]:
    """Return the variable that names those of MLflow's that the user has set; none if there are none.

    Args:
        variables: Names of all variables that the user has set.
    """
    named = ",".join(name for name in INJECTED if name in frozenset(variables))
    return {NAMED: named} if named else {}


def with_own_names(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a job, and under names of their own those of the user that Azure ML overwrites.

    Args:
        variables: Variables of the job. The values of some may be in a key vault, and are not among them.
    """
    return {**variables, **{own_name(name): variables[name] for name in named_by(variables) if name in variables}}


def workspace_of(uri: str) -> str:
    """Return the workspace that a tracking URI leads to: its host and path; empty if it does not lead to Azure ML.

    Args:
        uri: The URI, e.g. `azureml://westeurope.api.azureml.ms/mlflow/v1.0/subscriptions/...`; also with `https`.
    """
    try:
        parts = urlsplit(uri.strip())
        scheme, host, path = parts.scheme.lower(), parts.netloc.lower(), parts.path.lower().rstrip("/")
    except ValueError:
        return ""
    if scheme not in ("azureml", "https") or _OF_AZURE_ML not in path:
        return ""
    return f"{host}{path[path.find('/subscriptions/') :]}"
