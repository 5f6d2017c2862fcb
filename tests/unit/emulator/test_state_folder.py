"""Which folders become an emulator's, and that all others stay as they are."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.local import daemon, instance
from zenml_azureml.emulator.local.state_folder import (
    MARKER,
    StateFolderError,
    claim,
    clear_jobs,
    folder_of_jobs,
    is_state_folder,
)


def picture(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that is below a folder, and the folder: mode, time and content."""
    found = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        status = path.lstat()
        found[str(path)] = (status.st_mode, status.st_mtime_ns, path.read_bytes() if path.is_file() else b"")
    return found


def older(folder: Path) -> Path:
    """A folder that an emulator without markers has made."""
    Emulator(folder).close()
    for name in (MARKER, "keys.json", "curl.conf", ".gitignore"):
        (folder / name).unlink()
    return folder


@pytest.mark.parametrize("exists", [True, False])
def test_an_empty_or_new_folder_becomes_one(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path / "parent" / "state"
    if exists:
        folder.mkdir(parents=True)

    assert claim(folder) == folder.resolve()

    assert is_state_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "\n*\n" in (folder / ".gitignore").read_text()
    assert claim(folder) == folder.resolve()


@pytest.mark.parametrize(
    "names",
    [
        ["main.py", "jobs/mine.txt", "datastores/mine.txt"],
        [".git/config"],
        ["jobs/mine.txt"],
        ["lock"],
        ["emulator.log"],
        ["ca.key", "ca.pem", "token.key"],
        ["ca.key", "ca.pem", "token.key", "identity.json"],
        [".zenml-azureml-emulator/mine.txt"],
        [".hidden"],
    ],
    ids=" ".join,
)
def test_any_other_folder_is_refused_and_stays_untouched(tmp_path: Path, names: list[str]) -> None:
    folder = tmp_path / "mine"
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    folder.chmod(0o755)
    before = picture(folder)

    for start in (claim, Emulator, lambda path: daemon.start(path, instance.Options())):
        with pytest.raises((StateFolderError, instance.DaemonError), match="no emulator made it") as refused:
            start(folder)
        assert "--state" in str(refused.value)
    assert daemon.find(folder) is None
    assert not daemon.stop(folder)

    assert picture(folder) == before


@given(
    st.dictionaries(
        st.text("abcjobs.-_", min_size=1, max_size=9).filter(lambda name: name not in {".", ".."}),
        st.binary(max_size=9),
        min_size=1,
        max_size=4,
    )
)
def test_files_of_any_name_are_safe(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    folder = tmp_path_factory.mktemp("mine")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    before = picture(folder)

    with pytest.raises(StateFolderError):
        claim(folder)

    assert picture(folder) == before


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")

    with pytest.raises(StateFolderError, match="is a file"):
        claim(tmp_path / "file")
    with pytest.raises(StateFolderError, match="cannot use its state folder"):
        claim(tmp_path / "file" / "below")

    assert (tmp_path / "file").read_text() == "mine"


def test_an_empty_home_and_the_root_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    for folder in (tmp_path, Path("/")):
        with pytest.raises(StateFolderError, match="Nothing in it was changed"):
            claim(folder)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_an_empty_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    (tmp_path / MARKER).touch()

    with pytest.raises(StateFolderError, match="belongs to user 12345"):
        claim(tmp_path)
    assert not is_state_folder(tmp_path)


def test_a_link_leads_to_the_folder_that_counts(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "main.py").touch()
    (tmp_path / "link").symlink_to(tmp_path / "project")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    with pytest.raises(StateFolderError, match="no emulator made it"):
        claim(tmp_path / "link")
    with pytest.raises(StateFolderError):
        claim(tmp_path / "loop")


def test_a_folder_of_an_older_version_is_known_and_gets_a_marker(tmp_path: Path) -> None:
    folder = older(tmp_path / "state")
    client_id = json.loads((folder / "identity.json").read_text())["client_id"]
    (folder / "jobs" / "old").mkdir(parents=True)
    (folder / "emulator.log").touch()
    (folder / "lock").touch()

    assert is_state_folder(folder)
    again = Emulator(folder)
    again.close()

    assert again.client_id == client_id
    assert (folder / MARKER).is_file()
    assert not (folder / "jobs").exists()


def test_a_failed_start_of_an_older_version_is_known_too(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / "emulator.log").touch()

    claim(tmp_path)

    assert (tmp_path / MARKER).is_file()


def test_an_older_version_that_was_started_in_a_project_does_not_make_the_project_its_own(tmp_path: Path) -> None:
    folder = older(tmp_path / "project")
    (folder / "main.py").touch()
    before = picture(folder)

    with pytest.raises(StateFolderError):
        Emulator(folder)

    assert picture(folder) == before


@pytest.mark.parametrize("name", ["jobs", "datastores", "mlflow"])
@pytest.mark.parametrize("kind", ["folder", "link"])
def test_files_that_a_user_adds_later_are_not_deleted(tmp_path: Path, name: str, kind: str) -> None:
    claim(tmp_path / "state")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("mine")
    place = tmp_path / "state" / name
    if kind == "link":
        place.symlink_to(tmp_path / "mine")
    else:
        shutil.copytree(tmp_path / "mine", place)

    with pytest.raises(StateFolderError, match="was not made by an emulator"):
        Emulator(tmp_path / "state")

    assert (place / "precious.txt").read_text() == "mine"


def test_what_jobs_have_made_is_deleted(tmp_path: Path) -> None:
    claim(tmp_path)
    (folder_of_jobs(tmp_path, "jobs") / "job").mkdir()

    clear_jobs(tmp_path)

    assert not (tmp_path / "jobs").exists()


def test_stop_ends_no_process_that_is_at_home_in_a_folder_of_another_kind(tmp_path: Path) -> None:
    """A user called `jobs`: `emulator stop --state /home` must not end their processes."""
    import subprocess

    home = tmp_path / "jobs" / "home"
    home.mkdir(parents=True)
    (tmp_path / "emulator.json").write_text("{}")
    with subprocess.Popen(["sleep", "60"], env={"HOME": str(home), "PATH": os.environ["PATH"]}) as process:
        assert not daemon.stop(tmp_path)
        assert process.poll() is None
        process.kill()

    assert (tmp_path / "emulator.json").exists()
