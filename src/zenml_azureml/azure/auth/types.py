"""The types of credentials, for packages that must not import the Azure SDK itself."""

from __future__ import annotations

from azure.core.credentials import AccessToken, TokenCredential

__all__ = ["AccessToken", "TokenCredential"]
