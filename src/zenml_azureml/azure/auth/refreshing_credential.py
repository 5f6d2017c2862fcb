"""Tokens for one workspace, renewed for as long as where their credential comes from allows it."""

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
from azure.core.pipeline import PipelineResponse

from zenml_azureml.azure.auth.errors import SignInError, SourceError, outage_behind, words_of
from zenml_azureml.azure.responses import error_in
from zenml_azureml.clock import SYSTEM_TIME, Time
from zenml_azureml.clouds import Cloud

#: Seconds before its end from which a token is not used any more without asking for another; as azure-core has it.
RENEW_BEFORE_END = 300

#: Seconds for which nobody is asked again once a credential could not be renewed. Whoever waits for a job asks every
#: second, and Microsoft Entra locks out who signs in wrongly too often.
PAUSE_AFTER_FAILURE = 10

#: Claims that ask for nothing.
_NO_CLAIMS = "{}"

_CLAIMS = re.compile(r'\bclaims="([^"]+)"', re.IGNORECASE)

#: Marks a request in its context whose token has been renewed already.
_RENEWED = "zenml_azureml_renewed"


@runtime_checkable
class SourcedCredential(Protocol):
    """A credential that knows where it comes from."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token for these scopes."""

    def describe(self) -> str:
        """Which credential it is, in the middle of a sentence."""

    def advice(self) -> str:
        """What to do when it is refused, as sentences; empty for what helps with any credential."""

    def again(self) -> SourcedCredential | None:
        """The same credential from a new look at where it comes from, with no token of the present one.

        Returns:
            The credential; None where the present one never worked and a new look has nothing else to offer.

        Raises:
            azure.core.exceptions.ClientAuthenticationError: If there is none any more.
        """


class RenewingCredential:
    """A credential whose tokens are renewed, and that is looked up anew at its source when it is refused.

    It is never asked for a token of another cloud. Some of the SDK's calls take their scope from the cloud in
    AZUREML_CURRENT_CLOUD, not from their client: with every job that it submits or gets, it asks for a token of
    Resource Manager to add the tenant to the Studio URL.
    Source: azure-ai-ml, `JobOperations._append_tid_to_studio_url`.

    Thread-safe: one lock is held while somebody is asked for a token, so that a hundred threads ask once.

    Args:
        make: Makes the credential.
        cloud: The cloud that its tokens are for.
        time: Where the time comes from.
    """

    def __init__(self, make: Callable[[], TokenCredential], cloud: Cloud, time: Time = SYSTEM_TIME) -> None:
        self._credential = _sourced(make(), make)
        self._cloud = cloud
        self._time = time
        self._lock = threading.Lock()
        self._issued: dict[tuple[tuple[str, ...], str | None], _Issued] = {}
        #: What the last failure is told with, and until when it is told without asking anybody.
        self._failure: tuple[tuple[str, str, str], float] | None = None

    def get_token(self, *scopes: str, claims: str | None = None, **options: Any) -> AccessToken:
        """A token for these scopes, each as it is called in this cloud.

        Args:
            scopes: What it is for.
            claims: What the token must have beside, as a claims challenge says it.
            options: `tenant_id`, for another tenant than the credential's own.

        Raises:
            SignInError: If there is none to be had. It names the credential.
            azure.core.exceptions.AzureError: If the login server cannot be reached or has a fault of its own.
        """
        own = tuple(self._cloud.own_scope(scope) for scope in scopes)
        wanted = None if claims == _NO_CLAIMS else claims
        key = (own, options.get("tenant_id"))
        issued = self._issued.get(key)
        if issued is None or not issued.serves(wanted):
            with self._lock:
                issued = self._issued.get(key)
                if issued is None or not issued.serves(wanted):
                    # Tokens that Azure may revoke at once with a challenge, and lets live longer for that.
                    token = self._new_token(issued, own, {**options, "claims": wanted, "enable_cae": True})
                    issued = self._issued[key] = _Issued(token, self._credential, wanted)
        return issued.token

    def describe(self) -> str:
        """Which credential it is by now, in the middle of a sentence."""
        return self._credential.describe()

    def on_response(self, response: PipelineResponse[Any, Any]) -> None:
        """See to it that a token that was refused is renewed, and its request sent once more.

        azure-core does both for a claims challenge only. So every other refusal is made one, which asks for nothing
        but another token. For azure-core's `raw_response_hook`, which is called before its authentication looks at
        the answer.

        Raises:
            SignInError: If the new token is refused too.
        """
        answer = response.http_response
        scheme, _, token = response.http_request.headers.get("Authorization", "").partition(" ")
        if answer.status_code != 401 or scheme != "Bearer":
            return
        self._note_refusal(token)
        if response.context.get(_RENEWED):
            raise self._refused(answer)
        response.context[_RENEWED] = True
        claims = _asked_for(answer.headers.get("WWW-Authenticate", ""))
        encoded = base64.b64encode(claims.encode()).decode()
        answer.headers["WWW-Authenticate"] = f'Bearer error="insufficient_claims", claims="{encoded}"'

    def _note_refusal(self, token: str) -> None:
        with self._lock:
            for issued in self._issued.values():
                if issued.token.token == token:
                    issued.refused = True

    def _refused(self, answer: Any) -> SignInError:
        if hasattr(answer, "read"):
            answer.read()  # it may have been left on the wire
        code, message = error_in(HttpResponseError(response=answer))
        words = f"({code}) {message}" if code else message or f"{answer.status_code} {answer.reason}"
        return self._error("signed in, but its tokens are refused", words)

    def _new_token(self, former: _Issued | None, scopes: tuple[str, ...], options: dict[str, Any]) -> AccessToken:
        if self._failure is not None and self._time.monotonic() < self._failure[1]:
            raise SignInError(*self._failure[0])
        refusal: ClientAuthenticationError | None = None
        refused = former if former is not None and former.refused else None
        # Without claims, azure-identity would give the refused token out of its cache.
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
        by: Who gave it.
        claims: What was asked of it beside its scopes.
        refused: Whether Azure has refused it.
    """

    token: AccessToken
    by: SourcedCredential
    claims: str | None
    refused: bool = False

    def serves(self, claims: str | None) -> bool:
        """Whether it may be used, for somebody who wants these claims."""
        fitting = claims is None or claims == self.claims
        return fitting and not self.refused and self.token.expires_on - wall_clock.time() > RENEW_BEFORE_END


class _Unnamed:
    """A credential of which nothing is known but how it is made."""

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
    """The error itself.

    Raises:
        azure.core.exceptions.AzureError: If nobody refused anything, because the login server was not to be had.
    """
    outage = outage_behind(error)
    if outage is not None:
        raise outage
    return error


def _asked_for(challenge: str) -> str:
    """The claims that a challenge asks for, in whichever form; such as ask for nothing where it asks for none."""
    found = _CLAIMS.search(challenge)
    try:
        encoded = found[1] if found else ""
        decoded = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    return decoded or _NO_CLAIMS
