"""A ZenML configuration of the tests' own: no test reads or changes that of the user."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

#: What would lead ZenML to another server, secrets store, stack or project.
_LEADING_AWAY = ("ZENML_STORE_", "ZENML_SECRETS_STORE_", "ZENML_BACKUP_SECRETS_STORE_", "ZENML_ACTIVE_")


class ZenMLHome:
    """A folder for ZenML's configuration and database, to which the environment variables lead.

    Attributes:
        folder: The folder.
    """

    def __init__(self) -> None:
        self._directory = TemporaryDirectory(prefix="azureml-tests-zenml-", ignore_cleanup_errors=True)
        self.folder = Path(self._directory.name).resolve()
        self._patch = pytest.MonkeyPatch()
        for name in [name for name in os.environ if name.startswith(_LEADING_AWAY)]:
            self._patch.delenv(name)
        # A repository of its own: ZenML stores the active stack in the one that it finds from the current folder.
        (self.folder / ".zen").mkdir()
        self._patch.setenv("ZENML_CONFIG_PATH", str(self.folder))
        self._patch.setenv("ZENML_REPOSITORY_PATH", str(self.folder))
        self._patch.setenv("ZENML_ANALYTICS_OPT_IN", "false")

    def close(self) -> None:
        """Delete the folder, and restore the variables."""
        self._patch.undo()
        self._directory.cleanup()
