"""Sign-in errors, with Microsoft Entra's message."""

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

#: Parts of a message that Microsoft Entra adds for its support, and that azure-identity adds before and after.
_NOISE = re.compile(
    r"\s*Trace ID: \S+\s+Correlation ID: \S+\s+Timestamp: [\d-]+ [\d:]+Z\.?"
    r"|Authentication failed: "
    r"|\s*To mitigate this issue, please refer to the troubleshooting guidelines here at \S+"
    r"|\s*Visit \S+ to troubleshoot this issue\.?"
    r"|\s*Content: \{[^\n]*"
)

#: Source: msal, `NormalizedResponse.raise_for_status`.
_SERVER_FAULT = re.compile(r"HTTP Error: 5\d\d")

#: Source: azure-identity, for an answer with neither a token nor an error of Microsoft Entra: this is no refusal.
_NO_ANSWER = re.compile(r"Unexpected response from Microsoft Entra ID")


class SignInError(ClientAuthenticationError):
    """A credential that gets no token, or whose tokens Azure refuses, and that could not be renewed.

    Args:
        what: The credential and its failure, as a sentence without its full stop.
        words: Microsoft Entra's or Azure's message; empty if there is none.
        hint: The next steps, as sentences.

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
    """A failure of the source that a credential comes from. The message is not Azure's.

    Args:
        message: The failure, as a clause that follows a colon.
        hint: The next steps, as sentences; empty for those of its kind of credential.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message=message)
        self.hint = hint


def words_of(error: ClientAuthenticationError) -> str:
    """Return the message of a refusal, without the parts for Microsoft's support."""
    return _NOISE.sub("", str(error.message)).strip()


def outage_behind(error: ClientAuthenticationError) -> AzureError | None:
    """Return the outage that prevented a sign-in: no network, or a fault of the login server.

    azure-identity raises the same error for an outage as for a refusal.

    Args:
        error: The error of azure-identity.

    Returns:
        An error for the outage; None if the credential was refused.
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
        return ServiceResponseError(f"The login server sent an unexpected answer: {words_of(error)}")
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__
    while cause is not None:
        yield cause
        cause = cause.__cause__
