"""A client of Resource Manager without an SDK."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from http.client import HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit


class Client:
    """A client that costs as little as possible.

    Args:
        variables: The environment of clients of an emulator.
        subscription: Subscription of the workspace.
        group: Its resource group.
        workspace: Its name.
    """

    def __init__(self, variables: Mapping[str, str], subscription: str, group: str, workspace: str) -> None:
        tls = ssl.create_default_context(cafile=variables["REQUESTS_CA_BUNDLE"])
        self._connection = HTTPSConnection(urlsplit(variables["AZUREML_DEV_URL_MFE"]).netloc, context=tls, timeout=60)
        with open(variables["AZURE_FEDERATED_TOKEN_FILE"]) as file:  # noqa: PTH123
            assertion = file.read()
        form = {
            "grant_type": "client_credentials",
            "client_id": variables["AZURE_CLIENT_ID"],
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
            "scope": "https://management.azure.com/.default",
        }
        path = f"/{variables['AZURE_TENANT_ID']}/oauth2/v2.0/token"
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        token = json.loads(self._ask("POST", path, urlencode(form).encode(), kind))["access_token"]
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.workspace = (
            f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearningServices"
            f"/workspaces/{workspace}"
        )

    def get(self, path: str, **query: str) -> bytes:
        return self._ask("GET", f"{path}?{urlencode({'api-version': '2024-04-01', **query})}", None, self._headers)

    def put(self, path: str, properties: dict[str, Any], **more: str) -> bytes:
        body = json.dumps({"properties": properties, **more}).encode()
        return self._ask("PUT", f"{path}?api-version=2024-04-01", body, self._headers)

    def post(self, path: str, body: dict[str, Any]) -> bytes:
        return self._ask("POST", f"{path}?api-version=2024-10-01-preview", json.dumps(body).encode(), self._headers)

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text!r}")
        return text
