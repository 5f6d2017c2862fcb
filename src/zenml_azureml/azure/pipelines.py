"""The azure-core pipelines of one workspace: their policies in order, and requests that the SDK has no method for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from azure.core import PipelineClient
from azure.core.credentials import TokenCredential
from azure.core.exceptions import ClientAuthenticationError, ResourceExistsError, ResourceNotFoundError, map_error
from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy, UserAgentPolicy
from azure.core.rest import HttpRequest, HttpResponse

from zenml_azureml.azure.auth.refreshing_credential import RenewingCredential
from zenml_azureml.azure.auth.refused_tokens import RefusalPolicy, RenewalPolicy
from zenml_azureml.azure.policies import (
    AnswerPolicy,
    EndpointPolicy,
    HostPolicy,
    PerPipeline,
    RateLimitPolicy,
    ReadablePausePolicy,
    WebPagePolicy,
    WirePolicies,
)
from zenml_azureml.azure.rate_limiter import Pacer
from zenml_azureml.azure.refusals.recognition import FinalRefusalPolicy
from zenml_azureml.azure.responses import AnswerError, Answers, address_of, object_of

#: Raises for a URL that a request must not go to.
Check = Callable[[str], None]

_ERRORS = {401: ClientAuthenticationError, 404: ResourceNotFoundError, 409: ResourceExistsError}


class Policies:
    """Policies for any number of pipelines, around the state that these share. Thread-safe, as that state is.

    Args:
        credential: Returns the credential of the workspace.
        answers: Notes of the answers.
        pacer: The rate limiter of the subscription.
        endpoints: See `EndpointPolicy`.
    """

    def __init__(
        self, credential: Callable[[], RenewingCredential], answers: Answers, pacer: Pacer, endpoints: Mapping[str, str]
    ) -> None:
        self._credential = credential
        self._answers = answers
        self._wire = (WebPagePolicy(), RateLimitPolicy(pacer), EndpointPolicy(endpoints), ReadablePausePolicy())

    def before_sign_in(self, check: Check) -> PerPipeline:
        """Return the policies of each try of a request, before a token is requested: `per_retry_policies`."""
        return PerPipeline(lambda: HostPolicy(check), lambda: RenewalPolicy(self._credential()))

    def after_sign_in(self, check: Check) -> WirePolicies:
        """Return the policies of all that is sent: `custom_hook_policy`.

        They check hosts too: one of the SDK's pipelines does not take the policies of `before_sign_in`.
        """
        own = (FinalRefusalPolicy(), HostPolicy(check), AnswerPolicy(self._answers), RefusalPolicy(self._credential()))
        return WirePolicies([*own, *self._wire])

    def with_tokens(self, credential: TokenCredential, scope: str, check: Check) -> list[Any]:
        """Return all policies of a pipeline without retries.

        Args:
            credential: Has the tokens.
            scope: The scope of the tokens.
            check: Raises for a URL that a request must not go to.
        """
        return [
            UserAgentPolicy(sdk_moniker="zenml-azureml"),
            RetryPolicy.no_retries(),  # the caller decides about retries
            *self.before_sign_in(check),
            BearerTokenCredentialPolicy(credential, scope),
            self.after_sign_in(check),
        ]

    def without_tokens(self) -> list[Any]:
        """Return all policies of a pipeline without retries and without tokens, such as for SAS URLs."""
        return [UserAgentPolicy(sdk_moniker="zenml-azureml"), RetryPolicy.no_retries(), *self._wire]


def get_object(pipeline: PipelineClient[HttpRequest, HttpResponse], url: str) -> dict[str, Any]:
    """Send one GET, and return the body, which is a JSON object.

    Args:
        pipeline: Sends it.
        url: The whole URL.

    Raises:
        azure.core.exceptions.AzureError: If the service cannot be reached or answers with an error, or with anything
            but a JSON object.
    """
    response: HttpResponse = pipeline.send_request(HttpRequest("GET", url))
    # Raise the same errors as the SDK for these answers.
    map_error(response.status_code, response, _ERRORS)
    response.raise_for_status()
    if 300 <= response.status_code < 400:
        raise AnswerError(f"{address_of(url)} answered with a redirect, which is not followed.")
    try:
        body = response.json()
    except (ValueError, RecursionError) as error:
        words = "nothing" if not response.content else "something that is not JSON"
        raise AnswerError(f"{address_of(url)} answered with {words}; it may be the answer of a proxy.") from error
    return object_of(body, url)
