"""The azure-core policies of all requests of a workspace: allowed hosts, rate limit, custom endpoints, proxies' pages.

azure-core gives each pipeline a runner of its own for a `SansIOHTTPPolicy`, so that one object may serve any number of
pipelines. It sets `next` on an `HTTPPolicy`, so that one object serves one pipeline only: `PerPipeline` makes these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import CustomHookPolicy, HTTPPolicy, SansIOHTTPPolicy

from zenml_azureml.azure.rate_limiter import Pacer
from zenml_azureml.azure.responses import Answers
from zenml_azureml.azure.retry_after import make_readable

Policy = SansIOHTTPPolicy[Any, Any]


class HostPolicy(Policy):
    """Refuses requests to other hosts, even if the address is from a link, a redirect or a header of an answer.

    Args:
        check: Raises for a URL that a request must not go to.
    """

    def __init__(self, check: Callable[[str], None]) -> None:
        self._check = check

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """Check the URL of a request.

        Raises:
            azure.core.exceptions.AzureError: If the request must not go there.
        """
        self._check(request.http_request.url)


class RateLimitPolicy(Policy):
    """Sends requests only as fast as Resource Manager accepts them.

    Args:
        pacer: The rate limiter, which all pipelines to a subscription share.
    """

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """Wait until a request may be sent."""
        self._pacer.before(request.http_request.method, request.http_request.url)

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        """Read the number of requests that Resource Manager still accepts."""
        sent = request.http_request
        self._pacer.after(sent.method, sent.url, response.http_response.headers)


class EndpointPolicy(Policy):
    """Sends requests to custom endpoints if these are configured.

    Args:
        endpoints: The address to use instead, for each address that must not be used. In the first URL, scheme, host
            and port count; the second may have a path prefix.
    """

    def __init__(self, endpoints: Mapping[str, str]) -> None:
        self._endpoints = {_origin(url): to.rstrip("/") for url, to in endpoints.items()}

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """Change the URL of a request, unless this was done when it was sent before."""
        url = request.http_request.url
        target = self._endpoints.get(_origin(url))
        if target is not None and not url.startswith(target):
            parts = urlsplit(url)
            request.http_request.url = target + url[len(f"{parts.scheme}://{parts.netloc}") :]


class WebPagePolicy(Policy):
    """Refuses web pages, which each part of the SDK would fail to read in its own way."""

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        """Check the type of an answer.

        Raises:
            azure.core.exceptions.ServiceResponseError: If a proxy has answered with a web page.
        """
        answer = response.http_response
        kind = str(answer.headers.get("Content-Type", "")).lower()
        if answer.status_code < 300 and kind.startswith("text/html"):
            answer.internal_response.close()
            raise ServiceResponseError(
                f"{_origin(request.http_request.url)[1]} answered with a web page: something on the way, such as a "
                "proxy that wants a login, has answered in its place."
            )


class ReadablePausePolicy(Policy):
    """Makes `Retry-After` headers readable for azure-core, whatever a server writes there."""

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        """Rewrite the headers of an answer that request a pause."""
        make_readable(response.http_response.headers)


class AnswerPolicy(Policy):
    """Notes the answers to a thread's requests.

    Args:
        answers: The notes.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        """Note an answer."""
        sent, answer = request.http_request, response.http_response
        self._answers.take(sent.method, sent.url, answer.status_code, _body_of(answer))


class WirePolicies(CustomHookPolicy[Any, Any]):
    """Policies that see each request immediately before it is sent, and its answer first.

    This is azure-core's `custom_hook_policy`, which comes after the authentication: whatever is sent again passes it
    again, also if azure-core's authentication sends it.

    Args:
        policies: The policies, in the order in which they see a request; they see the answer in the reverse order.
    """

    def __init__(self, policies: Sequence[Policy]) -> None:
        super().__init__()
        self._policies = tuple(policies)

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """Hand a request to each policy."""
        super().on_request(request)
        for policy in self._policies:
            policy.on_request(request)

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        """Hand an answer to each policy."""
        for policy in reversed(self._policies):
            policy.on_response(request, response)
        super().on_response(request, response)


class PerPipeline(Iterable["HTTPPolicy[Any, Any] | Policy"]):
    """The `per_retry_policies` of any number of pipelines: each iteration yields new objects.

    Args:
        makers: Make the policies, in their order in a pipeline.
    """

    def __init__(self, *makers: Callable[[], HTTPPolicy[Any, Any] | Policy]) -> None:
        self._makers = makers

    def __iter__(self) -> Iterator[HTTPPolicy[Any, Any] | Policy]:
        """Make the policies of one pipeline."""
        return iter([make() for make in self._makers])


def _body_of(answer: Any) -> bytes:
    """Return the body of an answer of either of azure-core's two kinds."""
    body: bytes = answer.body() if hasattr(answer, "body") and callable(answer.body) else answer.content
    return body


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or 443
