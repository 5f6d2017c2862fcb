"""Azure Resource Manager as the wire has it: no SDK between the test and the answer."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from zenml_azureml.emulator import Emulator


@dataclass(frozen=True)
class Answer:
    """What came back; `body` is None where there was none."""

    status: int
    headers: Message
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text) if self.text else None


class Arm:
    """Calls an emulator with a valid token, and its own interface with its key, unless a test gives other headers."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.workspace = emulator.context.store.workspaces[0].path
        self._tls = ssl.create_default_context(cafile=str(emulator.ca_file))

    # What differs on Azure: see tests/live/arm.py.

    is_azure = False
    #: Seconds to wait for what takes its time, and between two requests for it.
    patience = 20.0
    pause = 0.02

    @property
    def region(self) -> str:
        """Region of the workspace."""
        return self.emulator.context.store.workspaces[0].location

    def name(self, short: str) -> str:
        """A name for something that a test makes."""
        return short

    @property
    def tags(self) -> dict[str, str]:
        """The tags that everything has that a test makes."""
        return {}

    def cheap_job(self, nodes: int = 1) -> dict[str, Any]:
        """The properties that every job has: a limit of time, and a size."""
        return {
            "limits": {"jobLimitsType": "Command", "timeout": "PT5M"},
            "resources": {"instanceCount": nodes, "instanceType": "Standard_DS2_v2"},
        }

    def token(self, *, audience: str = "https://management.azure.com", lifetime: float = 3600) -> str:
        context = self.emulator.context
        now = context.clock.now()
        return context.identity.access_token(audience, now, timedelta(seconds=lifetime), method="1")

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        api_version: str | None = "2024-01-01-preview",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request; `path` may be a whole URL, and stands below the workspace where it has no slash."""
        url = path if path.startswith("https:") else self.emulator.base_url + self._absolute(path)
        if api_version is not None and "api-version=" not in url:
            url += ("&" if "?" in url else "?") + f"api-version={api_version}"
        data = None if body is None else json.dumps(body).encode()
        own = "/_emulator/" in url
        authorization = self.emulator.admin_headers if own else {"Authorization": f"Bearer {self.token()}"}
        sent = {"Content-Type": "application/json", **authorization, **(headers or {})}
        request = Request(url, data=data, method=method, headers={k: v for k, v in sent.items() if v})
        try:
            with urlopen(request, context=self._tls) as response:
                return Answer(response.status, response.headers, response.read().decode())
        except HTTPError as error:
            return Answer(error.code, error.headers, error.read().decode())

    def _absolute(self, path: str) -> str:
        return path if path.startswith("/") else f"{self.workspace}/{path}"


def recorded(name: str) -> Any:
    """An exchange with the real service, from `recorded/`."""
    return json.loads((Path(__file__).parent / "recorded" / f"{name}.json").read_text(encoding="utf-8"))


def shape(body: Any) -> Any:
    """The keys of a body at every level, with what kind of value each has; lists by their first item."""
    if isinstance(body, dict):
        return {key: shape(value) for key, value in body.items()}
    if isinstance(body, list):
        return [shape(item) for item in body[:1]]
    return type(body).__name__
