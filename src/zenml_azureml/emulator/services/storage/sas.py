"""The storage account of a workspace: what it is called, and signatures that it accepts.

The account of a real workspace has a host of its own. Here it is a folder of the emulator's address, as
with Azurite: the datastore's `accountName` is `127.0.0.1:PORT/NAME`, of which the SDK makes the address
`https://127.0.0.1:PORT/NAME.blob.core.windows.net`. Through the proxy it has its own host as well.

How signatures are made is documented by Microsoft: "Create a service SAS" (versions from 2020-12-06)
and "Authorize with Shared Key".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, unquote, urlencode

from zenml_azureml.emulator.state import Workspace

#: The container that jobs' files are in (recorded: datastore_get_artifactstore.json).
CONTAINER = "azureml"

#: Version of the storage service that signs, and the oldest whose signatures are understood.
_SIGNED_VERSION = "2021-12-02"
_OLDEST_VERSION = "2020-12-06"

#: Time before its creation from which a SAS URL is valid (quoted_rundetails_v1_logfiles.json).
_SAS_HEAD_START = timedelta(minutes=10)

# The fields of a service SAS in the order in which they are signed; `None` is the resource.
_SAS_FIELDS = (
    *("sp", "st", "se", None, "si", "sip", "spr", "sv", "sr"),
    *("snapshot", "ses", "rscc", "rscd", "rsce", "rscl", "rsct"),
)

# The fields of an account SAS in the order in which they are signed, after the account's name.
_ACCOUNT_SAS_FIELDS = ("sp", "ss", "srt", "st", "se", "sip", "spr", "sv", "ses")

# The headers that Shared Key signs by position.
_SHARED_KEY_HEADERS = (
    *("Content-Encoding", "Content-Language", "Content-Length", "Content-MD5", "Content-Type"),
    *("Date", "If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range"),
)


@dataclass(frozen=True)
class StorageAccount:
    """A storage account.

    Attributes:
        address: Its address, without a slash at the end.
        name: As the datastore names it; signatures cover it.
        key: Its secret key.
    """

    address: str
    name: str
    key: bytes

    def sas_url(
        self,
        blob: str | None,
        *,
        now: datetime,
        lifetime: timedelta,
        container: str = CONTAINER,
        permissions: str = "r",
    ) -> str:
        """Return a URL that grants access to one blob, or to a container, for a while.

        Args:
            blob: Name of the blob; None for the whole container.
            now: Time of its creation.
            lifetime: Its lifetime.
            container: Name of the container.
            permissions: What it grants, in the letters of the service.
        """
        fields = {
            "sv": _SIGNED_VERSION,
            "sr": "c" if blob is None else "b",
            "st": _sas_time(now - _SAS_HEAD_START),
            "se": _sas_time(now + lifetime),
            "sp": permissions,
        }
        fields["sig"] = self._service_signature(self.name, container, blob, fields)
        place = container if blob is None else f"{container}/{quote(blob)}"
        return f"{self.address}/{place}?{urlencode(fields)}"

    def account_sas(self, *, now: datetime, lifetime: timedelta) -> str:
        """Return a SAS of the whole account, as datastores answer it (recorded: datastore_listsecrets_sas_2026.json).

        Args:
            now: Time of its creation.
            lifetime: Its lifetime.
        """
        fields = {"sv": _SIGNED_VERSION, "sig": "", "se": _sas_time(now + lifetime)}
        fields |= {"srt": "co", "ss": "bf", "sp": "rcuwdl"}
        fields["sig"] = self._account_signature(self.name, fields)
        return f"?{urlencode(fields)}"

    def accepts_sas(self, container: str, blob: str | None, query: Mapping[str, str]) -> bool:
        """True if a SAS was signed with the account's key for this resource, even if it is not valid now."""
        if query.get("sv", "") < _OLDEST_VERSION:
            return False
        shown = query.get("sig", "")
        if "srt" in query:
            return any(_same(shown, self._account_signature(name, query)) for name in self._names)
        signed = blob if query.get("sr") == "b" else None
        return any(_same(shown, self._service_signature(name, container, signed, query)) for name in self._names)

    def accepts_shared_key(self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> bool:
        """True if a request was signed with the account's key.

        Args:
            method: Of the request.
            path: As sent, still quoted.
            query: Of the request.
            headers: Of the request; their names in any case.
        """
        shown = headers.get("Authorization", "")
        account = shown.removeprefix("SharedKey ").partition(":")[0]
        # Clients that are given an address alone take the first part of its path for the account.
        if account not in (*self._names, path.split("/")[1]):
            return False
        length = headers.get("Content-Length", "")
        fixed = {**headers, "Content-Length": "" if length == "0" else length}
        by_position = [_header(fixed, name) for name in _SHARED_KEY_HEADERS]
        own = {name.lower(): value.strip() for name, value in headers.items() if name.lower().startswith("x-ms-")}
        resource = [f"/{account}{path}", *(f"{name.lower()}:{unquote(value)}" for name, value in sorted(query.items()))]
        # Microsoft's description sorts the headers by name; its client for Python sorts them as a dictionary does.
        orders = (sorted(own), sorted(own, key=_dictionary_key))
        return any(
            _same(
                shown,
                f"SharedKey {account}:"
                + self._sign([method, *by_position, *(f"{name}:{own[name]}" for name in order), *resource]),
            )
            for order in orders
        )

    @property
    def _names(self) -> tuple[str, str]:
        """The names by which clients know the account: that of the datastore, and that alone."""
        return self.name, self.name.rpartition("/")[2]

    def _service_signature(self, name: str, container: str, blob: str | None, fields: Mapping[str, str]) -> str:
        resource = f"/blob/{name}/{container}" + ("" if blob is None else f"/{blob}")
        return self._sign([resource if f is None else fields.get(f, "") for f in _SAS_FIELDS])

    def _account_signature(self, name: str, fields: Mapping[str, str]) -> str:
        return self._sign([name, *(fields.get(field, "") for field in _ACCOUNT_SAS_FIELDS), ""])

    def _sign(self, lines: list[str]) -> str:
        digest = hmac.digest(self.key, "\n".join(lines).encode("utf-8", "surrogateescape"), hashlib.sha256)
        return base64.b64encode(digest).decode()


def _dictionary_key(name: str) -> str:
    return name.replace("-", "").replace("_", "!")


def _header(headers: Mapping[str, str], name: str) -> str:
    return next((value for key, value in headers.items() if key.lower() == name.lower()), "")


def _same(shown: str, expected: str) -> bool:
    # As bytes: of texts, `compare_digest` takes ASCII only.
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), expected.encode("utf-8", "surrogateescape"))


def account_of(workspace: Workspace, base_url: str) -> StorageAccount:
    """Return the storage account of a workspace.

    Args:
        workspace: The workspace.
        base_url: URL of the emulator.
    """
    folder = account_folder(workspace)
    return StorageAccount(
        address=f"{base_url}/{folder}.blob.core.windows.net",
        name=f"{base_url.removeprefix('https://')}/{folder}",
        key=workspace.storage_key,
    )


def account_folder(workspace: Workspace) -> str:
    """Return the name of a workspace's storage account below the emulator's address."""
    return f"st{workspace.workspace_id.replace('-', '')[:12]}"


def sas_period(query: Mapping[str, str]) -> tuple[datetime, datetime]:
    """Return the start and the end of a SAS's lifetime.

    Raises:
        ValueError: If it does not say so in one of the two forms that clients use.
    """
    expiry = _parse_sas_time(query.get("se", ""))
    start = query.get("st")
    return _parse_sas_time(start) if start else datetime.min.replace(tzinfo=timezone.utc), expiry


def _sas_time(moment: datetime) -> str:
    return f"{moment.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _parse_sas_time(text: str) -> datetime:
    layout = "%Y-%m-%dT%H:%M:%SZ" if "T" in text else "%Y-%m-%d"
    return datetime.strptime(text, layout).replace(tzinfo=timezone.utc)
