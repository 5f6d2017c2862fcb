"""Where Azure Resource Manager is. Standard library only: the stack asks before any SDK is loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

PUBLIC_RESOURCE_MANAGER = "https://management.azure.com"

#: The environment variable by which the Azure ML SDK is pointed at another Resource Manager endpoint.
#: Source: azure-ai-ml, azure/ai/ml/_azure_environments.py.
ENDPOINT_VARIABLE = "AZUREML_DEV_URL_MFE"


def resource_manager_endpoint(environ: Mapping[str, str] | None = None) -> str:
    """The Resource Manager endpoint that the SDK will talk to.

    Args:
        environ: Environment variables; those of this process by default.

    Returns:
        A URL without a slash at its end.
    """
    variables = os.environ if environ is None else environ
    return (variables.get(ENDPOINT_VARIABLE) or PUBLIC_RESOURCE_MANAGER).rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine itself."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
