"""Whose fault it is that signing in failed, and in which words."""

from __future__ import annotations

import json

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError, ServiceResponseError

from zenml_azureml.azure.auth.errors import SignInError, outage_behind, words_of

TRACES = "Trace ID: 0-1 Correlation ID: 2-3 Timestamp: 2026-06-15 08:22:51Z"


def raised(message: str, *causes: BaseException) -> ClientAuthenticationError:
    """An error of azure-identity that was raised from another, which was raised from the next."""
    error = ClientAuthenticationError(message)
    for above, below in zip((error, *causes), causes, strict=False):
        above.__cause__ = below
    return error


def bad_json() -> json.JSONDecodeError:
    with pytest.raises(json.JSONDecodeError) as error:
        json.loads("<html>")
    return error.value


@pytest.mark.parametrize(
    "error",
    [
        raised("Authentication failed: no route to host", ServiceRequestError("no route to host")),
        raised("Authentication failed: timed out", ServiceResponseError("timed out")),
        raised("ZenML's connector failed", RuntimeError("not connected"), ServiceRequestError("no route to host")),
        raised("Authentication failed: HTTP Error: 503", RuntimeError("HTTP Error: 503")),
        raised("Authentication failed: Expecting value", bad_json()),
        raised("Unexpected response from Microsoft Entra ID: <html></html>"),
    ],
    ids=[
        "no network",
        "no answer",
        "no network below a connector",
        "a fault of the server",
        "a proxy's page",
        "a proxy's page, to workload identity",
    ],
)
def test_who_did_not_answer_has_not_refused(error: ClientAuthenticationError) -> None:
    outage = outage_behind(error)

    assert isinstance(outage, (ServiceRequestError, ServiceResponseError))


@pytest.mark.parametrize(
    "error",
    [raised(f"Authentication failed: AADSTS7000215: Invalid. {TRACES}"), raised("no", RuntimeError("HTTP Error: 401"))],
)
def test_a_refusal_is_no_outage(error: ClientAuthenticationError) -> None:
    assert outage_behind(error) is None


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (f"Authentication failed: AADSTS1: Not so. {TRACES}", "AADSTS1: Not so."),
        ("AADSTS1: Not so.\r\nTrace ID: 0\r\nCorrelation ID: 1\r\nTimestamp: 2026-06-15 08:22:51Z", "AADSTS1: Not so."),
        (
            f'A: AADSTS1: Not so. {TRACES}\nContent: {{"trace_id": "0"}}\n\tB: nothing',
            "A: AADSTS1: Not so.\n\tB: nothing",
        ),
        (
            "A is missing.\nVisit https://aka.ms/a to troubleshoot this issue.\nTo mitigate this issue, please refer "
            "to the troubleshooting guidelines here at https://aka.ms/b.",
            "A is missing.",
        ),
        (
            "AADSTS7000222: expired. Visit the Azure portal to create new keys",
            "AADSTS7000222: expired. Visit the Azure portal to create new keys",
        ),
    ],
)
def test_what_only_helps_the_support_is_left_out(message: str, words: str) -> None:
    assert words_of(ClientAuthenticationError(message)) == words


def test_the_error_reads_as_a_sentence() -> None:
    assert (
        str(SignInError("the credential `c` could not sign in", "no", "try"))
        == "The credential `c` could not sign in: no"
    )
    assert str(SignInError("the credential `c` could not sign in", "", "try")) == "The credential `c` could not sign in"
