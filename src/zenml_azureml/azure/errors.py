"""What went wrong on Azure's side, in Azure's own words, and what to do next."""

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
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.azure.hosts import ForeignHostError
from zenml_azureml.azure.responses import error_in
from zenml_azureml.clouds import ENDPOINT_VARIABLE
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.safe_text import safe_text

#: Codes by which Resource Manager says that a part of the workspace's address leads nowhere.
#: Source: recorded and quoted answers of Resource Manager.
_ADDRESS_CODES = {
    "SubscriptionNotFound": "subscription_id",
    "InvalidSubscriptionId": "subscription_id",
    "ResourceGroupNotFound": "resource_group",
    "ResourceNotFound": "workspace_name",
    "ParentResourceNotFound": "workspace_name",
}


def explain(doing: str, error: AzureError, address: WorkspaceAddress, *, hint: str = "") -> AzureMLError:
    """The error to show for one that the SDK raised.

    Args:
        doing: What was being done, as a phrase: `submitting the job`.
        error: What the SDK raised.
        address: The workspace it was done in.
        hint: What to do next, as a sentence; by default what the error suggests.

    Returns:
        An error that names what failed, Azure's words and the next thing to do.
    """
    what = (
        f"{doing[0].upper()}{doing[1:]} failed in the Azure ML workspace `{address.name}` (resource group "
        f"`{address.resource_group}`, subscription `{address.subscription_id}`)"
    )
    advice = _advice(error, address)
    if isinstance(error, SignInError):
        # First of all the credential: without it, nothing else can be done.
        return AzureMLError(f"{what}: {error.what}.", azure_message=error.words, hint=f"{advice} {hint}".rstrip())
    return AzureMLError(f"{what}.", azure_message=error_message(error), hint=hint or advice)


def error_message(error: AzureError) -> str:
    """Azure's own message, without the SDK's decoration and what a terminal would obey."""
    return safe_text(_azure_words(error))


def _azure_words(error: AzureError) -> str:
    if isinstance(error, HttpResponseError) and not isinstance(error, DecodeError):
        code, message = error_in(error)
        if message:
            return f"({code}) {message}" if code else message
    return str(error.message or error).strip()


def is_missing_workspace(error: AzureError) -> bool:
    """Whether it was the workspace that was not found, rather than something in it."""
    return isinstance(error, HttpResponseError) and error_in(error)[0] in _ADDRESS_CODES


def _advice(error: AzureError, address: WorkspaceAddress) -> str:
    if isinstance(error, SignInError) and error.hint:
        return error.hint
    if isinstance(error, (ForeignHostError, DecodeError)):
        return (
            "Try again; if it stays, check whether something between this machine and Azure, such as a proxy, answers "
            f"in its place (HTTPS_PROXY, `arm_endpoint`, {ENDPOINT_VARIABLE}), and whether `cloud` is right."
        )
    if isinstance(error, ClientAuthenticationError):
        return (
            "Check the credentials. The step operator uses, in this order: its service connector, the service "
            "principal in its configuration, and what the environment offers (environment variables, workload or "
            "managed identity, `az login`). An expired login is renewed by `az login`, a service connector by "
            "`zenml service-connector verify NAME`."
        )
    if isinstance(error, (ServiceRequestError, ServiceResponseError)):
        return (
            f"Azure could not be reached at {address.cloud.resource_manager}. Check the network, a proxy, and its "
            "certificate (REQUESTS_CA_BUNDLE). The setting `arm_endpoint` and the environment variable "
            f"{ENDPOINT_VARIABLE} set the endpoint."
        )
    if isinstance(error, HttpResponseError):
        return _advice_on_answer(error, address)
    return "Try again; if it stays, report it with the lines above."


def _advice_on_answer(error: HttpResponseError, address: WorkspaceAddress) -> str:
    code, _ = error_in(error)
    if code in _ADDRESS_CODES:
        return (
            f"Check the step operator's `{_ADDRESS_CODES[code]}` with `zenml step-operator describe NAME`, and correct "
            f"it with `zenml step-operator update NAME --{_ADDRESS_CODES[code]}=...`."
        )
    if error.status_code == 401:
        return "The credential's token was refused: log in again (`az login`), or renew the service connector."
    if error.status_code == 403:
        return (
            "The credential may not do that. Its identity needs the roles `AzureML Data Scientist` and `AzureML "
            f"Compute Operator` on {address.path}."
        )
    if error.status_code == 429 or (error.status_code or 0) >= 500:
        return "Azure is busy or has a fault of its own: try again in some minutes (https://status.azure.com)."
    return "Change what Azure names above, and run the step again."
