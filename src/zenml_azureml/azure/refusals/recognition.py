"""Recognises the refusal that an error of the SDK stands for."""

from __future__ import annotations

from typing import Any

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import SansIOHTTPPolicy

from zenml_azureml.azure.auth.errors import SignInError
from zenml_azureml.azure.refusals.answers import Answer, read_answer
from zenml_azureml.azure.refusals.lookup import recognised, recognised_in
from zenml_azureml.azure.refusals.refusal import Found

#: Statuses after which azure-core sends a request again.
_RETRIED = frozenset({408, 429})


class RefusedError(ClientAuthenticationError):
    """An answer with a status that azure-core retries, for a refusal that no retry changes.

    It is a `ClientAuthenticationError` because azure-core retries after any other error.
    """


class FinalRefusalPolicy(SansIOHTTPPolicy[Any, Any]):
    """Ends azure-core's retries if an answer is a refusal that no retry changes, such as a 502 of a private link."""

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        """Check an answer.

        Raises:
            RefusedError: If azure-core would send the request again for nothing.
        """
        answer = response.http_response
        if answer.status_code not in _RETRIED and answer.status_code < 500:
            return
        found = recognised(answer_of(answer))
        if found is not None and not found.refusal.may_pass:
            raise RefusedError(response=answer)


def answer_of(response: Any) -> Answer:
    """Return what an answer of either of azure-core's two kinds says.

    Args:
        response: The answer; its body is read if that has not been done.
    """
    headers = response.headers
    try:
        if hasattr(response, "read"):
            response.read()
        body = response.text()
    except (AzureError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError):
        body = ""
    code, content_type = headers.get("x-ms-error-code"), headers.get("Content-Type")
    return read_answer(
        int(response.status_code or 0), str(body or ""), code=str(code or ""), content_type=str(content_type or "")
    )


def refusal_of(error: BaseException) -> Found | None:
    """Return the refusal that an error stands for; None if it is none of the table.

    Args:
        error: The error of the SDK.
    """
    if isinstance(error, SignInError):
        found = recognised_in(error.words)
        return found if found is not None and found.refusal.is_about_token else None
    if not isinstance(error, HttpResponseError):
        return None
    if error.response is not None:
        return recognised(answer_of(error.response))
    return recognised_in(str(error.message))


def refuses_token(response: Any) -> bool:
    """Return True if an answer with the status 401 is about the token, and not a refusal of another kind."""
    found = recognised(answer_of(response))
    return found is None or found.refusal.is_about_token
