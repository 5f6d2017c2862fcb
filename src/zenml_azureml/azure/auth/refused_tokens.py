"""The azure-core policies for tokens that Azure refuses: each request is sent once more, with a new token.

An answer with the status 401 may refuse something else, such as a request from outside a private network: no other
token changes that.

azure-core itself does that for challenges with claims only. `RefusalPolicy` comes after its authentication, and sees
each answer; `RenewalPolicy` comes before it.
"""

from __future__ import annotations

from typing import Any

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import HTTPPolicy, SansIOHTTPPolicy

from zenml_azureml.azure.auth.refreshing_credential import RenewingCredential
from zenml_azureml.azure.refusals.recognition import refuses_token

#: Key in the context of a request: the number of its tokens that were refused.
_REFUSALS = "zenml_azureml_refusals"


class RefusalPolicy(SansIOHTTPPolicy[Any, Any]):
    """Notes refused tokens for the credential, before azure-core requests another one.

    Args:
        credential: The credential.
    """

    def __init__(self, credential: RenewingCredential) -> None:
        self._credential = credential

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        """Note the token of a request, if it was refused."""
        token = _refused_token(response)
        if token is not None:
            request.context[_REFUSALS] = _refusals(request) + 1
            challenge = response.http_response.headers.get("WWW-Authenticate", "")
            self._credential.note_refusal(token, challenge)


class RenewalPolicy(HTTPPolicy[Any, Any]):
    """Sends a request once more if its token was refused.

    After a refusal, azure-core's authentication drops its token, and requests another one for the next request.

    Args:
        credential: The credential.
    """

    def __init__(self, credential: RenewingCredential) -> None:
        super().__init__()
        self._credential = credential

    def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Send a request, with a new token if the first one is refused.

        Raises:
            SignInError: If the new token is refused too.
        """
        before = _refusals(request)
        response = self._send_first(request, before)
        if response is None or (_refused_token(response) is not None and _refusals(request) == before + 1):
            response = self.next.send(request)
        if _refused_token(response) is not None:
            raise self._credential.refused(response.http_response)
        return response

    def _send_first(self, request: PipelineRequest[Any], before: int) -> PipelineResponse[Any, Any] | None:
        """Send a request; return None if it was refused with a challenge that azure-core cannot decode."""
        try:
            return self.next.send(request)
        except ValueError:
            if _refusals(request) == before:
                raise
            return None


def _refusals(request: PipelineRequest[Any]) -> int:
    number: int = request.context.get(_REFUSALS, 0)
    return number


def _refused_token(response: PipelineResponse[Any, Any]) -> str | None:
    """Return the token of a request, if the answer refuses it."""
    answer = response.http_response
    scheme, _, token = response.http_request.headers.get("Authorization", "").partition(" ")
    return token if answer.status_code == 401 and scheme == "Bearer" and refuses_token(answer) else None
