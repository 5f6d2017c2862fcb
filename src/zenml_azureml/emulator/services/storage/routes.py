"""Azure Blob Storage: which operation a request asks for, at the emulator's address and at hosts of accounts.

Forms, headers and codes: Microsoft's API reference of the service ("Put Block List", "List Blobs" and so on).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.other_hosts import service_with
from zenml_azureml.emulator.services.storage import containers, reads, writes
from zenml_azureml.emulator.services.storage.access import Wanted, check_access
from zenml_azureml.emulator.services.storage.errors import BlobError, error_response
from zenml_azureml.emulator.services.storage.files import AccountFiles
from zenml_azureml.emulator.services.storage.sas import account_folder, account_of
from zenml_azureml.emulator.services.storage.targets import Target
from zenml_azureml.emulator.state import Workspace

_ADDRESS = "/{account:st[0-9a-f]{12}}.blob.{suffix:core[.a-z]+}"
_CONTAINER = f"{_ADDRESS}/{{container:[^/]+}}"
_ACCOUNT_IN_PATH = re.compile(r"/st[0-9a-f]{12}\.blob\.core[.a-z]+")

_Operation = Callable[[web.Request, Target], Awaitable[web.StreamResponse]]

#: Operations by method, resource and `comp`, with the permissions of which one is needed.
_OPERATIONS: dict[tuple[str, str, str], tuple[_Operation, str]] = {
    ("GET", "account", "list"): (containers.list_containers, "l"),
    ("GET", "account", "properties"): (containers.account_properties, "r"),
    ("PUT", "container", ""): (containers.create, "cw"),
    ("GET", "container", ""): (containers.properties, "r"),
    ("HEAD", "container", ""): (containers.properties, "r"),
    ("DELETE", "container", ""): (containers.delete, "d"),
    ("GET", "container", "list"): (reads.list_blobs, "l"),
    ("GET", "blob", ""): (reads.get_blob, "r"),
    ("HEAD", "blob", ""): (reads.get_blob, "r"),
    ("GET", "blob", "metadata"): (reads.get_properties, "r"),
    ("HEAD", "blob", "metadata"): (reads.get_properties, "r"),
    ("GET", "blob", "blocklist"): (reads.get_blocks, "r"),
    ("PUT", "blob", ""): (writes.put_blob, "cw"),
    ("PUT", "blob", "block"): (writes.put_block, "cw"),
    ("PUT", "blob", "blocklist"): (writes.put_block_list, "cw"),
    ("PUT", "blob", "appendblock"): (writes.append_block, "aw"),
    ("PUT", "blob", "metadata"): (writes.set_metadata, "w"),
    ("PUT", "blob", "properties"): (writes.set_headers, "w"),
    ("DELETE", "blob", ""): (writes.delete_blob, "d"),
}


def routes() -> list[web.RouteDef]:
    """Return the routes of this module; a key, a SAS or a token is checked here."""
    kinds = {"account": _ADDRESS, "container": _CONTAINER, "blob": f"{_CONTAINER}/{{blob:(?s:.+)}}"}
    served = {(method, kind) for method, kind, _ in _OPERATIONS}
    found = [web.route(method, kinds[kind], serve) for method, kind in sorted(served)]
    # Clients put a slash behind the address.
    return [*found, web.get(f"{_ADDRESS}/", serve)]


def blob_service(context: Context) -> web.Application:
    """Return the service at the hosts of storage accounts.

    Args:
        context: State for its handlers.
    """
    return service_with(context, serve)


async def serve(request: web.Request) -> web.StreamResponse:
    """Answer any request to the storage account of a workspace."""
    try:
        path = request.rel_url.raw_path
        if "account" in request.match_info:
            path = _ACCOUNT_IN_PATH.sub("", path, count=1)
        container, _, blob = unquote(path.removeprefix("/")).partition("/")
        return await _operate(request, container, blob or None)
    except BlobError as error:
        return error_response(request, error, request.app[CONTEXT].clock.now())


async def _operate(request: web.Request, container: str, blob: str | None) -> web.StreamResponse:
    context, comp = request.app[CONTEXT], request.query.get("comp", "")
    name = request.match_info.get("account") or request.host.partition(".")[0]
    workspace = _workspace_of(context, name)
    kind = "account" if not container else "container" if blob is None else "blob"
    found = _OPERATIONS.get((request.method, kind, comp))
    if workspace is None or (found is None and not container):
        # Guess: the code. A host without an account would not even have an address.
        raise BlobError(404, "ResourceNotFound", "The specified resource does not exist.")
    account = account_of(workspace, context.base_url)
    check_access(request, account, Wanted(container, blob, found[1] if found else "racwdl"))
    if found is None:
        raise BlobError(
            501,
            "NotEmulated",
            f"The operation {request.method} {kind}{comp and '?comp='}{comp} of blob storage is not emulated. This "
            "emulator does not have it; docs/emulator.md of zenml-azureml lists what it has.",
        )
    files = AccountFiles(context.folder, workspace)
    creates = (request.method, kind, comp) == ("PUT", "container", "")
    if container and not creates and not files.has_container(container):
        raise BlobError(404, "ContainerNotFound", "The specified container does not exist.")
    return await found[0](request, Target(account, files, container, blob or ""))


def _workspace_of(context: Context, account: str) -> Workspace | None:
    return next((one for one in context.store.workspaces if account_folder(one) == account), None)
