"""What differs between Azure's clouds, as far as the emulator shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EmulatedCloud:
    """One of Azure's clouds.

    Attributes:
        arm_audiences: What a token for Azure Resource Manager may be made out to, in the order that its
            refusal names them.
        other_audiences: The other services that an application may ask a token for.
        studio: Azure ML Studio.
    """

    arm_audiences: tuple[str, ...]
    other_audiences: frozenset[str]
    studio: str


def _cloud(old_management: str, resource_manager: str, studio: str, vault: str) -> EmulatedCloud:
    return EmulatedCloud(
        arm_audiences=(f"{old_management}/", old_management, f"{resource_manager}/", resource_manager),
        other_audiences=frozenset({"https://storage.azure.com", studio, vault}),
        studio=studio,
    )


#: Azure's clouds by name. Source: what `az cloud show` prints, which Microsoft's documentation shows.
# Guess: that the other clouds take the same kinds of audience as the public one, whose refusal is quoted.
CLOUDS = {
    "AzureCloud": _cloud(
        "https://management.core.windows.net",
        "https://management.azure.com",
        "https://ml.azure.com",
        "https://vault.azure.net",
    ),
    "AzureChinaCloud": _cloud(
        "https://management.core.chinacloudapi.cn",
        "https://management.chinacloudapi.cn",
        "https://ml.azure.cn",
        "https://vault.azure.cn",
    ),
    "AzureUSGovernment": _cloud(
        "https://management.core.usgovcloudapi.net",
        "https://management.usgovcloudapi.net",
        "https://ml.azure.us",
        "https://vault.usgovcloudapi.net",
    ),
}
