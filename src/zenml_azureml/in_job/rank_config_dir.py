"""Gives each rank of a node its own ZenML configuration: ZenML rewrites its file, and another rank may read it half.

Before ZenML is imported, which reads where it is.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from zenml_azureml.in_job.exceptions import BootstrapError

#: ZenML's own variables.
_CONFIGURATION: Final = "ZENML_CONFIG_PATH"
_LOCAL_STORES: Final = "ZENML_LOCAL_STORES_PATH"


def prepare(environment: MutableMapping[str, str]) -> None:
    """Copy the configuration that the image or the user has, if there is one, to where only this process writes.

    Args:
        environment: Of the job; changed.

    Raises:
        BootstrapError: If there is no place to copy it to.
    """
    theirs = _folder(environment)
    try:
        own = Path(tempfile.mkdtemp(prefix="zenml-"))  # which nobody else may read: it may hold a token
        if theirs.is_dir():
            for file in theirs.iterdir():
                if file.is_file():
                    shutil.copy2(file, own)
    except OSError as error:
        raise BootstrapError(f"This rank could not be given a ZenML configuration of its own: {error}.") from None
    environment[_CONFIGURATION] = str(own)
    environment.setdefault(_LOCAL_STORES, str(theirs / "local_stores"))  # where the copied configuration has them


def _folder(environment: MutableMapping[str, str]) -> Path:
    """Where ZenML's configuration is, as ZenML finds it on Linux."""
    if environment.get(_CONFIGURATION):
        return Path(environment[_CONFIGURATION]).resolve()
    configurations = environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME") or Path.home()) / ".config"
    return Path(configurations) / "zenml"
