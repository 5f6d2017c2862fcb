"""References to secrets of ZenML in the settings, `{{secret.key}}`: replaced when a job is submitted, and not before.

ZenML replaces those that are the whole value of a setting, whenever the setting is read. The settings of a step have
them at any depth, and keep them as they are written: a value never lands in ZenML's database or in a log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from zenml.client import Client
from zenml.utils.secret_utils import parse_secret_reference

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.secrets.docker_arguments import Argument, joined, parse
from zenml_azureml.secrets.known_values import remember
from zenml_azureml.secrets.redaction import map_texts
from zenml_azureml.secrets.rule import is_reference
from zenml_azureml.settings.plan import Resolution

#: Returns the values of a secret by their keys.
ReadSecret = Callable[[str], Mapping[str, str]]


def read_secret(name: str) -> Mapping[str, str]:
    """Return the values of a secret of ZenML.

    Args:
        name: Name of the secret.

    Raises:
        KeyError: If there is no such secret.
    """
    return Client().get_secret_by_name_and_private_status(name=name).secret_values


def with_secrets(resolution: Resolution, read: ReadSecret = read_secret) -> Resolution:
    """Return what settings mean, with the values of the secrets that they refer to.

    Args:
        resolution: What they mean.
        read: Reads a secret; called once for each.

    Raises:
        AzureMLError: If a secret or a key in it does not exist, or cannot be read. It names the setting.
    """
    known: dict[str, Mapping[str, str]] = {}

    def value_of(path: str, text: str) -> str:
        if not is_reference(text):
            return text
        reference, where = parse_secret_reference(text), re.sub(r"^(options|compute)\.", "", path)
        if reference.name not in known:
            known[reference.name] = _read(reference.name, where, read)
        values = known[reference.name]
        if reference.key not in values:
            keys = ", ".join(f"`{key}`" for key in sorted(values)) or "none"
            raise AzureMLError(
                f"The ZenML secret `{reference.name}` has no key `{reference.key}`, to which `{where}` refers. "
                f"Its keys: {keys}.",
                hint=f"Correct the reference, or add the key: zenml secret update {reference.name} "
                f"--{reference.key}=VALUE",
            )
        remember([values[reference.key]])
        return values[reference.key]

    found = map_texts(resolution, value_of)
    arguments = found.options.docker_args
    if not arguments or "{{" not in arguments:
        return found
    complete = [
        Argument(argument.shown(value_of(f"docker_args: {argument.label}", argument.text)))
        for argument in parse(arguments)
    ]
    return replace(found, options=replace(found.options, docker_args=joined(complete)))


def _read(name: str, where: str, read: ReadSecret) -> Mapping[str, str]:
    try:
        return read(name)
    except KeyError:
        raise AzureMLError(
            f"There is no ZenML secret `{name}`, to which `{where}` refers.",
            hint=f"Create it: zenml secret create {name} --KEY=VALUE",
        ) from None
    except Exception as error:  # noqa: BLE001 - whatever ZenML's store of secrets raises
        reason = str(error) or type(error).__name__
        raise AzureMLError(
            f"The ZenML secret `{name}`, to which `{where}` refers, cannot be read: {reason.rstrip('.')}.",
            hint=f"Check that the user who runs the pipeline may read it: zenml secret get {name}",
        ) from None
