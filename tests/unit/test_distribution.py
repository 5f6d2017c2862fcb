"""What a step's image has to install so that the step finds this package there."""

from __future__ import annotations

import json
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from typing import Any

import pytest

from zenml_azureml.plugin.requirements import (
    REQUIREMENT_VARIABLE,
    image_apt_packages,
    image_requirements,
    pip_target,
    requirement_of,
)


def installed(folder: Path, origin: dict[str, Any] | None) -> Distribution:
    """An installed distribution, as pip leaves it: with `direct_url.json` unless it came from an index (PEP 610)."""
    metadata = folder / "zenml_azureml-1.2.3.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: zenml-azureml\nVersion: 1.2.3\n")
    if origin is not None:
        (metadata / "direct_url.json").write_text(json.dumps(origin))
    return PathDistribution(metadata)


@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        (None, "zenml-azureml==1.2.3"),
        (
            {"url": "https://example.com/it.git", "vcs_info": {"vcs": "git", "commit_id": "abc123"}},
            "zenml-azureml @ git+https://example.com/it.git@abc123",
        ),
        (
            {"url": "https://example.com/it.git", "subdirectory": "a", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "zenml-azureml @ git+https://example.com/it.git@abc#subdirectory=a",
        ),
        (
            {"url": "https://example.com/it-1.2.3-py3-none-any.whl", "archive_info": {}},
            "zenml-azureml @ https://example.com/it-1.2.3-py3-none-any.whl",
        ),
        ({"url": "file:///home/me/it", "vcs_info": {"vcs": "git", "commit_id": "abc123"}}, None),
        ({"url": "file:///home/me/it", "dir_info": {"editable": True}}, None),
        ({"url": "file:///home/me/it", "dir_info": {}}, None),
        ({"url": "file:///home/me/it-1.2.3-py3-none-any.whl", "archive_info": {}}, None),
    ],
    ids=[
        "from an index",
        "from version control",
        "from a folder of a repository",
        "from a URL",
        "from a repository of this machine",
        "editable",
        "from a folder",
        "from a file",
    ],
)
def test_the_image_installs_what_is_installed_here_if_it_can_be_fetched(
    origin: dict[str, Any] | None, requirement: str | None, tmp_path: Path
) -> None:
    assert requirement_of(installed(tmp_path, origin)) == requirement


@pytest.mark.parametrize(
    ("origin", "packages"),
    [
        (None, []),
        ({"url": "https://example.com/it.git", "vcs_info": {"vcs": "git", "commit_id": "abc123"}}, ["git"]),
    ],
    ids=["from an index", "from version control"],
)
def test_an_image_has_git_where_pip_needs_it(
    origin: dict[str, Any] | None, packages: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zenml_azureml.plugin.requirements.distribution", lambda _name: installed(tmp_path, origin))

    assert image_apt_packages() == packages

    monkeypatch.setenv(REQUIREMENT_VARIABLE, "zenml-azureml @ git+https://example.com/it.git")
    assert image_apt_packages() == []  # whoever says it has seen to what it needs


def test_what_the_image_installs_can_be_said_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIREMENT_VARIABLE, "zenml-azureml @ https://example.com/it-1.2.3-py3-none-any.whl")

    assert image_requirements() == {"zenml-azureml @ https://example.com/it-1.2.3-py3-none-any.whl"}


@pytest.mark.parametrize(
    ("origin", "target"),
    [
        (None, "zenml-azureml==1.2.3"),
        ({"url": "https://example.com/1.whl", "archive_info": {}}, "'zenml-azureml @ https://example.com/1.whl'"),
        ({"url": "file:///home/me/a%20checkout", "dir_info": {}}, "'/home/me/a checkout'"),
        ({"url": "file:///home/me/it", "dir_info": {"editable": True}}, "--editable /home/me/it"),
    ],
    ids=["from an index", "from a URL", "from a checkout", "editable"],
)
def test_the_package_is_reinstalled_from_where_it_came(
    origin: dict[str, Any] | None, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zenml_azureml.plugin.requirements.distribution", lambda _name: installed(tmp_path, origin))

    assert pip_target() == target
