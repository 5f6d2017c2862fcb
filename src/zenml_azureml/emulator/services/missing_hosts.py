"""Hosts of Azure's services that the emulator does not have: no request that is meant for it may reach Azure."""

from __future__ import annotations

from aiohttp import web

from zenml_azureml.emulator.context import Context
from zenml_azureml.emulator.http.other_hosts import service_with
from zenml_azureml.emulator.http.responses import not_emulated


def missing_service(context: Context) -> web.Application:
    """Return the service at the hosts of one kind, which answers each request with 501.

    Args:
        context: State of the emulator.
    """
    return service_with(context, _answer)


async def _answer(request: web.Request) -> web.Response:
    raise not_emulated(f"The service at {request.host}")
