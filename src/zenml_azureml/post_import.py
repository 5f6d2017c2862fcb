"""Calls after imports: changes a module right after Python has loaded it. Standard library only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

#: Changes a module that was just loaded. It raises nothing: the import would fail.
Change = Callable[[ModuleType], None]


def after_import(name: str, change: Change) -> None:
    """Change a module when it is imported, or now if it is loaded already. A second call for a module has no effect.

    Args:
        name: Full name of the module.
        change: Changes it.
    """
    if any(isinstance(finder, _Finder) and finder.name == name for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder(name, change))
    if name in sys.modules:
        change(sys.modules[name])


class _Finder(MetaPathFinder):
    """A finder for one module only, which it finds with the help of the other finders."""

    def __init__(self, name: str, change: Change) -> None:
        self.name = name
        self._change = change

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the real module's spec, with a loader that changes the module after loading."""
        if fullname != self.name:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        for finder in others:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _ChangingLoader(spec.loader, self._change)
                return spec
        return None


class _ChangingLoader(Loader):
    """A loader that calls the real loader, and then changes the module."""

    def __init__(self, real: Loader, change: Change) -> None:
        self._real = real
        self._change = change

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Create the module with the real loader."""
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the real module, then change it."""
        self._real.exec_module(module)
        self._change(module)

    def __getattr__(self, name: str) -> object:
        # inspect, pkgutil and importlib.resources use more methods of loaders than the two above.
        return getattr(self._real, name)
