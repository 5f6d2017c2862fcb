"""Replaces ZenML's built-in `azureml` step operator flavor by the classes of this package.

ZenML's database stores the built-in flavor by the path of its class. So this hook rebinds the names in the built-in
flavor's module when ZenML imports it. It changes nothing else: after uninstalling this package, every stack uses the
built-in flavor again.

ZenML calls `install` unguarded in the first lines of `import zenml`, when no part of ZenML can be imported yet. So this
module imports only the standard library, and raises no exception.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from types import ModuleType

from zenml_azureml.plugin.constants import BUILT_IN_MODULE
from zenml_azureml.post_import import after_import


def install() -> None:
    """Replace ZenML's built-in `azureml` flavor when it is imported. Called by `import zenml`.

    A second call has no effect.
    """
    try:
        after_import(BUILT_IN_MODULE, _replace_flavor)
    except Exception as error:  # noqa: BLE001 - a broken plugin must never break `import zenml`
        _keep_built_in(error)


def _replace_flavor(module: ModuleType) -> None:
    try:
        from zenml_azureml.plugin.config import AzureMLStepOperatorConfig
        from zenml_azureml.plugin.flavor import AzureMLStepOperatorFlavor
        from zenml_azureml.settings.models import AzureMLStepOperatorSettings
    except Exception as error:  # noqa: BLE001 - as above
        _keep_built_in(error)
        return
    for replacement in (
        AzureMLStepOperatorConfig,
        AzureMLStepOperatorFlavor,
        AzureMLStepOperatorSettings,
    ):
        setattr(module, replacement.__name__, replacement)


def _keep_built_in(error: Exception) -> None:
    source = "zenml-azureml"
    with suppress(Exception):  # the package may be too broken for this
        from zenml_azureml.plugin.requirements import pip_target

        source = pip_target()
    with suppress(Warning):  # `python -W error` makes an exception of it
        warnings.warn(
            "zenml-azureml could not replace ZenML's built-in `azureml` step operator, which therefore stays in use: "
            f"{type(error).__name__}: {error}. Reinstall with `pip install --force-reinstall {source}`, or "
            "remove it with `pip uninstall zenml-azureml`.",
            RuntimeWarning,
            stacklevel=2,
        )
