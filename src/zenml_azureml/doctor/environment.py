"""Installed distributions that do not fit together, as `pip check` finds them, among those that steps need. Pure.

`zenml integration install` has pip install packages without ZenML among them, so pip may replace what ZenML pins, and
ZenML has pip hide the warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

#: Where the search begins: this package, and what ZenML's Azure integration brings in addition.
ROOTS = ("zenml", "zenml-azureml", "adlfs", "kubernetes", "azure-ai-ml")


@dataclass(frozen=True)
class Installed:
    """An installed distribution.

    Attributes:
        version: Its version.
        requires: Its requirements, as its metadata has them.
    """

    version: str
    requires: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conflict:
    """A requirement that the environment does not meet.

    Attributes:
        by: The distribution that has the requirement, with its version.
        needs: The requirement, e.g. `pydantic<=2.12.5,>=2.0`.
        found: The installed version; empty if it is missing.
    """

    by: str
    needs: str
    found: str

    def __str__(self) -> str:
        """Return the conflict as a sentence."""
        name = Requirement(self.needs).name
        return f"{self.by} needs {self.needs}; installed: {name} {self.found or 'is missing'}."


def installed(name: str) -> Installed | None:
    """Return a distribution of this environment; None if it is missing."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    return Installed(found.version, tuple(found.requires or ()))


def conflicts(
    roots: Iterable[str] = ROOTS, find: Callable[[str], Installed | None] = installed
) -> tuple[Conflict, ...]:
    """Return the requirements that the environment does not meet, those of ZenML first.

    Args:
        roots: Names of the distributions to begin with; those that are missing are skipped.
        find: Returns a distribution by its name.
    """
    waiting = list(dict.fromkeys(canonicalize_name(root) for root in roots))
    seen, result = set(waiting), []
    while waiting:
        name = waiting.pop(0)
        found = find(name)
        if found is None:
            continue
        for requirement in _requirements(found):
            needed = find(requirement.name)
            if needed is None or not _fits(requirement, needed.version):
                needs = f"{requirement.name}{requirement.specifier}"
                result.append(Conflict(f"{name} {found.version}", needs, needed.version if needed else ""))
            if (following := canonicalize_name(requirement.name)) not in seen:
                seen.add(following)
                waiting.append(following)
    return tuple(result)


def _requirements(found: Installed) -> list[Requirement]:
    """Return the requirements of a distribution here, without those of its extras."""
    result = []
    for line in found.requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue  # of an old distribution; pip ignores it too
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            result.append(requirement)
    return result


def _fits(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.url is not None or requirement.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True
