"""Run ZenML steps as Azure Machine Learning jobs.

The public names are loaded on first use. `import zenml` imports this package for its init hook, which must be fast and
must not import ZenML while ZenML itself is being imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zenml_azureml.checkpoints import checkpoint_dir
    from zenml_azureml.data_paths import input_path, input_uri, output_path, output_uri
    from zenml_azureml.exceptions import (
        AuthenticationError,
        AzureMLError,
        AzureMLSettingsError,
        CostLimitError,
        JobCancelledError,
        JobFailedError,
        NoCapacityError,
        QueueTimeoutError,
    )
    from zenml_azureml.plugin.config import AzureMLStepOperatorConfig
    from zenml_azureml.plugin.data_options import azureml_data
    from zenml_azureml.plugin.flavor import AzureMLStepOperatorFlavor
    from zenml_azureml.run_store.server_retries import ServerUnavailableError
    from zenml_azureml.settings.models import AzureMLStepOperatorSettings
    from zenml_azureml.step_operator import AzureMLStepOperator

__all__ = [
    "AuthenticationError",
    "AzureMLError",
    "AzureMLSettingsError",
    "AzureMLStepOperator",
    "AzureMLStepOperatorConfig",
    "AzureMLStepOperatorFlavor",
    "AzureMLStepOperatorSettings",
    "CostLimitError",
    "JobCancelledError",
    "JobFailedError",
    "NoCapacityError",
    "QueueTimeoutError",
    "ServerUnavailableError",
    "azureml_data",
    "checkpoint_dir",
    "input_path",
    "input_uri",
    "output_path",
    "output_uri",
]

_HOME_OF = {
    "AuthenticationError": "zenml_azureml.exceptions",
    "AzureMLError": "zenml_azureml.exceptions",
    "AzureMLSettingsError": "zenml_azureml.exceptions",
    "CostLimitError": "zenml_azureml.exceptions",
    "JobCancelledError": "zenml_azureml.exceptions",
    "JobFailedError": "zenml_azureml.exceptions",
    "NoCapacityError": "zenml_azureml.exceptions",
    "QueueTimeoutError": "zenml_azureml.exceptions",
    "AzureMLStepOperator": "zenml_azureml.step_operator",
    "AzureMLStepOperatorConfig": "zenml_azureml.plugin.config",
    "AzureMLStepOperatorFlavor": "zenml_azureml.plugin.flavor",
    "AzureMLStepOperatorSettings": "zenml_azureml.settings.models",
    "ServerUnavailableError": "zenml_azureml.run_store.server_retries",
    "azureml_data": "zenml_azureml.plugin.data_options",
    "checkpoint_dir": "zenml_azureml.checkpoints",
    "input_path": "zenml_azureml.data_paths",
    "input_uri": "zenml_azureml.data_paths",
    "output_path": "zenml_azureml.data_paths",
    "output_uri": "zenml_azureml.data_paths",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
