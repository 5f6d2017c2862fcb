"""What the body of an error answer says."""

from __future__ import annotations

import json

from azure.core.exceptions import HttpResponseError


def error_in(error: HttpResponseError) -> tuple[str, str]:
    """Code and message of an error body; empty where there is none (a missing compute has no body)."""
    try:
        body = json.loads(error.response.text()) if error.response is not None else {}
    except (ValueError, TypeError, AttributeError):
        body = {}
    inner = body.get("error") if isinstance(body, dict) else None
    if isinstance(inner, dict):
        code, message = str(inner.get("code") or ""), str(inner.get("message") or "").strip()
        return _cause_in(message) or (code, message)
    return str(getattr(error.error, "code", "") or ""), ""


def _cause_in(message: str) -> tuple[str, str] | None:
    """Code and message of the error that some messages are in JSON: that of a failed operation on a compute.

    Quoted by users of two clients (microsoft/vscode-tools-for-ai issue 2096).
    """
    try:
        cause = json.loads(message).get("error")
    except (ValueError, AttributeError):
        return None
    return (str(cause.get("code") or ""), str(cause.get("message") or "")) if isinstance(cause, dict) else None
