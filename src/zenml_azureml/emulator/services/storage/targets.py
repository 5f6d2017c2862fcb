"""The resource that a request to blob storage is about, and the conditions that its headers make."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from zenml_azureml.emulator.services.storage.errors import BlobError
from zenml_azureml.emulator.services.storage.files import AccountFiles, Blob
from zenml_azureml.emulator.services.storage.sas import StorageAccount


@dataclass(frozen=True)
class Target:
    """A container or a blob.

    Attributes:
        account: Its storage account.
        files: The files of the account.
        container: Name of the container; empty for the account.
        name: Name of the blob; empty for the container.
    """

    account: StorageAccount
    files: AccountFiles
    container: str
    name: str

    def blob(self) -> Blob:
        """Return the blob.

        Raises:
            BlobError: 404, if there is none.
        """
        found = self.files.find(self.container, self.name)
        if found is None:
            raise BlobError(404, "BlobNotFound", "The specified blob does not exist.")
        return found

    def write_to(self, request: web.Request) -> Blob | None:
        """Return the blob that a request would replace, after the check of its conditions; None if there is none.

        Raises:
            BlobError: If a condition is not met.
        """
        found = self.files.find(self.container, self.name)
        if request.headers.get("If-None-Match") == "*" and found is not None:
            raise BlobError(409, "BlobAlreadyExists", "The specified blob already exists.")
        check_conditions(request, found)
        return found


def check_conditions(request: web.Request, blob: Blob | None) -> None:
    """Refuse a request whose conditions a blob does not meet.

    Raises:
        BlobError: 412.
    """
    wanted, unwanted = request.headers.get("If-Match"), request.headers.get("If-None-Match", "*")
    etag = blob.etag if blob is not None else None
    if (wanted is not None and (etag is None or wanted not in (etag, "*"))) or unwanted == etag:
        raise BlobError(
            412,
            "ConditionNotMet",
            "The condition specified using HTTP conditional header(s) is not met.",
        )
