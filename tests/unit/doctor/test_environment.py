"""`doctor`: distributions that do not fit together, as after `zenml integration install azure`."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from zenml.integrations.azure import AzureIntegration

from tests.unit.doctor.test_signing_in_and_roles import VERSIONS
from zenml_azureml.doctor.checks.versions import check_versions
from zenml_azureml.doctor.environment import Conflict, Installed, conflicts
from zenml_azureml.doctor.result import Status

#: What that command leaves in an environment with ZenML 0.98: pip takes the newest kubernetes, which needs a pydantic
#: beyond ZenML's limit. Seen with `pip install` of the integration's requirements on 2026-11-29.
BROKEN = {
    "zenml": Installed("0.98.0", ("pydantic<=2.12.5,>=2.0", "click>=8; extra == 'local'")),
    "zenml-azureml": Installed("1.0", ("zenml<1,>=0.96", "pydantic<3,>=2.7")),
    "kubernetes": Installed("37.0.2", ("pydantic>=2.13", "tomli>=2; python_version < '3'")),
    "pydantic": Installed("2.14.4", ("pydantic-core==2.50.5",)),
    "pydantic-core": Installed("2.50.5"),
}


def test_what_breaks_a_limit_of_zenml_is_found() -> None:
    assert conflicts(find=BROKEN.get) == (Conflict("zenml 0.98.0", "pydantic<=2.12.5,>=2.0", "2.14.4"),)


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"pydantic": Installed("2.12.5", ("pydantic-core==2.41.5",))}, ["kubernetes 37.0.2", "pydantic 2.12.5"]),
        ({"pydantic": Installed("2.12.5"), "kubernetes": Installed("36.0.3", ("pydantic>=2",))}, []),
        ({"pydantic-core": None}, ["zenml 0.98.0", "pydantic 2.14.4"]),
        ({"zenml": Installed("0.98.0", ("PyDantic<=2.12.5", "not a requirement!"))}, ["zenml 0.98.0"]),
        ({"pydantic": Installed("of somebody's own"), "kubernetes": None}, []),
        ({"zenml": Installed("0.98.0", ("pydantic @ git+https://git.example/pydantic",))}, []),
    ],
)
def test_its_siblings_are_found_too(changed: dict[str, Installed | None], found: list[str]) -> None:
    environment = {**BROKEN, **changed}

    def find(name: str) -> Installed | None:
        return environment.get(canonicalize_name(name))

    assert [conflict.by for conflict in conflicts(find=find)] == found


def test_this_environment_is_whole() -> None:
    assert conflicts() == ()


COMMIT = "zenml-azureml @ git+https://git.example/repo@c"


@pytest.mark.parametrize(
    ("source", "command"),
    [
        ("zenml-azureml==1.0", "pip install 'zenml-azureml[azure]==1.0' 'zenml=="),
        (f"'{COMMIT}'", f"pip install '{COMMIT.replace(' @', '[azure] @')}' 'zenml=="),
        ("--editable /home/me/it", "pip install --editable '/home/me/it[azure]' 'zenml=="),
        ("'/home/me/a b'", "pip install '/home/me/a b[azure]' 'zenml=="),
    ],
)
def test_a_broken_environment_fails_with_the_command_that_repairs_it(source: str, command: str) -> None:
    broken = Conflict("zenml 0.98.0", "pydantic<=2.12.5,>=2.0", "2.14.4")

    finding = check_versions(replace(VERSIONS, source=source, conflicts=(broken,) * 5))

    sentence = "zenml 0.98.0 needs pydantic<=2.12.5,>=2.0; installed: pydantic 2.14.4."
    assert (finding.status, finding.found) == (Status.FAILED, f"{sentence} {sentence} {sentence} 2 more: pip check")
    assert finding.hint.startswith(f"Run: {command}0.98.0'. `zenml integration install azure` replaces packages ")


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13", "3.14", None])
def test_the_extra_has_all_that_the_integration_requires(python: str | None) -> None:
    """So that command finds nothing left to install, and replaces nothing."""
    ours = _closure("zenml-azureml", {"azure"})

    wanted = {
        canonicalize_name(Requirement(line).name) for line in AzureIntegration.get_requirements(python_version=python)
    }
    # Of ZenML itself, from 0.98.
    assert {name for name in wanted - ours if not re.match("opentelemetry-", name)} == set()


def _closure(name: str, extras: set[str]) -> set[str]:
    """The names of what a distribution requires with its extras, and what this package and ZenML require in turn."""
    found: set[str] = set()
    for requirement in map(Requirement, requires(name) or ()):
        if requirement.marker is not None and not any(
            requirement.marker.evaluate({"extra": extra}) for extra in {"", *extras}
        ):
            continue
        found.add(canonicalize_name(requirement.name))
        if requirement.name in ("zenml", "zenml-azureml"):
            found |= _closure(requirement.name, requirement.extras) if requirement.extras else set()
    return found
