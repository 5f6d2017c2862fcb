"""Mapping of the SDK's errors to ours, with Azure's message and the next steps."""

from __future__ import annotations

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


def explain(doing: str, error: AzureError, address: WorkspaceAddress, *, hint: str = "") -> AzureMLError:
    """Return the error to show for one that the SDK raised.

    Args:
        doing: The activity that failed, as a phrase: `submitting the job`.
        error: The error that the SDK raised.
        address: The workspace.
        hint: The next step, as a sentence; by default the one for the kind of error.

    Returns:
        An error with the activity that failed, Azure's message and the next step.
    """
    what = (
        f"{doing[0].upper()}{doing[1:]} failed in the Azure ML workspace `{address.name}` (resource group "
        f"`{address.resource_group}`, subscription `{address.subscription_id}`)"
    )
    advice = _advice(error, address)
    if isinstance(error, SignInError):
        # The credential comes first: no other step helps without it.
        return AuthenticationError(
            f"{what}: {error.what}.", azure_message=error.words, hint=f"{advice} {hint}".rstrip()
        )
    return AzureMLError(f"{what}.", azure_message=error_message(error), hint=hint or advice)


def error_message(error: AzureError) -> str:
    """Return Azure's message, without the SDK's additions and without control codes for a terminal."""
    return safe_text(_azure_words(error))


def _azure_words(error: AzureError) -> str:
    if isinstance(error, HttpResponseError) and not isinstance(error, DecodeError):
        code, message = error_in(error)
        if message:
            return f"({code}) {message}" if code else message
    return str(error.message or error).strip()


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
            f"it with `zenml step-operator update NAME --{_ADDRESS_CODES[code]}=...`."
        )
    if error.status_code == 401:
        return (
            f"The credential's token was refused: log in again (`{az_login(address.cloud)}`), or renew the service "
            "connector."
        )
    if error.status_code == 403:
        return (
            "The credential lacks permission. Its identity needs the roles `AzureML Data Scientist` and `AzureML "
            f"Compute Operator` on {address.path}."
        )
    if error.status_code == 429 or (error.status_code or 0) >= 500:
        return "Azure is busy or has an internal fault: try again in a few minutes (https://status.azure.com)."
    return "Change what Azure names above, and run the step again."
