"""Answers of the services beside Resource Manager: their headers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.headers import STARTED
from zenml_azureml.emulator.types import Json


def answer(
    request: web.Request, body: Json, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return an answer with the headers that these services send (recorded: discovery_get.json).

    Guess: compact bodies; the recorded ones were compressed, and their layout is not known.
    """
    location = request.app[CONTEXT].store.workspaces[0].location
    elapsed = time.monotonic() - request.get(STARTED, time.monotonic())
    return web.Response(
        status=status,
        text=json.dumps(body, separators=(",", ":"), ensure_ascii=False),
        content_type="application/json",
        charset="utf-8",
        headers={
            "Strict-Transport-Security": "max-age=15724800; includeSubDomains; preload",
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
            "x-aml-cluster": f"vienna-{location}-01",
            "x-ms-response-type": "standard" if status < 400 else "error",
            "x-request-time": f"{elapsed:.3f}",
            **(headers or {}),
        },
    )
