"""Which of a job's environment variables are secret, and the job without them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from zenml_azureml import tags
from zenml_azureml.in_job.variables import VAULT_AUDIENCE, VAULT_SECRET
from zenml_azureml.redaction import REDACTED, shown, speaks_of_secrets
from zenml_azureml.request import JobRequest

#: What a job needs before it has its secrets, and what is none: ids of applications are no secrets of Microsoft Entra.
_OPEN = frozenset({"AZURE_CLIENT_ID", "AZURE_TENANT_ID"})

#: Names that speak of secrets, and say only which kind of store there is, and how ZenML signs in.
_KIND_OF_STORE = re.compile(r"ZENML_(STORE|SECRETS_STORE|BACKUP_SECRETS_STORE)_(TYPE|CLASS_PATH|AUTH_METHOD|AUTH_MODE)")


def secret_names(variables: Mapping[str, str]) -> frozenset[str]:
    """The variables that do not belong into a job's definition: all that are not sure to be harmless.

    Args:
        variables: Values by name.
    """
    return frozenset(
        name
        for name, value in variables.items()
        if name not in _OPEN and not _KIND_OF_STORE.fullmatch(name) and shown(name, value) == REDACTED
    )


def certain_secrets(variables: Mapping[str, str]) -> frozenset[str]:
    """Those of them that are secrets by their names, such as ZENML_STORE_API_TOKEN.

    Args:
        variables: Values by name.
    """
    return frozenset(name for name in secret_names(variables) if speaks_of_secrets(name))


def without_secrets(request: JobRequest, url: str, audience: str) -> JobRequest:
    """A job that is told where its secrets are, instead of them.

    Args:
        request: The job.
        url: Address of the key vault's secret that holds them.
        audience: What tokens for that key vault are made out to.
    """
    names, own = request.secret_names, request.options.environment_variables
    kept = {name: value for name, value in request.environment_variables.items() if name not in names}
    return replace(
        request,
        environment_variables={**kept, VAULT_SECRET: url, VAULT_AUDIENCE: audience},
        tags={**request.tags, tags.VAULT_SECRET: url},
        options=replace(
            request.options,
            environment_variables={name: value for name, value in own.items() if name not in names},
        ),
    )
