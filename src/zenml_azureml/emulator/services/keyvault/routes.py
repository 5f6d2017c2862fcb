"""Service at the address of a key vault: its secrets, as in version 7.4 and later of Microsoft's API.

Forms and messages: Microsoft's API reference ("Set Secret", "Get Secret", "Delete Secret", ...), and public reports of
the refusals. Not emulated: backups, keys, certificates.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.bounds import MOST_BODY_BYTES
from zenml_azureml.emulator.http.json_bodies import BodyError, check, parse_object
from zenml_azureml.emulator.http.responses import gateway_error, not_emulated
from zenml_azureml.emulator.http.schemas import SecretSchema
from zenml_azureml.emulator.services.keyvault.access import VaultError, demand
from zenml_azureml.emulator.services.keyvault.answers import (
    bundle,
    deleted_bundle,
    item,
    paged,
    vault_headers,
    vault_json,
)
from zenml_azureml.emulator.services.keyvault.store import DeletedSecret, SecretVersion, Vault

#: Characters of the longest value. Source: Microsoft's "Azure Key Vault service limits" and "About secrets": 25 KB.
MOST_CHARACTERS = 25_600
#: Source: "Set Secret", and "About secrets": 15 tags of 512 and 256 characters.
_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
_MOST_TAGS, _TAG_NAME, _TAG_VALUE = 15, 512, 256

Json = dict[str, Any]


def vault_service(context: Context) -> web.Application:
    """Return the service at the addresses of the vaults.

    Args:
        context: State for its handlers.
    """
    app = web.Application(middlewares=[_answer_refusals], client_max_size=MOST_BODY_BYTES)
    app[CONTEXT] = context
    one, deleted = "/secrets/{name}", "/deletedsecrets/{name}"
    app.add_routes(
        [
            web.put(one, _set),
            web.get("/secrets", _list),
            web.get(f"{one}/versions", _list_versions),
            *(web.get(path, _get) for path in (one, f"{one}/", f"{one}/{{version}}")),
            web.patch(f"{one}/{{version}}", _update),
            web.delete(one, _delete),
            web.get("/deletedsecrets", _list_deleted),
            web.get(deleted, _get_deleted),
            web.delete(deleted, _purge),
            web.post(f"{deleted}/recover", _recover),
        ]
    )
    return app


@web.middleware
async def _answer_refusals(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        if not request.query.get("api-version"):
            raise VaultError(400, "BadParameter", "api-version must be specified")
        return await handler(request)
    except VaultError as error:
        inner = {"innererror": {"code": error.inner}} if error.inner else {}
        body = {"error": {"code": error.code, "message": error.message, **inner}}
        return vault_json(request, body, status=error.status, headers=error.headers)
    except (web.HTTPRequestEntityTooLarge, web.RequestPayloadError) as error:
        # Guess: the message.
        status = error.status if isinstance(error, web.HTTPException) else 400
        body = {"error": {"code": "BadParameter", "message": f"The body of the request cannot be read: {error}"}}
        return vault_json(request, body, status=status)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        return gateway_error(request, not_emulated(f"The operation {request.method} {request.path} of key vaults"))


async def _set(request: web.Request) -> web.Response:
    vault, name = _vault(request), request.match_info["name"]
    demand(request, vault, "set", name)
    sent = await _body(request)
    value, tags = sent.get("value"), sent.get("tags") or {}
    if not _NAME.fullmatch(name):
        raise VaultError(400, "BadParameter", f"The request URI contains an invalid name: {name}")
    if not isinstance(value, str) or len(value) > MOST_CHARACTERS:
        # Guess: the message.
        raise VaultError(400, "BadParameter", "The value of the secret is missing, or longer than 25k characters.")
    _check_tags(tags)
    if name.lower() in vault.deleted:
        raise VaultError(
            409,
            "Conflict",
            f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this "
            "state, the secret can only be recovered or purged.",
            inner="ObjectIsDeletedButRecoverable",
        )
    now = _now(request)
    made = SecretVersion(value, created=now, updated=now, content_type=sent.get("contentType"), tags=dict(tags))
    _take_attributes(made, sent)
    vault.names.setdefault(name.lower(), name)
    vault.secrets.setdefault(name.lower(), []).append(made)
    return vault_json(request, bundle(request, vault, name, made))


async def _get(request: web.Request) -> web.Response:
    vault, name = _vault(request), request.match_info["name"]
    demand(request, vault, "get", name)
    found = _version(request, vault)
    if not found.enabled:
        raise VaultError(403, "Forbidden", "Operation get is not allowed on a disabled secret.", inner="SecretDisabled")
    return vault_json(request, bundle(request, vault, name, found))


async def _update(request: web.Request) -> web.Response:
    """Change what is said of a version; its value stays."""
    vault, name = _vault(request), request.match_info["name"]
    demand(request, vault, "set", name)
    found, sent = _version(request, vault), await _body(request)
    tags, content_type = sent.get("tags"), sent.get("contentType")
    _check_tags(tags or {})
    found.tags = found.tags if tags is None else tags
    found.content_type = found.content_type if content_type is None else content_type
    _take_attributes(found, sent)
    found.updated = _now(request)
    return vault_json(request, item(request, vault, name, found, version=True))


async def _delete(request: web.Request) -> web.Response:
    """Delete a secret; done at once, which takes the service some seconds."""
    vault, name = _vault(request), request.match_info["name"]
    demand(request, vault, "delete", name)
    versions = vault.secrets.pop(name.lower(), None)
    if versions is None:
        raise _not_found(name)
    vault.deleted[name.lower()] = DeletedSecret(versions, _now(request))
    return vault_json(request, deleted_bundle(request, vault, name.lower()))


async def _list(request: web.Request) -> web.Response:
    vault = _vault(request)
    demand(request, vault, "list")
    items = [item(request, vault, vault.names[key], versions[-1]) for key, versions in sorted(vault.secrets.items())]
    return paged(request, items)


async def _list_versions(request: web.Request) -> web.Response:
    vault, name = _vault(request), request.match_info["name"]
    demand(request, vault, "list", name)
    versions = vault.secrets.get(name.lower(), [])
    return paged(request, [item(request, vault, name, version, version=True) for version in versions])


async def _list_deleted(request: web.Request) -> web.Response:
    vault = _vault(request)
    demand(request, vault, "list")
    return paged(request, [deleted_bundle(request, vault, key) for key in sorted(vault.deleted)])


async def _get_deleted(request: web.Request) -> web.Response:
    vault, name = _vault(request), request.match_info["name"]
    demand(request, vault, "get", name)
    if name.lower() not in vault.deleted:
        raise _not_found(name, deleted=True)
    return vault_json(request, deleted_bundle(request, vault, name.lower()))


async def _purge(request: web.Request) -> web.Response:
    vault, name = _vault(request), request.match_info["name"]
    demand(request, vault, "purge", name)
    if vault.deleted.pop(name.lower(), None) is None:
        raise _not_found(name, deleted=True)
    return web.Response(status=204, headers=vault_headers(request))


async def _recover(request: web.Request) -> web.Response:
    vault, name = _vault(request), request.match_info["name"]
    demand(request, vault, "recover", name)
    found = vault.deleted.pop(name.lower(), None)
    if found is None:
        raise _not_found(name, deleted=True)
    vault.secrets[name.lower()] = found.versions
    return vault_json(request, item(request, vault, name, found.versions[-1], version=True))


def _vault(request: web.Request) -> Vault:
    """Return the vault of a request: each has its own address, and in its cloud a host with its name."""
    context = request.app[CONTEXT]
    host, name = request.host.lower(), request.host.partition(".")[0].lower()
    for vault in context.store.vaults:
        if vault.address == f"https://{host}" or (vault.name.lower() == name and not host[0].isdigit()):
            return vault
    # Guess: a host without a vault would not even have an address.
    raise VaultError(404, "VaultNotFound", f"The vault '{name}' was not found.")


def _version(request: web.Request, vault: Vault) -> SecretVersion:
    name, version = request.match_info["name"], request.match_info.get("version", "")
    versions = vault.secrets.get(name.lower(), [])
    found = [known for known in versions if version in ("", known.version)]
    if not found:
        raise _not_found(f"{name}/{version}".rstrip("/"))
    return found[-1]


def _check_tags(tags: dict[str, str]) -> None:
    if len(tags) > _MOST_TAGS or any(len(key) > _TAG_NAME or len(tag) > _TAG_VALUE for key, tag in tags.items()):
        # Guess: the message.
        raise VaultError(400, "BadParameter", "Property has invalid value: tags.")


def _take_attributes(secret: SecretVersion, sent: Json) -> None:
    attributes = {key: value for key, value in (sent.get("attributes") or {}).items() if value is not None}
    secret.enabled = attributes.get("enabled", secret.enabled)
    secret.expires = attributes.get("exp", secret.expires)
    secret.not_before = attributes.get("nbf", secret.not_before)


def _not_found(name: str, *, deleted: bool = False) -> VaultError:
    if deleted:
        return VaultError(404, "SecretNotFound", f"Deleted Secret not found: {name}")
    return VaultError(
        404,
        "SecretNotFound",
        f"A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you may "
        "be able to recover it using the correct recovery command. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125182",
    )


async def _body(request: web.Request) -> Json:
    try:
        body = parse_object(await request.read(), request.charset)
        check(SecretSchema, body)
    except BodyError as error:
        # Guess: the message.
        raise VaultError(400, "BadParameter", f"The body of the request cannot be used: {error}.") from error
    return body


def _now(request: web.Request) -> int:
    return int(request.app[CONTEXT].clock.now().timestamp())
