"""What a source root holds that must not be uploaded with the code."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zenml.config import DockerSettings
from zenml.config.build_configuration import BuildConfiguration
from zenml.utils.code_utils import CodeArchive

from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.local import state_folder
from zenml_azureml.plugin.source_root import foreign_folders, warning_of


def build(**settings: object) -> BuildConfiguration:
    return BuildConfiguration(key="azureml", settings=DockerSettings(**settings))


UPLOADED = [build(skip_build=True, parent_image="python:3.12")]
COPIED = [
    build(allow_download_from_artifact_store=False, allow_download_from_code_repository=False),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A source root with code, an emulator that was used, and a virtual environment."""
    folder = tmp_path / "project"
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "main.py").touch()
    Emulator(folder / "emulator").close()
    (folder / "tools" / "my env" / "bin").mkdir(parents=True)
    (folder / "tools" / "my env" / "pyvenv.cfg").touch()
    return folder


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True)


def test_both_are_named_with_what_to_do(root: Path) -> None:
    warning = warning_of(UPLOADED, root)

    assert warning is not None
    assert "`emulator` (the state folder of an emulator, with its keys and its jobs)" in warning
    assert "`tools/my env` (a virtual environment)" in warning
    assert f"source root {root}" in warning


def test_the_step_that_it_names_is_enough(root: Path) -> None:
    warning = warning_of(UPLOADED, root)
    assert warning is not None
    command = warning.rpartition("\n")[2].strip()

    subprocess.run(["bash", "-euc", command], check=True, capture_output=True)

    assert warning_of(UPLOADED, root) is None
    assert sorted(CodeArchive(root=str(root)).get_files()) == [".gitignore", "package/main.py"]


def test_the_emulators_own_gitignore_is_enough_in_a_git_work_tree(root: Path) -> None:
    git(root.parent, "init")  # the source root may be a part of it

    warning = warning_of(UPLOADED, root)

    assert warning is not None
    assert "emulator`" not in warning
    assert "tools/my env" in warning
    assert "git init" not in warning
    assert not [name for name in CodeArchive(root=str(root)).get_files() if name.startswith("emulator/")]


def test_what_is_added_to_git_all_the_same_is_uploaded(root: Path) -> None:
    git(root, "init")
    git(root, "add", "--force", "emulator/ca.key")

    warning = warning_of(UPLOADED, root)

    assert warning is not None
    assert "`emulator`" in warning


def test_an_emulators_folder_of_an_older_version_is_known(tmp_path: Path) -> None:
    Emulator(tmp_path / "old").close()
    (tmp_path / "old" / state_folder.MARKER).unlink()

    (found,) = foreign_folders(tmp_path)

    assert found.path == "old"


def test_a_source_root_that_is_one_itself_is_named(tmp_path: Path) -> None:
    Emulator(tmp_path).close()

    warning = warning_of(UPLOADED, tmp_path)

    assert warning is not None
    assert "`.` (the state folder" in warning
    assert "another folder" in warning


def test_code_alone_is_no_reason_to_warn(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "identity.json").touch()
    (tmp_path / "link").symlink_to("/")

    assert warning_of(UPLOADED, tmp_path) is None


def test_nothing_is_said_if_nothing_is_taken_along(root: Path) -> None:
    nothing = build(allow_download_from_artifact_store=False, allow_including_files_in_images=False)

    assert warning_of([], root) is None
    assert warning_of([nothing], root) is None


def test_what_is_copied_into_an_image_is_named_unless_docker_ignores_it(root: Path) -> None:
    pytest.importorskip("docker")
    git(root, "init")

    warning = warning_of(COPIED, root)

    assert warning is not None
    assert "`emulator`" in warning  # whatever git ignores
    subprocess.run(["bash", "-euc", warning.rpartition("\n")[2].strip()], check=True)
    assert warning_of(COPIED, root) is None


def test_what_cannot_be_read_is_skipped(tmp_path: Path) -> None:
    assert list(foreign_folders(tmp_path / "missing")) == []


@given(st.lists(st.sampled_from(["a", "b c", "ü", "-x"]), min_size=1, max_size=5), st.booleans())
def test_it_is_found_at_any_depth(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], is_environment: bool
) -> None:
    root = tmp_path_factory.mktemp("root")
    folder = root.joinpath(*parts)
    folder.mkdir(parents=True)
    (folder / ("pyvenv.cfg" if is_environment else state_folder.MARKER)).touch()

    assert [one.path for one in foreign_folders(root)] == ["/".join(parts)]


def test_a_large_folder_of_data_is_not_searched_to_its_end(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / str(number) / "data").mkdir(parents=True)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "pyvenv.cfg").touch()

    assert [one.path for one in foreign_folders(tmp_path, most=5)] == [".venv"]
