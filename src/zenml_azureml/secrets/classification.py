"""Separates secret environment variables from a job. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from zenml_azureml import tags
from zenml_azureml.contract.variables import VAULT_AUDIENCE, VAULT_SECRET
from zenml_azureml.secrets.rule import Verdict, judge, looks_harmless
from zenml_azureml.specs.job import JobSpec


def secret_names(variables: Mapping[str, str]) -> frozenset[str]:
    """Return the names of variables that must not be in a job's definition: all that may not be harmless.

    Args:
        variables: Values by name.
    """
    return frozenset(name for name, value in variables.items() if judge(name, value) is not Verdict.HARMLESS)


def certain_secrets(variables: Mapping[str, str]) -> frozenset[str]:
    """Return the names of variables that are secrets by their name or shape, such as ZENML_STORE_API_TOKEN.

    Args:
        variables: Values by name.
    """
    return frozenset(name for name, value in variables.items() if judge(name, value) is Verdict.SECRET)


def secret_values(request: JobSpec) -> list[str]:
    """Return the values of a job's environment variables that certainly are secrets, except numbers and plain words.

    The same number or word in a message has another meaning.
    """
    variables = {**request.environment_variables, **request.options.environment_variables}
    return [
        value for name, value in variables.items() if name in request.certain_secret_names and not looks_harmless(value)
    ]


def without_secrets(request: JobSpec, url: str, audience: str) -> JobSpec:
    """Return a job with the address of its secrets instead of the secrets.

    Args:
        request: The job.
        url: Address of the key vault secret that holds them.
        audience: Audience of tokens for that key vault.
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
