"""Check that the installed versions are compatible."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from zenml_azureml.doctor.environment import Conflict
from zenml_azureml.doctor.result import Finding, failed, ok, warning

CHECK = "versions"

#: Largest number of conflicts that are shown.
_MOST_CONFLICTS = 3

#: Packages whose versions are shown if all are compatible.
_SHOWN = ("zenml", "azure-ai-ml")


@dataclass(frozen=True)
class Versions:
    """Installed versions.

    Attributes:
        python: Version of Python.
        own: Version of this package.
        installed: Version of each distribution that it needs; None for one that is missing.
        wanted: The versions of each that it supports, e.g. `<1,>=0.96`.
        is_ours: True if ZenML's `azureml` flavor is this package's.
        server: Version of the ZenML server; empty if unknown.
        source: Arguments with which `pip install` installs this package again.
        conflicts: Requirements among the installed distributions that are not met.
    """

    python: str
    own: str
    installed: Mapping[str, str | None]
    wanted: Mapping[str, str]
    is_ours: bool
    server: str = ""
    source: str = "zenml-azureml"
    conflicts: tuple[Conflict, ...] = ()


def check_versions(facts: Versions) -> Finding:
    """Check that the versions are compatible."""
    misfits = [name for name, wanted in facts.wanted.items() if not _fits(facts.installed.get(name), wanted)]
    if misfits:
        found = ", ".join(f"{name} {facts.installed.get(name) or 'is missing'}" for name in misfits)
        needs = ", ".join(f"{name}{facts.wanted[name]}" for name in misfits)
        install = " ".join(f"'{name}{facts.wanted[name]}'" for name in misfits)
        return failed(
            CHECK, f"zenml-azureml {facts.own} needs {needs}; installed: {found}.", f"Run: pip install {install}"
        )
    if facts.conflicts:
        return failed(
            CHECK,
            " ".join(str(conflict) for conflict in facts.conflicts[:_MOST_CONFLICTS]) + _more(facts.conflicts),
            f"Run: pip install {_with_extra(facts.source)} 'zenml=={facts.installed.get('zenml')}'. `zenml integration "
            "install azure` replaces packages that ZenML pins; the extra `azure` has all of that integration.",
        )
    if not facts.is_ours:
        return failed(
            CHECK,
            "ZenML's built-in `azureml` step operator is in use, not that of zenml-azureml.",
            f"Run: pip install --force-reinstall --no-deps {facts.source}. A warning at `import zenml` shows the "
            "cause.",
        )
    zenml = facts.installed["zenml"]
    if facts.server and zenml and Version(facts.server) != Version(zenml):
        return warning(
            CHECK,
            f"The ZenML client has version {zenml}, its server has version {facts.server}.",
            f"Use one version: pip install 'zenml=={facts.server}', or update the server.",
        )
    shown = ", ".join(f"{name} {facts.installed[name]}" for name in _SHOWN if facts.installed.get(name))
    return ok(CHECK, f"zenml-azureml {facts.own}, {shown}, Python {facts.python}")


def _more(conflicts: tuple[Conflict, ...]) -> str:
    left = len(conflicts) - _MOST_CONFLICTS
    return f" {left} more: pip check" if left > 0 else ""


def _with_extra(source: str) -> str:
    """Return arguments with which `pip install` installs a source with the extra `azure`."""
    *options, target = shlex.split(source)
    name, separator, rest = target, "", ""
    for mark in (" @ ", "=="):
        if mark in target:
            name, separator, rest = target.partition(mark)
            break
    return " ".join([*options, shlex.quote(f"{name}[azure]{separator}{rest}")])


def _fits(installed: str | None, wanted: str) -> bool:
    return installed is not None and SpecifierSet(wanted).contains(installed, prereleases=True)
