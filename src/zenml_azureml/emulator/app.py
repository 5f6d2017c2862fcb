"""The emulator's web application: its routes, and the middleware around each request."""

from __future__ import annotations

import re
from collections.abc import Callable

from aiohttp import web

from zenml_azureml.emulator.admin import routes as admin
from zenml_azureml.emulator.admin import scenarios, status
from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.access import ACCESS, Access, guard
from zenml_azureml.emulator.http.bounds import MOST_BODY_BYTES
from zenml_azureml.emulator.http.connections import CONNECTIONS, DEFAULT_LIMITS, Connections, note_connection
from zenml_azureml.emulator.http.faults import FAULTS, Faults, inject
from zenml_azureml.emulator.http.middleware import answer_refusals, demand_api_version
from zenml_azureml.emulator.http.other_hosts import unless_other_host
from zenml_azureml.emulator.http.rate_limits import RATE_LIMITS, RateLimits, limit_rate
from zenml_azureml.emulator.http.recorder import RECORDER, Recorder, record
from zenml_azureml.emulator.http.saving import save_changes
from zenml_azureml.emulator.page import routes as page
from zenml_azureml.emulator.page.sessions import PAGE_SESSIONS, PageSessions
from zenml_azureml.emulator.services.aml import (
    codes,
    components,
    computes,
    data,
    datastores,
    diagnoses,
    environments,
    job_deletion,
    jobs,
    models,
    operations,
    registries,
    sizes,
    workspaces,
)
from zenml_azureml.emulator.services.arm import authorization, other_resources, subscriptions, vaults
from zenml_azureml.emulator.services.arm import registries as container_registries
from zenml_azureml.emulator.services.arm.authorize import demand_role
from zenml_azureml.emulator.services.entra import managed_identity
from zenml_azureml.emulator.services.entra import routes as tokens
from zenml_azureml.emulator.services.entra.bearer import WITHOUT_TOKEN, demand_token
from zenml_azureml.emulator.services.entra.clouds import CLOUDS
from zenml_azureml.emulator.services.keyvault.routes import vault_service
from zenml_azureml.emulator.services.keyvault.store import Vault
from zenml_azureml.emulator.services.missing_hosts import missing_service
from zenml_azureml.emulator.services.mlflow import routes as mlflow
from zenml_azureml.emulator.services.run_history import artifacts, dataplane
from zenml_azureml.emulator.services.run_history import routes as history
from zenml_azureml.emulator.services.ssh import routes as ssh
from zenml_azureml.emulator.services.storage import routes as blobs
from zenml_azureml.emulator.services.storage.routes import blob_service

#: The `routes` of every module with handlers.
_MODULES: tuple[Callable[[], list[web.RouteDef]], ...] = (
    jobs.routes,
    job_deletion.routes,
    environments.routes,
    computes.routes,
    diagnoses.routes,
    operations.routes,
    sizes.routes,
    subscriptions.routes,
    other_resources.routes,
    container_registries.routes,
    authorization.routes,
    vaults.routes,
    workspaces.routes,
    datastores.routes,
    codes.routes,
    data.routes,
    models.routes,
    registries.routes,
    components.routes,
    history.routes,
    dataplane.routes,
    ssh.routes,
    artifacts.routes,
    mlflow.routes,
    blobs.routes,
    tokens.routes,
    managed_identity.routes,
    admin.routes,
    scenarios.routes,
    status.routes,
    page.routes,
)

#: Routes whose handlers authenticate their callers themselves: by a signature, a secret or the emulator's key.
_WITH_OWN_CHECK = (
    artifacts.routes,
    mlflow.routes,
    blobs.routes,
    tokens.routes,
    managed_identity.routes,
    admin.routes,
    scenarios.routes,
    status.routes,
    page.routes,
)

#: Middleware that a request passes on its way to its handler, in this order.
# The first `answer_refusals` answers requests that cannot be read while they are recorded; faults see the answers of
# the second one.
_MIDDLEWARES = (
    *(note_connection, guard, answer_refusals, record, inject),
    *(
        answer_refusals,
        *map(unless_other_host, (demand_token, limit_rate, demand_role, demand_api_version)),
        save_changes,
    ),
)


def build_app(context: Context, access: Access, connections: Connections | None = None) -> web.Application:
    """Put the application together.

    Args:
        context: State for its handlers.
        access: Checks each request first.
        connections: Knows which connections are busy; a new one by default.
    """
    app = web.Application(middlewares=_MIDDLEWARES, client_max_size=MOST_BODY_BYTES)
    app[ACCESS] = access
    app[CONNECTIONS] = connections or Connections(DEFAULT_LIMITS)
    app[CONTEXT] = context
    app[RECORDER] = Recorder()
    app[FAULTS] = Faults()
    app[RATE_LIMITS] = RateLimits()
    app[PAGE_SESSIONS] = PageSessions()
    own_checks = {route.handler for routes in _WITH_OWN_CHECK for route in routes()}
    app[WITHOUT_TOKEN] = frozenset({*own_checks, history.discover})
    for route in all_routes():
        app.router.add_route(route.method, any_case(route.path), route.handler)
    for cloud in CLOUDS.values():
        app.add_domain(cloud.blob_hosts, blob_service(context))
        app.add_domain(cloud.vault_hosts, vault_service(context))
        for host in cloud.not_emulated:
            app.add_domain(host, missing_service(context))
    for vault in context.store.vaults:
        app.add_domain(vault.address.removeprefix("https://"), vault_service(context))
    app.on_response_prepare.append(_hide_server)
    return app


def build_vault_app(main: web.Application, vault: Vault) -> web.Application:
    """Put the application of one more key vault together.

    Args:
        main: The emulator's application, with which it shares the record of requests, the faults and the limits.
        vault: The vault.
    """
    app = web.Application(middlewares=_MIDDLEWARES, client_max_size=MOST_BODY_BYTES)
    app[ACCESS], app[CONNECTIONS], app[CONTEXT] = main[ACCESS], main[CONNECTIONS], main[CONTEXT]
    app[RECORDER], app[FAULTS], app[RATE_LIMITS] = main[RECORDER], main[FAULTS], main[RATE_LIMITS]
    app[WITHOUT_TOKEN] = main[WITHOUT_TOKEN]
    app.add_domain(vault.address.removeprefix("https://"), vault_service(main[CONTEXT]))
    app.on_response_prepare.append(_hide_server)
    return app


def all_routes() -> list[web.RouteDef]:
    """Return every route of the emulator's own address, as its module has written it."""
    return [route for routes in _MODULES for route in routes()]


def any_case(path: str) -> str:
    """Return a route's path whose fixed words match in any case, as in ARM.

    Only paths below `/subscriptions` are changed. Letters of ASCII alone have two cases: the long s is no `s`.
    """
    if not path.startswith("/subscriptions"):
        return path
    words = path.strip("/").split("/")
    return "".join(
        f"/{word}" if "{" in word else f"/{{_{index}:(?ai:{re.escape(word)})}}" for index, word in enumerate(words)
    )


async def _hide_server(_request: web.Request, response: web.StreamResponse) -> None:
    """Remove the header that names aiohttp: Azure ML sends none."""
    if "aiohttp" in response.headers.get("Server", ""):
        del response.headers["Server"]
