"""The emulator as one object: started, used and closed."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, asynccontextmanager, closing, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from zenml_azureml.emulator.app import build_app
from zenml_azureml.emulator.clock import Clock, SystemClock
from zenml_azureml.emulator.context import Context, Settings
from zenml_azureml.emulator.http.access import Access, AnsweredHosts
from zenml_azureml.emulator.http.connections import DEFAULT_LIMITS, ConnectionLimits, Connections
from zenml_azureml.emulator.http.peers import Peers
from zenml_azureml.emulator.http.recorder import FinishRecord
from zenml_azureml.emulator.local.address import LOOPBACK, Advertised, listen_on, reachable_here, url_of
from zenml_azureml.emulator.local.keys import stored_keys, write_curl_file
from zenml_azureml.emulator.local.proxy import Proxy
from zenml_azureml.emulator.local.state_folder import claim, folder_of_jobs
from zenml_azureml.emulator.local.tls import certificates
from zenml_azureml.emulator.more_workspaces import MoreWorkspaces, new_workspace, vault_of
from zenml_azureml.emulator.persistence import restore
from zenml_azureml.emulator.persistence.interrupted import STOPPED, end_interrupted
from zenml_azureml.emulator.runtimes.base import Runtime
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime
from zenml_azureml.emulator.services.entra.clouds import CLOUDS, certified_hosts
from zenml_azureml.emulator.services.entra.identity import identity
from zenml_azureml.emulator.services.keyvault.store import Vault
from zenml_azureml.emulator.state import Store, Workspace, WorkspaceName

#: Bytes of a body that a connection reads ahead.
_READ_BUFFER = 512 * 1024

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Key vaults have the ports from this one on after the emulator's, if clients have to know them before.
_FIRST_VAULT = 2  # the next one is the proxy's


class Emulator:
    """Azure ML on this machine.

    In a program of its own, `async with emulator.serve(): ...` runs it on the program's event loop;
    as a plain context manager (`with Emulator(folder) as emulator: ...`) it runs in a thread.

    Args:
        folder: The state folder: everything it writes goes there. Its certificates and credentials
            are kept for the next start.
        port: To listen on; 0 takes a free one.
        listen: IP address to listen on; only this machine reaches the default.
        advertise: URL at which clients reach it, for all addresses in its answers; by default where it listens. Its
            key vaults then have the ports after `port`, and the same at that host.
        workspaces: Those that exist in it, each with a key vault.
        vaults: Names of further key vaults, in the resource group of the first workspace.
        runtime: Executes the jobs; by default as processes of this machine.
        clock: The time.
        settings: Its settings at first.
        cloud: Name of the cloud that it shows: whose tokens it makes and takes.
        proxy_port: Port of a proxy for Azure's public hosts; 0 for a free port, None for no
            proxy.
        environ: The variables that say how the proxy reaches other hosts; those of this process by default.
        peers: Decides which users of this machine may connect; by default the one that starts it.
        connection_limits: Times after which idle connections are closed.
        keep_state: True to begin with the jobs, assets and outputs of the one before, and to save each change; False
            to begin empty, and to leave nothing for the next one.
        fresh: True to begin empty and then to save each change, with `keep_state`.

    Attributes:
        base_url: `https://127.0.0.1:PORT`, or the advertised URL.
        local_url: The URL for programs of this machine: `https://127.0.0.1:PORT`.
        proxy_url: `http://127.0.0.1:PORT` of the proxy; None if there is none.
        context: Its state; use it only on its own event loop.
        ca_file: The certificate of its CA alone.
        ca_bundle: certifi's certificates and that one.
        tenant_id: Tenant in which the application signs in.
        client_id: The application that can sign in.
        federated_token_file: Another credential of the application (`AZURE_FEDERATED_TOKEN_FILE`).

    Raises:
        AddressError: If `listen` is no IP address, or `advertise` no URL of a host.
        OSError: If the port is taken, or the folder cannot be written.
        StateFolderError: If the folder is not an emulator's, and not empty; if another emulator uses it; or if its
            state or its keys cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        listen: str = LOOPBACK,
        advertise: str | None = None,
        workspaces: Sequence[WorkspaceName] = (WorkspaceName(),),
        vaults: Sequence[str] = (),
        runtime: Runtime | None = None,
        clock: Clock | None = None,
        settings: Settings | None = None,
        cloud: str = "AzureCloud",
        proxy_port: int | None = None,
        environ: Mapping[str, str] | None = None,
        peers: Peers | None = None,
        connection_limits: ConnectionLimits = DEFAULT_LIMITS,
        keep_state: bool = False,
        fresh: bool = False,
    ) -> None:
        here = reachable_here(listen)
        advertised = None if advertise is None else Advertised.parse(advertise)
        hosts = [*dict.fromkeys(host.strip("[]") for host in (here, *((advertised.host,) if advertised else ())))]
        if proxy_port is not None:
            hosts += certified_hosts(workspace.location for workspace in workspaces)
        folder = claim(folder)
        starts_empty = fresh or not keep_state
        found = identity(folder)
        keys = stored_keys(folder)
        self.tenant_id, self.client_id = found.tenant_id, found.client_id
        self.federated_token_file = found.federated_token_file
        self._connection_limits = connection_limits
        runtime = runtime or ProcessRuntime()
        self._peers = peers or Peers(runtime.may_own_socket)
        clock = clock or SystemClock()
        settings = settings or Settings()
        with ExitStack() as opened:
            kept = None if starts_empty else opened.enter_context(closing(restore.Kept(folder)))
            self._socket = opened.enter_context(listen_on(listen, port, prefer=kept.port if kept else 0))
            address = here.strip("[]"), self._socket.getsockname()[1]
            self.local_url = url_of(here, address[1])
            self.base_url = advertised.url if advertised else self.local_url
            self._proxy: Proxy | None = None
            if proxy_port is not None:
                proxy = Proxy(address, proxy_port, environ or os.environ, key=keys.proxy, peers=self._peers)
                self._proxy = opened.enter_context(closing(proxy))
            self.proxy_url = self._proxy.url if self._proxy else None
            made = [new_workspace(name, clock, self.base_url) for name in workspaces]
            self._listen, self._vault_host = listen, advertised.host if advertised else here
            made_vaults = self._open_vaults(opened, made, vaults, port + _FIRST_VAULT if port and advertised else 0)
            self._hosts = AnsweredHosts(here, advertised, address[1])
            self._certificates = certificates(folder, hosts)
            self.ca_file = self._certificates.ca_file
            self.ca_bundle = self._certificates.ca_bundle
            write_curl_file(folder, keys, self.ca_file)
            # Last: a start that fails must leave the state of the emulator before as it is.
            if starts_empty:
                restore.start_empty(folder)
                kept = opened.enter_context(closing(restore.Kept(folder))) if keep_state else None
            store = Store(made, vaults=made_vaults)
            store.make_owner(found.object_id)
            journal = None if kept is None else kept.give(store, self.base_url, address[1], clock.now())
            if journal is not None:
                opened.callback(journal.close)
            folder_of_jobs(folder, "datastores")  # now: logs of jobs are read from it on a full disk too
            self._opened = opened.pop_all()
        self.context = Context(
            folder=folder,
            base_url=self.base_url,
            identity=found,
            keys=keys,
            store=store,
            journal=journal,
            runtime=runtime,
            clock=clock,
            settings=settings,
            ca_bundle=self.ca_bundle,
            cloud=CLOUDS[cloud],
            proxy_url=self._proxy.url_with_key if self._proxy else None,
        )
        self._thread: threading.Thread | None = None

    @property
    def admin_headers(self) -> dict[str, str]:
        """The header that requests to the emulator's own interface (`/_emulator/`) need. It holds a secret."""
        return self.context.keys.admin_headers

    @property
    def client_secret(self) -> str:
        """The application's secret; another one after it was rotated."""
        return self.context.identity.client_secret

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Serve on the running event loop for the length of an `async with`; then end every job."""
        connections = Connections(self._connection_limits)
        app = build_app(self.context, Access(self._peers, self._hosts), connections)
        self._more = MoreWorkspaces(app, self._certificates.server, listen=self._listen, host=self._vault_host)
        runner = web.AppRunner(
            app,
            keepalive_timeout=self._connection_limits.idle,
            access_log=_log,
            access_log_class=FinishRecord,
            shutdown_timeout=1,
            read_bufsize=_READ_BUFFER,
            # A blob is stored as it is sent. And aiohttp leaves a handler waiting whose body turns out to be broken
            # after its headers. Guess: no other service decodes bodies either.
            auto_decompress=False,
        )
        await runner.setup()
        if self.context.journal is not None:
            self.context.journal.set_loop(asyncio.get_running_loop())
        try:
            for listening in (self._socket, *self._vault_sockets):
                await web.SockSite(runner, listening, ssl_context=self._certificates.server).start()
            assert runner.server is not None  # noqa: S101 - it was set up above
            async with connections.watch(runner.server), self._proxy.serve() if self._proxy else nullcontext():
                yield
        finally:
            await self._more.close()
            await runner.cleanup()
            await self.context.end_all()
            if self.context.journal is not None:
                end_interrupted(self.context.store, self.context.clock.now(), STOPPED)
            self._opened.close()

    def __enter__(self) -> Emulator:
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve_until_closed(ready)), name="emulator")
        self._thread.start()
        ready.result()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop every job and the server if it runs in a thread; else only release the port."""
        if self._thread is None:
            self._opened.close()
            return
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()
        self._thread = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on its event loop and wait for it; only for an emulator that runs in a thread.

        Args:
            work: A coroutine, e.g. one that reads `context`.
        """
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def add_workspace(self, name: WorkspaceName) -> None:
        """Add a workspace with a key vault of its own; only to an emulator that runs in a thread.

        Args:
            name: Its name and place.

        Raises:
            ValueError: If it exists.
        """
        self.run(self._more.add(new_workspace(name, self.context.clock, self.base_url)))

    def remove_workspace(self, name: WorkspaceName) -> None:
        """End the jobs of a workspace that was added, and delete it with all that is in it.

        Args:
            name: Its name and place.

        Raises:
            KeyError: If no workspace of that name was added.
        """
        self.run(self._remove(name))

    def _open_vaults(
        self, opened: ExitStack, workspaces: Sequence[Workspace], more: Sequence[str], first: int
    ) -> list[Vault]:
        """Return the key vaults; as in Azure, each has an address of its own.

        Args:
            opened: Closes their sockets.
            workspaces: The workspaces, each of which has one.
            more: Names of further ones, in the resource group of the first workspace.
            first: Port of the first one; 0 for free ports.
        """
        owned = [(each, each.vault_name) for each in workspaces] + [(workspaces[0], name) for name in more]
        self._vault_sockets = [
            opened.enter_context(listen_on(self._listen, first and first + number)) for number in range(len(owned))
        ]
        urls = [url_of(self._vault_host, one.getsockname()[1]) for one in self._vault_sockets]
        return [vault_of(*owner, url) for owner, url in zip(owned, urls, strict=True)]

    async def _remove(self, name: WorkspaceName) -> None:
        found = self.context.store.find_workspace(name.subscription_id, name.resource_group, name.name)
        if found is None:
            raise KeyError(name.name)
        await self._more.remove(found)

    async def _serve_until_closed(self, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        try:
            async with self.serve():
                ready.set_result(None)
                await self._closing.wait()
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)
