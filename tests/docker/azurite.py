"""Azure Blob Storage on the loopback: Microsoft's Azurite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azure.storage.blob import BlobServiceClient

from tests.docker.services import free_port, listens, serving
from tests.e2e.environments import SOURCE

#: Where `tests/docker/install` puts it.
_PROGRAM = SOURCE / ".venv/azurite/node_modules/.bin/azurite-blob"
#: Of the storage account that every Azurite has: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextmanager
def blob_storage(folder: Path, container: str) -> Iterator[str]:
    """A storage account for the length of a `with`; its connection string.

    Args:
        folder: An empty folder for its blobs.
        container: Of the account, to be made.
    """
    port = free_port()
    command = [str(_PROGRAM), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder)]
    # Azurite follows the service's newest API versions some weeks late.
    command += ["--skipApiVersionCheck", "--silent", "--disableTelemetry"]
    with serving(command, folder / "log", lambda: listens(port)):
        endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
        connection = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint};"
        with BlobServiceClient.from_connection_string(connection) as account:
            account.create_container(container)
        yield connection
