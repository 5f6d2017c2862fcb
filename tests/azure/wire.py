"""A network in which Azure's clouds are emulators, and which notes who asked whom for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt

from zenml_azureml.azure.transport import WorkspaceTransport
from zenml_azureml.clouds import Cloud
from zenml_azureml.emulator import Emulator


@dataclass(frozen=True)
class Sent:
    """A request as a client meant it.

    Attributes:
        host: Host of the URL, before it was led to an emulator.
        path: Path of the URL.
        audiences: What the tokens in its headers are made out to.
        scope: What a token was asked for, where one was.
    """

    host: str
    path: str
    audiences: frozenset[str] = frozenset()
    scope: str = ""


class Wire(WorkspaceTransport):
    """Leads the public addresses of each cloud to its emulator; no other host is reached.

    Args:
        clouds: The emulator of each cloud.

    Attributes:
        endpoints: The emulators' own addresses, which their answers lead to.
        sent: Every request, oldest first.
    """

    def __init__(self, clouds: dict[Cloud, Emulator]) -> None:
        super().__init__()
        addresses = {
            url: emulator.base_url
            for cloud, emulator in clouds.items()
            for url in (cloud.resource_manager, cloud.authority)
        }
        self._targets = {_host(url): target for url, target in addresses.items()}
        self._reached = {_host(url) for url in (*addresses, *addresses.values())}
        self.endpoints = {url: url for url in addresses.values()}
        self.sent: list[Sent] = []

    def send(self, request: Any, **options: Any) -> Any:
        host = _host(request.url)
        assert host in self._reached, f"a request to {host}"
        tokens = [request.headers.get(name, "") for name in ("Authorization", "x-azureml-token")]
        form = request.data if isinstance(request.data, dict) else {}
        self.sent.append(
            Sent(
                host=host,
                path=urlsplit(request.url).path,
                audiences=frozenset(_audience(token) for token in tokens if token),
                scope=form.get("scope", ""),
            )
        )
        target = self._targets.get(host)
        if target is not None:
            request.url = f"{target}{request.url.removeprefix(f'https://{host}')}"
        return super().send(request, **options)

    def to(self, cloud: Cloud) -> list[Sent]:
        """What was sent to a cloud's Resource Manager."""
        return [sent for sent in self.sent if sent.host == _host(cloud.resource_manager)]


def _audience(header: str) -> str:
    claims = jwt.decode(header.removeprefix("Bearer "), options={"verify_signature": False})
    return str(claims["aud"])


def _host(url: str) -> str:
    return urlsplit(url).netloc
