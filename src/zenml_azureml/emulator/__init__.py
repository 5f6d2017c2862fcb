"""Azure Machine Learning on this machine, over HTTPS, for the unmodified `azure-ai-ml` SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zenml_azureml.emulator.server import Emulator
    from zenml_azureml.emulator.state import WorkspaceName

__all__ = ["Emulator", "WorkspaceName"]


def __getattr__(name: str) -> Any:
    """Import the server when it is used: the command that starts it in another process does not need it."""
    if name == "Emulator":
        from zenml_azureml.emulator.server import Emulator

        return Emulator
    if name == "WorkspaceName":
        from zenml_azureml.emulator.state import WorkspaceName

        return WorkspaceName
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
