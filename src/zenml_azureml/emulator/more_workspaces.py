"""Workspaces that are added to an emulator that serves, and removed from it."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from contextlib import AsyncExitStack

from aiohttp import web

from zenml_azureml.emulator.app import build_vault_app
from zenml_azureml.emulator.clock import Clock
from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.connections import CONNECTIONS
from zenml_azureml.emulator.http.recorder import FinishRecord
from zenml_azureml.emulator.local.address import listen_on, url_of
from zenml_azureml.emulator.local.private_files import inside
from zenml_azureml.emulator.services.keyvault.store import Vault
from zenml_azureml.emulator.services.storage.sas import account_folder
from zenml_azureml.emulator.state import Workspace, WorkspaceName

#: Seconds between two checks if the jobs of a workspace have ended.
_INTERVAL = 0.02


def vault_of(workspace: Workspace, name: str, address: str) -> Vault:
    """Return a new key vault in the resource group of a workspace.

    Args:
        workspace: The workspace.
        name: Its name.
        address: Its address, without a slash at the end.
    """
    place = (workspace.subscription_id, workspace.resource_group, name, workspace.location)
    return Vault(*place, created_at=workspace.created_at, address=address)


def new_workspace(name: WorkspaceName, clock: Clock, studio: str) -> Workspace:
    """Return a new workspace.

    Args:
        name: Its name and place.
        clock: The emulator's clock.
        studio: Address that links to Azure ML Studio begin with.
    """
    return Workspace(
        subscription_id=name.subscription_id,
        resource_group=name.resource_group,
        name=name.name,
        location=name.location,
        created_at=clock.now(),
        studio=studio,
    )


class MoreWorkspaces:
    """Adds workspaces, each with a key vault at an address of its own. For the emulator's event loop only.

    Args:
        app: The emulator's application.
        tls: Its certificate.
        listen: The address that it listens on.
        host: The host of the addresses of its key vaults.
    """

    def __init__(self, app: web.Application, tls: ssl.SSLContext, *, listen: str, host: str) -> None:
        self._app = app
        self._tls = tls
        self._listen = listen
        self._host = host
        self._services: dict[str, AsyncExitStack] = {}

    async def add(self, workspace: Workspace) -> None:
        """Serve a workspace.

        Raises:
            ValueError: If there is one of that name.
        """
        store = self._app[CONTEXT].store
        if store.find_workspace(workspace.subscription_id, workspace.resource_group, workspace.name):
            raise ValueError(f"There is a workspace {workspace.name} already.")
        async with AsyncExitStack() as stack:
            listening = stack.enter_context(listen_on(self._listen, 0))
            vault = vault_of(workspace, workspace.vault_name, url_of(self._host, listening.getsockname()[1]))
            app = build_vault_app(self._app, vault)
            runner = web.AppRunner(app, access_log_class=FinishRecord, shutdown_timeout=1, auto_decompress=False)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.SockSite(runner, listening, ssl_context=self._tls).start()
            assert runner.server is not None  # noqa: S101 - it was set up above
            await stack.enter_async_context(self._app[CONNECTIONS].watch(runner.server))
            self._services[workspace.path.lower()] = stack.pop_all()
        context = self._app[CONTEXT]
        context.store.add(workspace, vault, owner=context.identity.object_id)
        if context.journal is not None:
            context.journal.watch(workspace)
            context.journal.mark()

    async def remove(self, workspace: Workspace) -> None:
        """End the jobs of a workspace that was added, and forget it with all that is in it.

        Raises:
            KeyError: If it was not added.
        """
        service = self._services.pop(workspace.path.lower())
        context = self._app[CONTEXT]
        jobs = list(workspace.jobs.values())
        for job in jobs:
            job.cancel_requested.set()
        while not all(job.is_terminal for job in jobs):
            await asyncio.sleep(_INTERVAL)
        context.store.forget(workspace)
        await service.aclose()
        folders = [inside(context.folder / "jobs", job.name) for job in jobs]
        for folder in (*folders, inside(context.folder / "datastores", account_folder(workspace))):
            if folder is not None:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def close(self) -> None:
        """Stop serving the key vaults."""
        while self._services:
            await self._services.popitem()[1].aclose()
