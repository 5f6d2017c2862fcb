"""Every place where a user can put text into the settings of a step, found by looking at their models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from zenml_azureml import AzureMLStepOperatorSettings
from zenml_azureml.settings.distribution import AzureMLDistribution
from zenml_azureml.settings.fallback import TARGET_SETTINGS
from zenml_azureml.settings.models import AzureMLJobService

#: Settings with a text at one place.
Fill = Callable[[str], Any]

#: Ways to write a value into `docker_args`.
DOCKER_FORMS = (
    *("-e A={}", "-eA={}", "-e=A={}", "-ie A={}", "-iteA={}", "--env A={}", "--env=A={}", "--env-file {}"),
    *("--env-file=/{}", "--label a={}", "--label=a={}", "-la={}", "-l a={}", "--label-file {}", "--build-arg A={}"),
    *("--secret id={}", "--mount type=bind,src=/{},dst=/b", "-v /{}:/b", "--hostname {}", "--annotation a={}", "{}"),
    *("--unknown {}", "--unknown={}", "-e {}=1", "--log-opt a={}"),
)

#: What the required fields of the models are given, so that only the text under test is wrong.
_REQUIRED = {"action": "stop", "cron": "0 18 * * 1-5", "path": "azureml:images:1"}
_TYPES = {AzureMLJobService: "ssh", AzureMLDistribution: "ray"}


def every_place() -> dict[str, Fill]:
    """Return a function for each place, which returns the settings that have a text there."""
    places: dict[str, Fill] = {}
    for name, field in AzureMLStepOperatorSettings.model_fields.items():
        for where, fill in _texts(field.annotation, name):
            places[where] = _under(name, fill)
    for form in DOCKER_FORMS:
        places[f"docker_args: {form}"] = _under("docker_args", form.format)
    places["docker_args: a list"] = lambda text: {"docker_args": ["--ipc=host", "-ite", f"A={text}"]}
    return places


def _texts(annotation: Any, name: str) -> Iterator[tuple[str, Fill]]:
    """Yield where in a value of a type there can be text, and what makes a value with a text there."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        for number, one in enumerate(argument for argument in arguments if argument is not NoneType):
            yield from _texts(one, f"{name} ({number})" if number else name)
    elif origin is list and arguments[0] != dict[str, Any]:
        for where, fill in _texts(arguments[0], f"{name}[0]"):
            yield where, _listed(fill)
    elif origin is list:
        for setting in sorted(TARGET_SETTINGS):
            inner = AzureMLStepOperatorSettings.model_fields[setting].annotation
            for where, fill in _texts(inner, f"{name}[0].{setting}"):
                yield where, _listed(_under(setting, fill))
    elif origin is dict:
        for where, fill in _texts(arguments[1], f"{name}.a"):
            yield where, _under("A", fill)
        harmless = _needed(arguments[1]) if issubclass(arguments[1], BaseModel) else "a"
        yield f"a name in {name}", lambda text: {text: harmless}
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for key, field in annotation.model_fields.items():
            for where, fill in _texts(field.annotation, f"{name}.{key}"):
                yield where, _under(key, fill, **_needed(annotation))
    elif annotation in (str, Any) or origin is Literal:
        yield name, lambda text: text
    else:  # numbers, switches and enumerations: text there is refused, and must not be shown
        yield f"{name}, which takes no text", lambda text: text


def _under(key: str, fill: Fill, **beside: Any) -> Fill:
    return lambda text: {**beside, key: fill(text)}


def _listed(fill: Fill) -> Fill:
    return lambda text: [fill(text)]


def _needed(model: type[BaseModel]) -> dict[str, str]:
    required = {**_REQUIRED, "type": _TYPES.get(model, "")}
    return {key: required[key] for key, field in model.model_fields.items() if field.default is PydanticUndefined}
