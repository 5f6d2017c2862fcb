"""Fetches a step's secrets from a key vault, with the managed identity that the job acts as.

Sources: azure-identity's `AzureMLCredential` and `AppServiceCredential` for the endpoints of tokens, Microsoft's
"Set up authentication between Azure Machine Learning and other services" for DEFAULT_IDENTITY_CLIENT_ID, "Get Secret".
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Mapping, MutableMapping
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request, build_opener

from zenml_azureml.contract.secret_chunks import API_VERSION, further_parts, variables_in
from zenml_azureml.contract.variables import VAULT_AUDIENCE, VAULT_SECRET
from zenml_azureml.in_job.exceptions import BootstrapError

#: Statuses after which a retry may succeed.
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_PAUSES_SECONDS: Final = (1, 2, 4, 8, 16, 30)
_TIMEOUT_SECONDS: Final = 60

Json = dict[str, Any]
Sleep = Callable[[float], None]


def prepare(environment: MutableMapping[str, str], sleep: Sleep = time.sleep) -> None:
    """Add the variables from a secret to the environment of the step.

    Args:
        environment: Of the job; changed.
        sleep: Sleeps that many seconds between two tries.

    Raises:
        BootstrapError: If the secret cannot be read.
    """
    url = environment[VAULT_SECRET]
    if urlsplit(url).scheme != "https":
        raise BootstrapError(f"The address of the step's secrets, `{url}`, does not begin with https://.")
    tls = _trust(environment)
    token = _token(environment[VAULT_AUDIENCE], environment, tls, sleep)
    vault = build_opener(HTTPSHandler(context=tls), _NoRedirects)
    first = _secret(url, token, vault, sleep)
    try:
        rest = [_secret(part, token, vault, sleep) for part in further_parts(url, first.get("tags") or {})]
        variables = variables_in([str(part["value"]) for part in (first, *rest)])
    except (ValueError, KeyError, AttributeError):  # the message of this error could contain a part of the secret
        raise BootstrapError(f"The secret {url} does not contain environment variables.") from None
    environment.update(variables)


def _token(audience: str, environment: Mapping[str, str], tls: ssl.SSLContext, sleep: Sleep) -> str:
    """Return a token of the job's managed identity."""
    asked = {"resource": audience}
    if environment.get("IDENTITY_ENDPOINT") and environment.get("IDENTITY_HEADER"):
        endpoint, headers = environment["IDENTITY_ENDPOINT"], {"X-IDENTITY-HEADER": environment["IDENTITY_HEADER"]}
        version, name = "2019-08-01", "client_id"
    elif environment.get("MSI_ENDPOINT") and environment.get("MSI_SECRET"):
        endpoint, headers = environment["MSI_ENDPOINT"], {"secret": environment["MSI_SECRET"]}
        version, name = "2017-09-01", "clientid"
    else:
        raise BootstrapError(
            "The step's secrets are in a key vault, but this job has no managed identity to read them with: Azure ML "
            "has set neither MSI_ENDPOINT nor IDENTITY_ENDPOINT. Assign the compute a managed identity with the role "
            "`Key Vault Secrets User` on the vault, or set `secrets_via='environment'`."
        )
    client_id = environment.get("AZURE_CLIENT_ID") or environment.get("DEFAULT_IDENTITY_CLIENT_ID")
    if client_id:
        asked[name] = client_id
    # The endpoint is on the machine itself or in its local network: no proxy leads there.
    machine = build_opener(ProxyHandler({}), HTTPSHandler(context=tls), _NoRedirects)
    doing = "signing in with the job's managed identity"
    body = _json(doing, f"{endpoint}?{urlencode({'api-version': version, **asked})}", headers, machine, sleep)
    if not body.get("access_token"):
        raise BootstrapError(f"{doing[0].upper()}{doing[1:]} failed: the answer has no token.")
    return str(body["access_token"])


def _secret(url: str, token: str, vault: OpenerDirector, sleep: Sleep) -> Json:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    return _json(
        "reading the step's secrets", f"{url}?{urlencode({'api-version': API_VERSION})}", headers, vault, sleep
    )


def _json(doing: str, url: str, headers: Mapping[str, str], opener: OpenerDirector, sleep: Sleep) -> Json:
    """Send a GET, and retry after errors that may pass."""
    request = Request(url, headers=dict(headers))  # noqa: S310 - https for the vault; Azure ML sets the endpoint
    place = url.partition("?")[0]
    for pause in (*_PAUSES_SECONDS, None):
        try:
            with opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
                body = json.load(answer)
            if isinstance(body, dict):
                return body
            words = "the answer is not a JSON object"
        except HTTPError as error:
            words = _words(error)
            if error.code not in _PASSING:
                raise BootstrapError(f"{_told(doing, place, words)} {_advice(error.code)}".rstrip()) from None
        except (URLError, HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            words = str(reason) or type(reason).__name__
        if pause is None:
            break
        print(f"zenml-azureml: {_told(doing, place, words)} Retrying in {pause} s.", flush=True)  # noqa: T201
        sleep(pause)
    raise BootstrapError(_told(doing, place, words))


def _told(doing: str, place: str, words: str) -> str:
    return f"{doing[0].upper()}{doing[1:]} failed ({place}): {words.rstrip('.')}."


def _words(error: HTTPError) -> str:
    """Return Azure's message, in one line."""
    try:
        body = json.load(error)
        said = body.get("error", body)
        code, message = said.get("code"), said.get("message") or body.get("error_description")
    except (ValueError, AttributeError, OSError):
        code = message = None
    words = " ".join(str(message).split()) if message else str(error.reason)
    return f"{error.code} ({code}) {words}" if code else f"{error.code} {words}"


def _advice(status: int) -> str:
    if status == 403:
        return (
            "The identity of the job needs the role `Key Vault Secrets User` on the vault. The vault's firewall must "
            "allow the compute."
        )
    if status == 404:
        return (
            "The secret is deleted when its step ends or its run is stopped. A job that restarts after that cannot "
            "run any more. Run the pipeline again."
        )
    return ""


def _trust(environment: Mapping[str, str]) -> ssl.SSLContext:
    """Trust the certificates of the image, of Python's packages, and those that the environment names."""
    tls = ssl.create_default_context()
    try:
        import certifi
    except ImportError:
        pass
    else:
        tls.load_verify_locations(certifi.where())
    if environment.get("REQUESTS_CA_BUNDLE"):
        try:
            tls.load_verify_locations(environment["REQUESTS_CA_BUNDLE"])
        except OSError as error:
            raise BootstrapError(
                f"The certificates that REQUESTS_CA_BUNDLE names cannot be read: {error.strerror}."
            ) from None
    return tls


class _NoRedirects(HTTPRedirectHandler):
    """A handler that follows no redirects: the token would be sent along."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None
