"""Bodies of requests to the emulator's own interface, and refusals of invalid ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from zenml_azureml.emulator.http.json_bodies import BodyError, parse_object, wrong_items

_Model = TypeVar("_Model", bound=BaseModel)


async def body(request: web.Request, model: type[_Model]) -> _Model:
    """Return the body of a request as a model; refuse an invalid one."""
    try:
        return model.model_validate(await json_of(request))
    except ValidationError as error:
        raise bad_request(error) from error


async def json_of(request: web.Request) -> Mapping[str, Any]:
    """Return the body of a request, a JSON object; refuse any other."""
    try:
        return parse_object(await request.read(), request.charset)
    except BodyError as error:
        raise refuse(f"The body cannot be used: {error}.") from error


def bad_request(error: ValidationError) -> web.HTTPBadRequest:
    """Return a refusal that names each invalid field and the reason."""
    return refuse(wrong_items(error))


def refuse(message: str) -> web.HTTPBadRequest:
    """Return a refusal with a message."""
    return web.HTTPBadRequest(text=web.json_response({"error": message}).text, content_type="application/json")
