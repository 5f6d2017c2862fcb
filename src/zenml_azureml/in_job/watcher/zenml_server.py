"""A client for requests to the ZenML server of a job, equal to those of ZenML's own client. Standard library only.

The server's address, the token, and the proxy and certificate settings are those of the job's environment variables.
Sources for what they mean: ZenML's `RestZenStoreConfiguration` and `RestZenStore`, and `requests`, which it uses.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import (
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
    getproxies,
    proxy_bypass,
)

from zenml_azureml.contract.variables import STORE_URL
from zenml_azureml.in_job.watcher.over import Json, NoAnswerError

_TOKEN: Final = "ZENML_STORE_API_TOKEN"  # noqa: S105 - the name of a variable
_VERIFY: Final = "ZENML_STORE_VERIFY_SSL"
_IN_CONTAINER: Final = "ZENML_CONTAINER"

_TIMEOUT_SECONDS: Final = 30
_MOST_BYTES: Final = 4 * 1024 * 1024

#: As pydantic reads booleans.
_FALSE: Final = frozenset({"0", "off", "f", "false", "n", "no"})
_TRUE: Final = frozenset({"", "1", "on", "t", "true", "y", "yes"})

#: The names under which ZenML looks for a server on the machine that runs a container.
_HOSTS_OF_CONTAINERS: Final = ("host.docker.internal", "host.k3d.internal")


class ZenMLServer:
    """A ZenML server.

    Args:
        environment: Environment variables of the job. The proxy variables are those of this process.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._url = f"{_reachable(environment[STORE_URL], environment)}/api/v1"
        self._headers = {"Accept": "application/json", "User-Agent": "zenml-azureml"}
        token = environment.get(_TOKEN)
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, parameters: Mapping[str, str]) -> Json:
        """Return the JSON object that the server answers.

        Args:
            path: The path below `/api/v1/`.
            parameters: Parameters of the query.

        Raises:
            NoAnswerError: For everything but a 200 with a JSON object.
        """
        content = self._answer(f"{path}?{urlencode(parameters)}")
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise NoAnswerError("it answered 200 without a JSON object")
        return body

    def post(self, path: str, body: Mapping[str, object]) -> None:
        """Send a JSON object.

        Args:
            path: The path below `/api/v1/`.
            body: The object.

        Raises:
            NoAnswerError: For everything but a 200.
        """
        self._answer(path, json.dumps(body).encode())

    def _answer(self, address: str, content: bytes | None = None) -> bytes:
        headers = self._headers if content is None else {**self._headers, "Content-Type": "application/json"}
        try:
            request = Request(f"{self._url}/{address}", content, headers)  # noqa: S310 - http or https: see `is_rest`
            with self._opener().open(request, timeout=_TIMEOUT_SECONDS) as answer:
                status: int = answer.status
                answered: bytes = answer.read(_MOST_BYTES)
        except HTTPError as error:
            error.close()
            raise NoAnswerError(f"it answered {error.code}") from None
        except (URLError, HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise NoAnswerError(str(reason) or type(reason).__name__) from None
        if status != 200:
            raise NoAnswerError(f"it answered {status}")
        return answered

    def _opener(self) -> OpenerDirector:
        # Made for each request: certificate files may be replaced while a job runs for weeks.
        parts = urlsplit(self._url)
        proxies = getproxies()
        if _bypasses_proxy(parts.hostname or "", parts.netloc, proxies.get("no", "")):
            proxy = ""
        else:
            proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
        through = ProxyHandler({parts.scheme: proxy} if proxy else {})
        return build_opener(through, HTTPSHandler(context=_trust(self._environment)), _NoRedirects)


def _reachable(url: str, environment: Mapping[str, str]) -> str:
    """The address of a server. In a container, `localhost` stands for the machine that runs it, as for ZenML."""
    url = url.rstrip("/")
    host = urlsplit(url).hostname
    if host in ("localhost", "127.0.0.1") and environment.get(_IN_CONTAINER, "").lower() in ("1", "y", "yes", "true"):
        for name in _HOSTS_OF_CONTAINERS:
            try:
                socket.gethostbyname(name)
            except OSError:
                continue
            return url.replace(host, name, 1)
    return url


def _bypasses_proxy(host: str, netloc: str, no_proxy: str) -> bool:
    if proxy_bypass(netloc):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for entry in no_proxy.split(","):  # networks, which urllib does not know, but `requests` does
        try:
            if address in ipaddress.ip_network(entry.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False


def _trust(environment: Mapping[str, str]) -> ssl.SSLContext:
    verify = environment.get(_VERIFY, "")
    tls = ssl.create_default_context()  # with SSL_CERT_FILE and SSL_CERT_DIR
    # `requests` does not ask for it, and the certificates of companies' proxies do not always fulfil it.
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if verify.lower() in _FALSE:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
        return tls
    try:
        import certifi
    except ImportError:
        pass
    else:
        _load(tls, certifi.where())
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        _load(tls, environment.get(name, ""))
    if verify.lower() not in _TRUE:
        _load(tls, verify)
    return tls


def _load(tls: ssl.SSLContext, certificates: str) -> None:
    """Trust certificates: a file, a folder, or their text. If they cannot be read, the handshake fails later."""
    try:
        if "-----BEGIN" in certificates:
            tls.load_verify_locations(cadata=certificates)
        elif certificates and Path(certificates).is_dir():
            tls.load_verify_locations(capath=certificates)
        elif certificates:
            tls.load_verify_locations(cafile=certificates)
    except (OSError, ValueError):
        return


class _NoRedirects(HTTPRedirectHandler):
    """A handler that follows no redirects: the token would be sent along."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None
