"""Replaces ZenML's built-in `azureml` step operator flavor by the classes of this package.

ZenML's database stores the built-in flavor by the path of its class. So this hook rebinds the names in the built-in
flavor's module when ZenML imports it. It changes nothing else: after uninstalling this package, every stack uses the
built-in flavor again.

ZenML calls `install` unguarded in the first lines of `import zenml`, when no part of ZenML can be imported yet. So this
module imports only the standard library, and raises no exception.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from zenml_azureml.plugin.constants import BUILT_IN_MODULE


def install() -> None:
    """Replace ZenML's built-in `azureml` flavor when it is imported. Called by `import zenml`.

    A second call has no effect.
    """
    try:
        if any(isinstance(finder, _FlavorFinder) for finder in sys.meta_path):
            return
        sys.meta_path.insert(0, _FlavorFinder())
        if BUILT_IN_MODULE in sys.modules:
            _replace_flavor(sys.modules[BUILT_IN_MODULE])
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


class _FlavorFinder(MetaPathFinder):
    """A finder for one module only, the built-in flavor's, which it finds with the help of the other finders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the real module's spec, with a loader that replaces the flavor after loading."""
        if fullname != BUILT_IN_MODULE:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        for finder in others:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _ReplacingLoader(spec.loader)
                return spec
        return None


class _ReplacingLoader(Loader):
    """A loader that calls the real loader, and then replaces the flavor."""

    def __init__(self, real: Loader) -> None:
        self._real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Create the module with the real loader."""
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the real module, then replace the flavor in it."""
        self._real.exec_module(module)
        _replace_flavor(module)

    def __getattr__(self, name: str) -> object:
        # inspect, pkgutil and importlib.resources use more methods of loaders than the two above.
        return getattr(self._real, name)
