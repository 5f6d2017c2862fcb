"""What an emulator was asked, as it records it."""

from __future__ import annotations

from typing import Any

import requests

from zenml_azureml.emulator import Emulator


def requests_of(emulator: Emulator) -> list[dict[str, Any]]:
    """The requests that an emulator has served, oldest first."""
    answer = requests.get(
        f"{emulator.base_url}/_emulator/requests",
        headers=emulator.admin_headers,
        verify=str(emulator.ca_bundle),
        timeout=10,
    )
    answer.raise_for_status()
    served: list[dict[str, Any]] = answer.json()
    return served
