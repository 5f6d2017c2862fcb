"""Requests as they are on the wire, for comparing answers with recorded ones byte for byte."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import requests
from azure.identity import ClientSecretCredential

from zenml_azureml.emulator import Emulator

T = TypeVar("T")

ARM_SCOPE = "https://management.azure.com/.default"


class ArmClient:
    """Speaks plain HTTP to an emulator, with a token that real azure-identity has fetched."""

    def __init__(self, emulator: Emulator) -> None:
        self.base_url = emulator.base_url
        self.workspace = emulator.context.store.workspaces[0]
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = str(emulator.ca_file)
        self._credential = ClientSecretCredential(
            emulator.tenant_id,
            emulator.client_id,
            emulator.client_secret,
            authority=emulator.base_url,
            disable_instance_discovery=True,
            connection_verify=str(emulator.ca_file),
        )

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        api_version: str = "2023-08-01-preview",
        **query: str,
    ) -> requests.Response:
        """Send a request to a path below the workspace, or to a whole URL."""
        if path.startswith("https://"):
            url, params = path, query
        else:
            url = f"{self.base_url}{self.workspace.path}{path}"
            params = {"api-version": api_version, **query}
        token = self._credential.get_token(ARM_SCOPE).token
        headers = {"Authorization": f"Bearer {token}"}
        return self._session.request(method, url, params=params, json=body, headers=headers)

    def anonymous(self, method: str, url: str, headers: dict[str, str] | None = None) -> requests.Response:
        """Send a request without a token."""
        return self._session.request(method, url, headers=headers)

    def close(self) -> None:
        self._session.close()
        self._credential.close()


def eventually(ask: Callable[[], T], seconds: float = 20) -> T:
    """The first answer that is true, asked for again and again."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.02)
    return answer
