"""Azure Resource Manager at a target, for the contract tests that run on Azure too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from email.message import Message
from typing import Any

import pytest
import requests

from tests.contract.arm import Answer, Arm
from tests.live import wire
from tests.live.plan import JOB_MINUTES
from tests.live.plugin import MARKER
from tests.live.run import SIZE
from tests.live.target import Target


def chosen_target(request: pytest.FixtureRequest) -> Target | None:
    """Return the target of a test with the marker, where an environment variable chooses one; else None.

    Raises:
        AssertionError: If the guard of costs does not see the requests: `make live` starts these tests.
    """
    if request.node.get_closest_marker(MARKER) is None:
        return None
    target = Target.from_environment()
    if target is not None:
        assert wire.is_installed(), "`make live` runs these tests: it guards what they cost."
    return target


class LiveArm(Arm):
    """Calls a target, with the credential of whoever runs the tests."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.workspace = target.workspace_id
        self.is_azure = target.is_azure
        self.patience, self.pause = (1800.0, 5.0) if self.is_azure else (120.0, 0.1)
        self._session = requests.Session()

    @property
    def region(self) -> str:
        return self.target.region

    def name(self, short: str) -> str:
        return self.target.name(short)

    @property
    def tags(self) -> dict[str, str]:
        return self.target.tags

    def token(self, *, audience: str = "", lifetime: float = 0) -> str:
        """The token of whoever runs the tests, which is of no other audience or time."""
        assert not audience
        assert not lifetime
        return self.target.token()

    def cheap_job(self, nodes: int = 1) -> dict[str, Any]:
        return {
            "tags": self.tags,
            "limits": {"jobLimitsType": "Command", "timeout": f"PT{JOB_MINUTES}M"},
            "resources": {"instanceCount": nodes, "instanceType": os.environ[SIZE]},
        }

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        api_version: str | None = "2024-01-01-preview",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        url = path if path.startswith("https:") else self.target.base_url + self._absolute(path)
        if api_version is not None and "api-version=" not in url:
            url += ("&" if "?" in url else "?") + f"api-version={api_version}"
        sent = {"Content-Type": "application/json", "Authorization": f"Bearer {self.target.token()}", **(headers or {})}
        data: Any = body
        answer = self._session.request(
            method, url, json=data, headers={k: v for k, v in sent.items() if v}, timeout=120, allow_redirects=False
        )
        found = Message()
        for name, value in answer.headers.items():
            found[name] = value
        return Answer(answer.status_code, found, answer.text)
