"""Answers in Azure's form, and functions that every handler needs for a request.

Two services answer on `management.azure.com`: Azure ML itself (pretty-printed bodies, many headers)
and the gateway of Azure Resource Manager in front of it (compact bodies, few headers). Both are
here, because clients distinguish them.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, TypeVar
from urllib.parse import urlencode

from aiohttp import web
from pydantic import BaseModel

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.headers import aml_headers, gateway_headers, location_of
from zenml_azureml.emulator.http.json_bodies import BodyError, check, parse_object, with_texts
from zenml_azureml.emulator.state import PROVIDER, Workspace
from zenml_azureml.emulator.types import Json

#: Prefix of every route below a workspace. `app.py` makes its fixed words match in any case.
WORKSPACE = (
    f"/subscriptions/{{subscription}}/resourceGroups/{{resource_group}}/providers/{PROVIDER}/workspaces/{{workspace}}"
)

T = TypeVar("T")


class ServiceError(Exception):
    """A refusal by Azure ML, in its own body form (recorded: environment_get_container_404.json).

    Attributes:
        status: HTTP status.
        code: `error.code`, e.g. `UserError`.
        message: `error.message`.
        inner: Codes of the nested `innerError`s, outermost first; none leaves the item out.
        headers: Further headers of the answer.
        details: `error.details`.
        has_format: True if the answer repeats the message as its format.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        inner: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        details: Sequence[Json] = (),
        has_format: bool = False,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.inner = tuple(inner)
        self.headers = dict(headers or {})
        self.details = list(details)
        self.has_format = has_format


class GatewayError(Exception):
    """A refusal by Azure Resource Manager, before Azure ML has seen the request.

    Attributes:
        status: HTTP status.
        code: `error.code`, e.g. `ResourceNotFound`.
        message: `error.message`.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def workspace_of(request: web.Request) -> Workspace:
    """Return the workspace in the path of a request.

    Raises:
        GatewayError: 404, if there is no such subscription, resource group or workspace.
    """
    subscription = request.match_info["subscription"]
    group = request.match_info["resource_group"]
    name = request.match_info["workspace"]
    store = request.app[CONTEXT].store
    found = store.find_workspace(subscription, group, name)
    if found is not None:
        return found
    mine = [w for w in store.workspaces if w.subscription_id.lower() == subscription.lower()]
    if not mine:
        raise subscription_not_found(subscription)
    if all(w.resource_group.lower() != group.lower() for w in mine):
        raise GatewayError(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
    if request.method == "PUT":
        # Recorded: job_put_no_workspace_404.json.
        raise GatewayError(
            404,
            "ParentResourceNotFound",
            f"Can not perform requested operation on nested resource. Parent resource '{name}' not found.",
        )
    raise GatewayError(
        404,
        "ResourceNotFound",
        f"The Resource '{PROVIDER}/workspaces/{name}' under resource group '{group}' was not found."
        " For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def not_emulated(what: str) -> GatewayError:
    """Return the answer to a request for something that the emulator does not have; no answer of Azure looks like it.

    Args:
        what: What is not there, as a phrase with a capital: `The operation GET .../schedules`.
    """
    return GatewayError(
        501,
        "NotEmulated",
        f"{what} is not emulated. This emulator does not have it; docs/emulator.md of zenml-azureml lists what it has.",
    )


def subscription_not_found(subscription: str) -> GatewayError:
    """Return ARM's 404 for an unknown subscription."""
    return GatewayError(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")


async def json_body(request: web.Request, schema: type[BaseModel] | None = None, *, texts: Sequence[str] = ()) -> Json:
    """Return the request's body, which must be a JSON object.

    Args:
        request: The request.
        schema: Schema of the object.
        texts: Its members with texts as values, see `with_texts`.

    Raises:
        GatewayError: 400, if it is no object or does not match the schema.
    """
    try:
        body: Json = with_texts(parse_object(await request.read(), request.charset), *texts)
        if schema is not None:
            check(schema, body)
    except BodyError as error:
        # Guess: ARM's general message; none was recorded for Azure ML.
        raise GatewayError(
            400,
            "InvalidRequestContent",
            f"The request content was invalid and could not be deserialized: '{error}'.",
        ) from error
    return body


def checked(schema: type[BaseModel], sent: object) -> None:
    """Refuse a part of a body that does not match its schema.

    Raises:
        ServiceError: 400; names each item that is wrong.
    """
    try:
        check(schema, sent)
    except BodyError as error:
        # Guess: there is no recording of this message.
        raise ServiceError(400, "UserError", f"The request is invalid: {error}.") from error


def aml_json(
    request: web.Request, body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return Azure ML's answer with a body: JSON indented by 2 spaces, lines ended by LF."""
    return web.Response(
        status=status,
        text=json.dumps(body, indent=2, ensure_ascii=False),
        content_type="application/json",
        charset="utf-8",
        headers={**aml_headers(request, "standard"), **(headers or {})},
    )


def aml_empty(request: web.Request, *, status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return Azure ML's answer without a body: Content-Length 0, no Content-Type."""
    return web.Response(status=status, headers={**aml_headers(request, "standard"), **(headers or {})})


def aml_error(request: web.Request, error: ServiceError) -> web.Response:
    """Return a refusal in the form of Azure ML."""
    context = request.app[CONTEXT]
    location = location_of(request)
    additional: list[Json] = [
        {"type": "ComponentName", "info": {"value": "managementfrontend"}},
        {
            "type": "Correlation",
            "info": {"value": {"operation": secrets.token_hex(16), "request": secrets.token_hex(8)}},
        },
        {"type": "Environment", "info": {"value": location}},
        {"type": "Location", "info": {"value": location}},
        {"type": "Time", "info": {"value": timestamp(context.clock.now())}},
    ]
    if error.inner:
        additional.append({"type": "InnerError", "info": {"value": _nested(error.inner)}})
    if error.has_format:
        additional.append({"type": "MessageFormat", "info": {"value": error.message}})
    body = {
        "error": {
            "code": error.code,
            "message": error.message,
            "details": error.details,
            "additionalInfo": additional,
        }
    }
    headers = {"x-ms-response-type": "error", **error.headers}
    return aml_json(request, body, status=error.status, headers=headers)


def gateway_json(
    request: web.Request, body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return ARM's own answer: compact JSON and only the gateway's headers."""
    return web.Response(
        status=status,
        text=json.dumps(body, separators=(",", ":"), ensure_ascii=False),
        content_type="application/json",
        charset="utf-8",
        headers={**gateway_headers(request), **(headers or {})},
    )


def gateway_error(request: web.Request, error: GatewayError) -> web.Response:
    """Return a refusal in the form of ARM's gateway; unlike Azure ML's it has `x-ms-failure-cause`."""
    body = {"error": {"code": error.code, "message": error.message}}
    headers = {"x-ms-failure-cause": "gateway", **error.headers}
    return gateway_json(request, body, status=error.status, headers=headers)


def timestamp(moment: datetime) -> str:
    """Return a time in Azure ML's format: `2026-08-25T13:23:30.54+00:00`, trailing zeros trimmed."""
    utc = moment.astimezone(timezone.utc)
    fraction = f".{utc.microsecond:06d}".rstrip("0").rstrip(".")
    return f"{utc:%Y-%m-%dT%H:%M:%S}{fraction}+00:00"


def paged(request: web.Request, items: Sequence[T], render: Callable[[T], Any]) -> web.Response:
    """Return one page of a listing: `{"value": [...]}`, and `nextLink` only if more follow.

    The `$skip` token counts what is left, not what was read: the service lists the newest first,
    so a page neither repeats nor misses one if others are created between two requests.

    Args:
        request: The request; its `$skip` is the start of the page.
        items: The whole listing.
        render: Makes the JSON of one item.

    Raises:
        ServiceError: 400 for a `$skip` that is not from here.
    """
    context = request.app[CONTEXT]
    left = len(items)
    if "$skip" in request.query:
        try:
            left = min(left, int(request.query["$skip"], 16))
        except ValueError:
            left = -1
        if left < 0:
            # Guess: the answer to a bad token was not recorded.
            raise ServiceError(400, "UserError", "The continuation token is invalid.")
    rest = items[len(items) - left :]
    page = rest[: context.settings.page_size]
    body: Json = {"value": [render(item) for item in page]}
    if len(rest) > len(page):
        query = {**request.query, "$skip": f"{left - len(page):x}"}
        body["nextLink"] = f"{context.base_url}{request.path}?{urlencode(query)}"
    return aml_json(request, body)


def in_view(list_view_type: str | None) -> Callable[[Mapping[str, Any]], bool]:
    """True if `listViewType` includes a resource, by its `properties`; the default is `ActiveOnly`."""
    if list_view_type == "All":
        return lambda _properties: True
    archived = list_view_type == "ArchivedOnly"
    return lambda properties: properties["isArchived"] is archived


def _nested(codes: Sequence[str]) -> Json | None:
    """Return `("A", "B")` as `{"code": "A", "innerError": {"code": "B", "innerError": None}}`."""
    if not codes:
        return None
    return {"code": codes[0], "innerError": _nested(codes[1:])}
