"""The workspace that a run is against: which one, the way to it, and who signs in."""

from __future__ import annotations

import json
import os
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import requests
from azure.ai.ml import MLClient
from azure.core.credentials import AccessToken, TokenCredential
from azure.identity import DefaultAzureCredential

from tests.live.guard import name_of
from tests.live.known import Known, of_run
from zenml_azureml.clouds import CLOUDS, cloud_of

#: The variable that chooses the target of tests with the marker `azure_verified`; without it, it is an emulator in the
#: test's own process.
WORKSPACE = "AZURE_VERIFIED_WORKSPACE"
#: The random part of the names in one run, and the folder with what it has made.
RUN = "AZURE_VERIFIED_RUN"
FOLDER = "AZURE_VERIFIED_FOLDER"

#: The tag of everything that a run makes; its value is the run.
TAG = "zenml-azureml-live"

_API = "2024-04-01"
_RENEW_BEFORE_SECONDS = 300
_ID = re.compile(
    r"/subscriptions/(?P<subscription>[\w-]+)/resourceGroups/(?P<group>[\w.()-]+)"
    r"/providers/Microsoft\.MachineLearningServices/workspaces/(?P<workspace>[\w-]+)",
    re.IGNORECASE,
)


class TargetError(Exception):
    """The target cannot be used; the message gives the reason."""


@dataclass(frozen=True)
class Target:
    """A workspace, on Azure or on an emulator that other processes reach.

    Attributes:
        workspace_id: ARM id of the workspace.
        cloud: Name of the cloud.
        base_url: Address of Resource Manager.
        run: The random part of all names in this run.
    """

    workspace_id: str
    cloud: str
    base_url: str
    run: str

    @classmethod
    def of(cls, workspace_id: str, run: str, environ: Mapping[str, str] = os.environ) -> Target:
        """Return the target with an id, at the endpoint of the environment.

        Raises:
            TargetError: If it is no id of a workspace.
        """
        if _ID.fullmatch(workspace_id.rstrip("/")) is None:
            raise TargetError(
                f"{workspace_id!r} is no ARM id of a workspace. `az ml workspace show --query id` shows it: "
                "/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.MachineLearningServices/workspaces/NAME"
            )
        name = environ.get("AZURE_VERIFIED_CLOUD", "AzureCloud")
        cloud = cloud_of(name, None, environ)
        return cls(workspace_id.rstrip("/"), cloud.name, cloud.resource_manager, run)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Target | None:
        """Return the target of this process; None if there is none."""
        if WORKSPACE not in environ:
            return None
        return cls.of(environ[WORKSPACE], environ[RUN], environ)

    @property
    def is_azure(self) -> bool:
        """True if it is at the cloud's own address."""
        return self.base_url == CLOUDS[self.cloud].resource_manager

    @property
    def names(self) -> tuple[str, str, str]:
        """Subscription, resource group and workspace."""
        found = _ID.fullmatch(self.workspace_id)
        assert found is not None
        return found["subscription"], found["group"], found["workspace"]

    @cached_property
    def credential(self) -> TokenCredential:
        """DefaultAzureCredential, as for all other tools of Azure."""
        return DefaultAzureCredential(authority=os.environ.get("AZURE_AUTHORITY_HOST") or CLOUDS[self.cloud].authority)

    def token(self) -> str:
        """Return a token for Resource Manager; a new one only if the last one is about to expire."""
        held: list[AccessToken] = self._tokens
        if not held or held[0].expires_on < time.time() + _RENEW_BEFORE_SECONDS:
            held[:] = [self.credential.get_token(CLOUDS[self.cloud].token_scope)]
        return held[0].token

    @cached_property
    def _tokens(self) -> list[AccessToken]:
        return []

    def ml_client(self) -> MLClient:
        """Return the real SDK, on the workspace."""
        options: dict[str, Any] = {} if self.is_azure else {"polling_interval": 0.05}
        return MLClient(self.credential, *self.names, cloud=self.cloud, enable_telemetry=False, **options)

    def name(self, short: str) -> str:
        """Return a name for something that a test makes: no other run has it."""
        return name_of(self.run, short)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of everything that a run makes."""
        return {TAG: self.run}

    def send(self, method: str, path: str, body: Any = None, *, api_version: str | None = _API) -> requests.Response:
        """Send a request to Resource Manager.

        Args:
            method: HTTP method.
            path: A path; one without a slash is below the workspace. Or a whole URL.
            body: Body of the request.
            api_version: Added to the query, unless the path has one.
        """
        if path.startswith("https:"):
            url = path
        else:
            url = self.base_url + (path if path.startswith("/") else f"{self.workspace_id}/{path}")
        if api_version is not None and "api-version=" not in url:
            url += ("&" if "?" in url else "?") + f"api-version={api_version}"
        with requests.Session() as session:
            return session.request(
                method, url, json=body, headers={"Authorization": f"Bearer {self.token()}"}, timeout=120
            )

    @cached_property
    def region(self) -> str:
        """Region of the workspace."""
        answer = self.send("GET", self.workspace_id)
        if answer.status_code != 200:
            raise TargetError(f"The workspace cannot be read: {answer.status_code} {answer.text[:500]}")
        return str(answer.json()["location"]).replace(" ", "").lower()

    def known(self) -> Known:
        """Return what no recording of this run may have."""
        token = self.token()
        return of_run(self.workspace_id, self.base_url, _claims(token), tokens=[token], run=self.run)


def _claims(token: str) -> dict[str, Any]:
    middle = token.split(".")[1]
    found: dict[str, Any] = json.loads(urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    return found
