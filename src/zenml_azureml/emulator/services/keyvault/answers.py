"""Answers of a key vault: secrets with and without their values, deleted ones, and pages of them."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.headers import REQUEST_ID
from zenml_azureml.emulator.services.keyvault.access import VaultError
from zenml_azureml.emulator.services.keyvault.store import SecretVersion, Vault

#: Days for which a deleted secret can be recovered, by default.
_RECOVERABLE_DAYS = 90
_PAGE_SIZE = 25

Json = dict[str, Any]


def item(request: web.Request, vault: Vault, name: str, secret: SecretVersion, *, version: bool = False) -> Json:
    """Return a secret without its value; in listings also without its version."""
    attributes: Json = {"enabled": secret.enabled}
    attributes |= {"nbf": secret.not_before} if secret.not_before is not None else {}
    attributes |= {"exp": secret.expires} if secret.expires is not None else {}
    attributes |= {"created": secret.created, "updated": secret.updated}
    attributes |= {"recoveryLevel": "Recoverable+Purgeable", "recoverableDays": _RECOVERABLE_DAYS}
    body: Json = {} if secret.content_type is None else {"contentType": secret.content_type}
    id_ = f"https://{request.host}/secrets/{name}" + (f"/{secret.version}" if version else "")
    return {**body, "id": id_, "attributes": attributes, "tags": secret.tags}


def bundle(request: web.Request, vault: Vault, name: str, secret: SecretVersion) -> Json:
    """Return a secret with its value."""
    return {"value": secret.value, **item(request, vault, name, secret, version=True)}


def deleted_bundle(request: web.Request, vault: Vault, key: str) -> Json:
    """Return a deleted secret, without its value."""
    found, name = vault.deleted[key], vault.names[key]
    return {
        "recoveryId": f"https://{request.host}/deletedsecrets/{name}",
        "deletedDate": found.deleted,
        "scheduledPurgeDate": found.deleted + _RECOVERABLE_DAYS * 24 * 3600,
        **item(request, vault, name, found.versions[-1], version=True),
    }


def paged(request: web.Request, items: list[Json]) -> web.Response:
    """Return one page of a listing."""
    size = min(_number(request, "maxresults", _PAGE_SIZE, least=1), _PAGE_SIZE)
    begin = _number(request, "$skiptoken", 0)
    page = items[begin : begin + size]
    more = begin + size < len(items)
    link = f"https://{request.host}{request.path}?api-version={request.query['api-version']}&$skiptoken={begin + size}"
    return vault_json(request, {"value": page, "nextLink": f"{link}&maxresults={size}" if more else None})


def _number(request: web.Request, name: str, default: int, *, least: int = 0) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal() or len(text) > 9 or int(text) < least:
        # Guess: the message.
        raise VaultError(400, "BadParameter", f"Invalid value of the query parameter {name}.")
    return int(text)


def vault_json(
    request: web.Request, body: Json, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """Return an answer with the headers of a key vault."""
    return web.Response(
        status=status,
        text=json.dumps(body, separators=(",", ":")),
        content_type="application/json",
        charset="utf-8",
        headers={**vault_headers(request), **(headers or {})},
    )


def vault_headers(request: web.Request) -> dict[str, str]:
    """Return the headers of every answer of a key vault."""
    return {
        "Cache-Control": "no-cache",
        "Pragma": "no-cache",
        "Expires": "-1",
        "x-ms-keyvault-region": request.app[CONTEXT].store.workspaces[0].location,
        "x-ms-request-id": request.get(REQUEST_ID) or str(uuid4()),
        "X-Content-Type-Options": "nosniff",
        "Strict-Transport-Security": "max-age=31536000;includeSubDomains",
    }
