"""Mapping of the SDK's errors to ours, with Azure's message and the next steps."""

from __future__ import annotations

import re

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from zenml_azureml.azure.auth.errors import SignInError
from zenml_azureml.azure.cli_hints import az_login
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.azure.hosts import ForeignHostError
from zenml_azureml.azure.refusals.recognition import answer_of, refusal_of
from zenml_azureml.azure.responses import error_in
from zenml_azureml.clouds import ENDPOINT_VARIABLE
from zenml_azureml.exceptions import AuthenticationError, AzureMLError
from zenml_azureml.safe_text import safe_text

#: Codes of Resource Manager for a part of the workspace's address that does not exist.
#: Source: recorded and quoted answers of Resource Manager.
_ADDRESS_CODES = {
    "SubscriptionNotFound": "subscription_id",
    "InvalidSubscriptionId": "subscription_id",
    "ResourceGroupNotFound": "resource_group",
    "ResourceNotFound": "workspace_name",
    "ParentResourceNotFound": "workspace_name",
}


_OR_HIDDEN = {
    "SubscriptionNotFound": " If it is right, the credential may be signed in to another tenant, or has no role there."
}

#: Words of an answer with the status 403 that is about permissions. Recorded: `AuthorizationFailed`.
_ABOUT_PERMISSIONS = re.compile(r"authoriz|permission|forbidden|access|role\b|privilege", re.IGNORECASE)


def to_azureml_error(
    action: str, error: AzureError, address: WorkspaceAddress, *, hint: str = "", then: str = ""
) -> AzureMLError:
    """Return the error to show for one that the SDK raised.

    Args:
        action: The action that failed, as an infinitive: `submit the job`.
        error: The error that the SDK raised.
        address: The workspace.
        hint: The next step, as a sentence; by default the one for the kind of error. A refusal that has next steps of
            its own has these instead.
        then: A further step, as a sentence, whatever the error.

    Returns:
        An error with the action that failed, Azure's message and the next step.
    """
    what = (
        f"Failed to {action} in the Azure ML workspace `{address.name}` (resource group `{address.resource_group}`, "
        f"subscription `{address.subscription_id}`)"
    )
    found = refusal_of(error)
    if isinstance(error, SignInError):
        # The credential comes first: no other step helps without it.
        advice = _advice(error, address)
        if found is not None:
            advice = _sentences(found.advice(address), error.hint)
        return AuthenticationError(
            f"{what}: {error.what}.", azure_message=error.words, hint=_sentences(advice, hint, then)
        )
    if found is not None:
        return AzureMLError(
            f"{what}: {found.refusal.what}.",
            azure_message=error_message(error),
            hint=_sentences(found.advice(address), then),
        )
    return AzureMLError(
        f"{what}.", azure_message=error_message(error), hint=_sentences(hint or _advice(error, address), then)
    )


def error_message(error: AzureError) -> str:
    """Return Azure's message, without the SDK's additions and without control codes for a terminal."""
    return safe_text(_azure_words(error))


def _azure_words(error: AzureError) -> str:
    if not isinstance(error, HttpResponseError) or isinstance(error, DecodeError):
        return str(error.message or error).strip()
    code, message = error_in(error)
    words = f"({code}) {message}" if code and message else message
    found = refusal_of(error)
    if found is None:
        return words or _plain_words(error) or str(error.message or error).strip()
    # The statement that it was recognised by may be nested in a general one.
    cause = str(found.statement)
    if found.statement.message and found.statement.message not in words:
        words = f"{words} {cause}".strip()
    return words or cause or str(error.message or error).strip()


def _plain_words(error: HttpResponseError) -> str:
    """Return the words of an answer that is no JSON, such as the plain text of a gateway; empty if there are none."""
    answer = answer_of(error.response) if error.response is not None else None
    return answer.text if answer is not None and not (answer.is_page or _is_json(error)) else ""


def _is_json(error: HttpResponseError) -> bool:
    return "json" in str(getattr(error.response, "headers", {}).get("Content-Type") or "").lower()


def _sentences(*parts: str) -> str:
    """Join sentences; a part after one that ends with a command begins a line of its own."""
    joined = ""
    for part in filter(None, parts):
        separator = "\n" if "\n" in joined + part else " "
        joined += f"{separator if joined else ''}{part}"
    return joined


def is_missing_workspace(error: AzureError) -> bool:
    """Return True if the workspace was not found, rather than something in it."""
    return isinstance(error, HttpResponseError) and error_in(error)[0] in _ADDRESS_CODES


def _advice(error: AzureError, address: WorkspaceAddress) -> str:
    if isinstance(error, SignInError) and error.hint:
        return error.hint
    if isinstance(error, (ForeignHostError, DecodeError)):
        return (
            "Try again. If it happens again, check if a proxy or gateway answers instead of Azure (HTTPS_PROXY, "
            f"`arm_endpoint`, {ENDPOINT_VARIABLE}), and if `cloud` is right."
        )
    if isinstance(error, ClientAuthenticationError):
        return (
            "Check the credentials. The step operator uses, in this order: its service connector, the service "
            "principal in its configuration, and what the environment offers (environment variables, workload or "
            "managed identity, the login of the Azure CLI). An expired login is renewed by "
            f"`{az_login(address.cloud)}`, a service connector by `zenml service-connector verify NAME`."
        )
    if isinstance(error, (ServiceRequestError, ServiceResponseError)):
        return (
            f"Azure could not be reached at {address.cloud.resource_manager}. Check the network, a proxy, and its "
            "certificate (REQUESTS_CA_BUNDLE). The setting `arm_endpoint` and the environment variable "
            f"{ENDPOINT_VARIABLE} set the endpoint."
        )
    if isinstance(error, HttpResponseError):
        return _advice_on_answer(error, address)
    return "Try again. If it happens again, report it with the lines above."


def _advice_on_answer(error: HttpResponseError, address: WorkspaceAddress) -> str:
    code, _ = error_in(error)
    if code in _ADDRESS_CODES:
        return (
            f"Check the step operator's `{_ADDRESS_CODES[code]}` with `zenml step-operator describe NAME`, and correct "
            f"it with `zenml step-operator update NAME --{_ADDRESS_CODES[code]}=...`.{_OR_HIDDEN.get(code, '')}"
        )
    if error.status_code == 401:
        return (
            f"The credential's token was refused: log in again (`{az_login(address.cloud)}`), or renew the service "
            "connector."
        )
    if error.status_code == 403 and _ABOUT_PERMISSIONS.search(" ".join(error_in(error)) or "forbidden"):
        return (
            "The credential lacks permission. Its identity needs the roles `AzureML Data Scientist` and `AzureML "
            f"Compute Operator` on {address.path}."
        )
    if error.status_code == 429 or (error.status_code or 0) >= 500:
        return "Azure is busy or has an internal fault: try again in a few minutes (https://status.azure.com)."
    if error.status_code in (400, 404):  # a request that Azure understands, and finds wrong
        return "Correct what Azure names above, and run the step again."
    return (
        "The operator does not recognize this error. Follow Azure's message above. If it does not help, open a support "
        "request with it."
    )
