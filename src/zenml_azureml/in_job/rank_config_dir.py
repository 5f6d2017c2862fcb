"""A ZenML configuration for each rank of a node: ZenML rewrites its file while another rank may read it.

This runs before ZenML is imported, because the import reads the path of the configuration.
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
    """Copy the configuration of the image or the user, if there is one, to a folder that only this process writes to.

    Args:
        environment: Of the job; changed.

    Raises:
        BootstrapError: If it cannot be copied.
    """
    theirs = _folder(environment)
    try:
        own = Path(tempfile.mkdtemp(prefix="zenml-"))  # not readable by other users: it may contain a token
        if theirs.is_dir():
            for file in theirs.iterdir():
                if file.is_file():
                    shutil.copy2(file, own)
    except OSError as error:
        raise BootstrapError(f"This rank could not be given a ZenML configuration of its own: {error}.") from None
    environment[_CONFIGURATION] = str(own)
    environment.setdefault(_LOCAL_STORES, str(theirs / "local_stores"))  # the path in the copied configuration


def _folder(environment: MutableMapping[str, str]) -> Path:
    """Return the folder of ZenML's configuration, as ZenML finds it on Linux."""
    if environment.get(_CONFIGURATION):
        return Path(environment[_CONFIGURATION]).resolve()
    configurations = environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME") or Path.home()) / ".config"
    return Path(configurations) / "zenml"
