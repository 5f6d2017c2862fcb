"""Faults and scenarios for tests, armed by the emulator's own interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from zenml_azureml.emulator import Emulator


def call(emulator: Emulator, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Return the answer of the emulator's own interface; None if it has no body.

    Args:
        emulator: The emulator.
        method: HTTP method.
        path: Path, e.g. `/_emulator/requests`.
        body: JSON to send.

    Raises:
        ValueError: If the emulator refuses the body; the message names each invalid field.
    """
    with requests.Session() as session:
        session.trust_env = False  # no proxy, and no other certificates
        answer = session.request(
            method,
            emulator.local_url + path,
            json=body,
            headers=emulator.admin_headers,
            verify=str(emulator.ca_file),
            timeout=30,
        )
    if answer.status_code == 400:
        raise ValueError(answer.json()["error"])
    answer.raise_for_status()
    return answer.json() if answer.content else None


@dataclass(frozen=True)
class Faults:
    """Faults of requests to an emulator."""

    emulator: Emulator

    def arm(self, **fault: Any) -> None:
        """Let the next requests that match fail.

        Args:
            fault: Fields of a fault, e.g. `path="/jobs/", method="PUT", status=503, times=2`. The documentation of
                the emulator lists them.

        Raises:
            ValueError: If a field is unknown or invalid.
        """
        call(self.emulator, "POST", "/_emulator/faults", fault)

    @property
    def armed(self) -> list[dict[str, Any]]:
        """The armed faults; `fired` is the number of requests that each has affected."""
        return list(call(self.emulator, "GET", "/_emulator/faults"))

    def disarm(self) -> None:
        """Disarm all faults."""
        call(self.emulator, "DELETE", "/_emulator/faults")


@dataclass(frozen=True)
class Scenarios:
    """Failures of jobs of an emulator."""

    emulator: Emulator

    def arm(self, name: str, **rule: Any) -> None:
        """Let the next job that matches fail in a way that users have reported.

        Args:
            name: The scenario, e.g. `preempted`.
            rule: Fields of its rule: `jobs`, `times`, `after`, `now`.

        Raises:
            ValueError: If there is no such scenario, with the nearest name; or if a field is unknown or invalid.
        """
        call(self.emulator, "POST", "/_emulator/scenario", {"name": name, **rule})

    @property
    def armed(self) -> list[dict[str, Any]]:
        """The armed scenarios; `fired` is the number of jobs that each has affected."""
        return list(call(self.emulator, "GET", "/_emulator/scenario"))

    def disarm(self) -> None:
        """Disarm all scenarios."""
        call(self.emulator, "DELETE", "/_emulator/scenario")
