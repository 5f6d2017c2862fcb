"""Conda files of environments: sent as YAML, answered as JSON (recorded: environment_put_conda_201.json)."""

from __future__ import annotations

import json

import yaml

from zenml_azureml.emulator.http.responses import ServiceError

_STARTS = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_ENDS = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
#: A conda file nests three levels.
_MOST_LEVELS = 20


def conda_as_json(text: str) -> str:
    """Return a conda file, which is sent as YAML, as indented JSON."""
    try:
        _check_cost(text)
        return json.dumps(yaml.safe_load(text), indent=2)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        # Guess: there is no recording of this message.
        raise ServiceError(400, "UserError", "The conda file is not valid YAML.") from error


def _check_cost(text: str) -> None:
    """Refuse what is small and takes minutes or gigabytes to read.

    Raises:
        ValueError: It has aliases, or more levels than a conda file can have.
        yaml.YAMLError: It is not YAML.
    """
    levels = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AliasToken):
            raise ValueError("it has aliases")  # a few lines of aliases of aliases are gigabytes of JSON
        levels += isinstance(token, _STARTS) - isinstance(token, _ENDS)
        if levels > _MOST_LEVELS:
            raise ValueError("it has too many levels")  # for each token PyYAML looks at each level
