"""Conda files of environments: sent as YAML, answered as JSON (recorded: environment_put_conda_201.json)."""

from __future__ import annotations

import json

import yaml

from zenml_azureml.emulator.http.responses import ServiceError


def conda_as_json(text: str) -> str:
    """Return a conda file, which is sent as YAML, as indented JSON."""
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader)):
            # A few lines of aliases of aliases are gigabytes of JSON.
            raise ValueError("it has aliases")
        return json.dumps(yaml.safe_load(text), indent=2)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        # Guess: there is no recording of this message.
        raise ServiceError(400, "UserError", "The conda file is not valid YAML.") from error
