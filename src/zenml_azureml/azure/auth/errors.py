"""What went wrong with signing in: whose fault it is, in Microsoft Entra's own words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

#: What Microsoft Entra says for its own support, and azure-identity in front of it and behind it.
_NOISE = re.compile(
    r"\s*Trace ID: \S+\s+Correlation ID: \S+\s+Timestamp: [\d-]+ [\d:]+Z\.?"
    r"|Authentication failed: "
    r"|\s*To mitigate this issue, please refer to the troubleshooting guidelines here at \S+"
    r"|\s*Visit \S+ to troubleshoot this issue\.?"
    r"|\s*Content: \{[^\n]*"
)

#: Source: msal, `NormalizedResponse.raise_for_status`.
_SERVER_FAULT = re.compile(r"HTTP Error: 5\d\d")

#: Source: azure-identity, of an answer that holds neither a token nor Microsoft Entra's error: nobody has refused.
_NO_ANSWER = re.compile(r"Unexpected response from Microsoft Entra ID")


class SignInError(ClientAuthenticationError):
    """A credential that gives no token, or whose tokens Azure does not take, and that could not be renewed.

    Args:
        what: Which credential failed at what, as a sentence without its full stop.
        words: Microsoft Entra's or Azure's own words; empty where nobody of them said anything.
        hint: What to do, as sentences.

    Attributes:
        what: As above.
        words: As above.
        hint: As above.
    """

    def __init__(self, what: str, words: str, hint: str) -> None:
        sentence = what[0].upper() + what[1:]
        super().__init__(message=f"{sentence}: {words}" if words else sentence)
        self.what = what
        self.words = words
        self.hint = hint


class SourceError(ClientAuthenticationError):
    """What the place that a credential comes from said instead of giving one. Not Azure's words.

    Args:
        message: As a clause that follows a colon.
        hint: What to do, as sentences; empty for what is done about its kind of credential.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message=message)
        self.hint = hint


def words_of(error: ClientAuthenticationError) -> str:
    """The words of a refusal, without what only helps the support of who says them."""
    return _NOISE.sub("", str(error.message)).strip()


def outage_behind(error: ClientAuthenticationError) -> AzureError | None:
    """Why signing in was not possible, where nobody has refused it: no network, or a fault of the login server.

    azure-identity raises the same for those as for a refusal.

    Args:
        error: What azure-identity raised.

    Returns:
        An error that says so; None where the credential was refused.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, (ServiceRequestError, ServiceResponseError)):
            return cause
        if isinstance(cause, HttpResponseError) and (cause.status_code == 429 or (cause.status_code or 0) >= 500):
            return cause
    a_proxys_page = any(isinstance(cause, json.JSONDecodeError) for cause in causes)
    message = str(error.message)
    if a_proxys_page or _SERVER_FAULT.search(message) or _NO_ANSWER.search(message):
        return ServiceResponseError(f"The login server did not answer as it should: {words_of(error)}")
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__
    while cause is not None:
        yield cause
        cause = cause.__cause__
