"""Tokens for one workspace, renewed for as long as the source of their credential allows it."""

from __future__ import annotations

import base64
import binascii
import re
import threading
import time as wall_clock
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from zenml_azureml.azure.auth.errors import SignInError, SourceError, outage_behind, words_of
from zenml_azureml.azure.responses import error_in
from zenml_azureml.clock import SYSTEM_TIME, Time
from zenml_azureml.clouds import Cloud

#: A token is renewed if it expires within this number of seconds; the same value as in azure-core.
RENEW_BEFORE_END = 300

#: Seconds without another sign-in after a credential could not be renewed. Threads that wait for a job request a token
#: every second, and Microsoft Entra locks out accounts after too many failed sign-ins.
PAUSE_AFTER_FAILURE = 10

_CLAIMS = re.compile(r'\bclaims="([^"]+)"', re.IGNORECASE)


@runtime_checkable
class SourcedCredential(Protocol):
    """A credential that knows its source."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token for these scopes."""

    def describe(self) -> str:
        """Return the name of the credential, as it stands in the middle of a sentence."""

    def advice(self) -> str:
        """Return the next steps if it is refused, as sentences; empty for those of any credential."""

    def again(self) -> SourcedCredential | None:
        """Read the credential from its source again, without the tokens of the present one.

        Returns:
            The credential; None if the present one never worked and the source has no other.

        Raises:
            azure.core.exceptions.ClientAuthenticationError: If the source has none any more.
        """


class RenewingCredential:
    """A credential that renews its tokens, and that is read from its source again if Azure refuses it.

    It never requests a token of another cloud. Some of the SDK's calls take their scope from the cloud in
    AZUREML_CURRENT_CLOUD, not from their client: with every job that it submits or gets, the SDK requests a token of
    Resource Manager to add the tenant to the Studio URL.
    Source: azure-ai-ml, `JobOperations._append_tid_to_studio_url`.

    Thread-safe: one lock is held during the request for a token, so that a hundred threads send one request.

    Args:
        make: Makes the credential.
        cloud: The cloud of its tokens.
        time: Source of time.
    """

    def __init__(self, make: Callable[[], TokenCredential], cloud: Cloud, time: Time = SYSTEM_TIME) -> None:
        self._credential = _sourced(make(), make)
        self._cloud = cloud
        self._time = time
        self._lock = threading.Lock()
        self._issued: dict[tuple[tuple[str, ...], str | None], _Issued] = {}
        #: Arguments of the last error, and the time until which it is raised again without a request.
        self._failure: tuple[tuple[str, str, str], float] | None = None

    def get_token(self, *scopes: str, claims: str | None = None, **options: Any) -> AccessToken:
        """Return a token for these scopes, each under its name in this cloud.

        Args:
            scopes: The scopes.
            claims: Further claims that the token must have, from a claims challenge.
            options: `tenant_id`, for another tenant than the credential's own.

        Raises:
            SignInError: If there is no token. It names the credential.
            azure.core.exceptions.AzureError: If the login server cannot be reached or has an internal fault.
        """
        own = tuple(self._cloud.own_scope(scope) for scope in scopes)
        key = (own, options.get("tenant_id"))
        issued = self._issued.get(key)
        if issued is None or not issued.serves(claims):
            with self._lock:
                issued = self._issued.get(key)
                if issued is None or not issued.serves(claims):
                    wanted = claims or (issued.demanded if issued is not None else None)
                    # With continuous access evaluation, Azure may revoke tokens at once, and gives them a longer life.
                    token = self._new_token(issued, own, {**options, "claims": wanted, "enable_cae": True})
                    issued = self._issued[key] = _Issued(token, self._credential, wanted)
        return issued.token

    def describe(self) -> str:
        """Return the name of the present credential, as it stands in the middle of a sentence."""
        return self._credential.describe()

    def note_refusal(self, token: str, challenge: str) -> None:
        """Issue no token again that Azure has refused.

        Args:
            token: The token.
            challenge: The `WWW-Authenticate` header of the refusal, which may name claims that a token must have;
                empty if there is none.
        """
        demanded = _claims_of(challenge)
        with self._lock:
            for issued in self._issued.values():
                if issued.token.token == token:
                    issued.refused, issued.demanded = True, demanded

    def refused(self, answer: Any) -> SignInError:
        """Return the error for an answer that refuses a new token, after an earlier one was refused.

        Args:
            answer: An answer of azure-core.
        """
        if hasattr(answer, "read"):
            answer.read()  # the body may not have been read yet
        code, message = error_in(HttpResponseError(response=answer))
        words = f"({code}) {message}" if code else message or f"{answer.status_code} {answer.reason}"
        return self._error("signed in, but its tokens are refused", words)

    def _new_token(self, former: _Issued | None, scopes: tuple[str, ...], options: dict[str, Any]) -> AccessToken:
        if self._failure is not None and self._time.monotonic() < self._failure[1]:
            raise SignInError(*self._failure[0])
        refusal: ClientAuthenticationError | None = None
        refused = former if former is not None and former.refused else None
        # Without claims, azure-identity would return the refused token from its cache.
        if options["claims"] or refused is None or refused.by is not self._credential:
            try:
                token = self._credential.get_token(*scopes, **options)
                if refused is None or token.token != refused.token.token:
                    return self._got(token)
            except ClientAuthenticationError as error:
                refusal = _refusal(error)
        try:
            fresh = self._credential.again()
            if fresh is not None:
                self._credential = fresh
                return self._got(fresh.get_token(*scopes, **options))
        except ClientAuthenticationError as error:
            refusal = _refusal(error)
        raise self._could_not_sign_in(refusal) from refusal

    def _got(self, token: AccessToken) -> AccessToken:
        self._failure = None
        return token

    def _could_not_sign_in(self, refusal: ClientAuthenticationError | None) -> SignInError:
        if isinstance(refusal, SourceError):
            error = self._error(f"could not sign in: {refusal.message}", "", refusal.hint)
        else:
            error = self._error("could not sign in", words_of(refusal) if refusal else "")
        self._failure = (error.what, error.words, error.hint), self._time.monotonic() + PAUSE_AFTER_FAILURE
        return error

    def _error(self, how: str, words: str, hint: str = "") -> SignInError:
        credential = self._credential
        return SignInError(f"{credential.describe()} {how}", words, hint or credential.advice())


@dataclass
class _Issued:
    """A token that is in use.

    Attributes:
        token: The token.
        by: The credential that it comes from.
        claims: Claims that were requested in addition to its scopes.
        refused: True if Azure has refused it.
        demanded: Claims that Azure demanded when it refused it.
    """

    token: AccessToken
    by: SourcedCredential
    claims: str | None
    refused: bool = False
    demanded: str | None = None

    def serves(self, claims: str | None) -> bool:
        """Return True if it may be used for a request with these claims."""
        fitting = claims is None or claims == self.claims
        return fitting and not self.refused and self.token.expires_on - wall_clock.time() > RENEW_BEFORE_END


class _Unnamed:
    """A credential of unknown source, with the function that makes it."""

    def __init__(self, credential: TokenCredential, make: Callable[[], TokenCredential]) -> None:
        self._credential = credential
        self._make = make

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return self._credential.get_token(*scopes, **options)

    def describe(self) -> str:
        return f"the credential `{type(self._credential).__name__}`"

    def advice(self) -> str:
        return ""

    def again(self) -> SourcedCredential:
        return _sourced(self._make(), self._make)


def _sourced(credential: TokenCredential, make: Callable[[], TokenCredential]) -> SourcedCredential:
    return credential if isinstance(credential, SourcedCredential) else _Unnamed(credential, make)


def _refusal(error: ClientAuthenticationError) -> ClientAuthenticationError:
    """Return the error itself.

    Raises:
        azure.core.exceptions.AzureError: If it is no refusal, because the login server was unavailable.
    """
    outage = outage_behind(error)
    if outage is not None:
        raise outage
    return error


def _claims_of(challenge: str) -> str | None:
    """Return the claims that a challenge demands; None if it demands none that can be read."""
    found = _CLAIMS.search(challenge)
    try:
        encoded = found[1] if found else ""
        decoded = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    return decoded or None
