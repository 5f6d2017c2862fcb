"""URIs of workspaces for MLflow. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from zenml_azureml.emulator.state import Workspace


def tracking_uri(workspace: Workspace, base_url: str, version: str) -> str:
    """Return the URI of a workspace for MLflow: at the emulator, so that no client carries a token to Microsoft.

    Args:
        workspace: The workspace.
        base_url: URL of the emulator.
        version: `v1.0`, which Azure ML names in resources, or `v2.0`, which is for MLflow 2 and 3.
    """
    return f"azureml://{urlsplit(base_url).netloc}/mlflow/{version}{workspace.path}"
